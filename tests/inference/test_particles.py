"""Named draws: the right distributions, and no dependence on who else is drawn."""

from collections.abc import Callable

import pyro
import pyro.distributions as dist
import pytest
import torch
from pyro import poutine

from inference.particles import DrawNamed, quantile


def names(particles: int, images: int, first: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.arange(first, first + particles)[:, None].expand(-1, images), torch.arange(images)


def draw(make: Callable[[], dist.Distribution], particles: int = 2000, images: int = 3, seed: int = 0, first: int = 0):
    """Draw one site of every particle and image."""

    def program() -> torch.Tensor:
        with pyro.plate("images", images, dim=-1):
            return pyro.sample("z", make())

    with DrawNamed(seed, *names(particles, images, first)), pyro.plate("particles", particles, dim=-2):
        return poutine.trace(program).get_trace().nodes["z"]["value"]


LOWER = ((2.0, 0.0), (-1.0, 0.5))

FAMILIES = {
    "normal": lambda: dist.Normal(torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])).to_event(1),
    "correlated": lambda: dist.MultivariateNormal(torch.tensor([1.0, -2.0]), scale_tril=torch.tensor(LOWER)),
    "log normal": lambda: dist.LogNormal(torch.tensor([0.1, 0.2]), 0.3).to_event(1),
    "laplace": lambda: dist.Laplace(torch.tensor([0.1, 0.2]), 0.3).to_event(1),
    "uniform": lambda: dist.Uniform(torch.tensor([0.1, 0.2]), 3.0).to_event(1),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_draws_have_their_distributions_moments(family: str):
    fn = FAMILIES[family]()
    value = draw(lambda: fn, particles=20_000)
    assert value.shape == (20_000, 3, 2)
    flat = value.flatten(0, 1)
    error = 4 / len(flat) ** 0.5
    assert ((flat.mean(0) - fn.mean).abs() < error * fn.stddev).all()
    torch.testing.assert_close(flat.std(0), fn.stddev, rtol=0.02, atol=0)
    whitened = (flat - fn.mean) @ torch.linalg.inv(torch.linalg.cholesky(flat.T.cov())).mT
    torch.testing.assert_close(whitened.T.cov(), torch.eye(2), rtol=0, atol=0.02)


def test_the_quantile_function_of_a_normal():
    fn = dist.Normal(torch.tensor([1.0, -2.0]), torch.tensor([0.5, 3.0])).to_event(1)
    value = torch.tensor([[0.3, 4.0], [1.0, -2.0], [2.0, 0.0]])
    torch.testing.assert_close(quantile(fn, fn.base_dist.cdf(value)), value)


def normal() -> dist.Distribution:
    return dist.Normal(torch.zeros(4), 1).to_event(1)


def test_a_draw_is_a_function_of_its_name():
    whole = draw(normal, particles=6, images=5)
    assert torch.equal(draw(normal, particles=6, images=5), whole)
    assert torch.equal(draw(normal, particles=6, images=2), whole[:, :2])
    assert torch.equal(draw(normal, particles=2, images=5, first=3), whole[3:5])
    assert (draw(normal, particles=6, images=5, seed=1) != whole).all()
    assert len(whole.flatten().unique()) == whole.numel()


def test_sites_have_noise_of_their_own():
    def program() -> None:
        with pyro.plate("images", 3, dim=-1):
            for site in ("z.1.0", "z.1.1"):
                pyro.sample(site, normal())

    with DrawNamed(0, *names(2, 3)), pyro.plate("particles", 2, dim=-2):
        trace = poutine.trace(program).get_trace()
    assert (trace.nodes["z.1.0"]["value"] != trace.nodes["z.1.1"]["value"]).all()


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_draw_is_as_wide_as_its_distribution(dtype: torch.dtype):
    value = draw(lambda: dist.Normal(torch.zeros(2, dtype=dtype), 1).to_event(1))
    assert value.dtype == dtype


def test_global_generators_are_left_alone():
    before = torch.get_rng_state()
    draw(normal)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_site_that_images_share_is_refused():
    def program() -> None:
        pyro.sample("shared", normal())

    with (
        DrawNamed(0, *names(2, 3)),
        pyro.plate("particles", 2, dim=-2),
        pytest.raises(
            ValueError, match=r"site shared in the plates of particles and images, with batch shape \(2, 3\)"
        ),
    ):
        program()


def test_observed_and_replayed_values_stay():
    def program() -> None:
        with pyro.plate("images", 3, dim=-1):
            pyro.sample("z", normal())
            pyro.sample("x", normal(), obs=torch.ones(3, 4))

    z = torch.zeros(2, 3, 4)
    with DrawNamed(0, *names(2, 3)), poutine.condition(data={"z": z}), pyro.plate("particles", 2, dim=-2):
        trace = poutine.trace(program).get_trace()
    assert torch.equal(trace.nodes["z"]["value"], z)
    assert torch.equal(trace.nodes["x"]["value"], torch.ones(3, 4))
