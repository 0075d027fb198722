"""Guides of the root's latent on a linear-Gaussian model whose posterior is correlated: who reaches the evidence."""

from collections.abc import Callable
from pathlib import Path

import pyro
import pytest
import torch
from linear_gaussian import IMAGE_SHAPE, LATENT_SIZE, LinearGaussian, draw_images, exact_evidence, rotated
from pyro import poutine
from pyro.infer import Trace_ELBO
from safetensors.torch import load_file, save_file
from torch import nn
from torch.distributions import Independent, MultivariateNormal, TransformedDistribution

from guides import GUIDES as TABLE
from guides.resnet import ResNetGuide
from guides.roots import ROOTS, cholesky_factor, root_name
from inference.importance import Sampling, log_weights
from inference.training.task import Weights
from rnp_pyro.config import GuideConfig
from rnp_pyro.errors import UserError
from rnp_pyro.weights import load_weights, save_weights

MakePair = Callable[..., tuple]


class Pixels(nn.Module):
    """An encoder that leaves out nothing: the pixels, and a one."""

    out_size = 7

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        flat = images.flatten(-3)
        return torch.cat([flat, torch.ones_like(flat[..., :1])], -1)


def make_guide(root: str) -> ResNetGuide:
    return ResNetGuide(Pixels(), ROOTS[root](Pixels.out_size, LATENT_SIZE), "z.0")


def fit(name: str, steps: int = 1500) -> tuple[float, float]:
    """Train a guide of a fixed model; give its gap to the evidence, and its standard error, nats per image."""
    pyro.set_rng_seed(3)
    model = rotated(LinearGaussian())
    guide = make_guide(name)
    loss = Trace_ELBO(max_plate_nesting=1)(model, guide)
    optimizer = torch.optim.Adam(guide.parameters(), lr=1e-2)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, steps)
    with pyro.get_param_store().scope(), pyro.validation_enabled(False):
        for _ in range(steps):
            images = draw_images(model, 128)
            optimizer.zero_grad()
            (loss(images) / len(images)).backward()
            optimizer.step()
            schedule.step()
        images = draw_images(model, 200)
        gap = exact_evidence(model, images) - log_weights(model, guide, images, Sampling(200))
    return gap.mean().item(), (gap.mean(1).std() / len(gap) ** 0.5).item()


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["full_rank", "flow"])
def test_guides_with_correlations_reach_the_evidence(name: str):
    gap, error = fit(name)
    assert -3 * error < gap < 0.05


@pytest.mark.thorough
def test_the_diagonal_guide_is_measurably_looser():
    gap, error = fit("diagonal")
    assert gap > 0.1 + 3 * error


def test_a_factor_is_lower_triangular_with_a_positive_diagonal():
    raw, below = torch.randn(5, 4), torch.randn(5, 6)
    factor = cholesky_factor(raw, below)
    assert torch.equal(factor, factor.tril())
    assert (factor.diagonal(dim1=-2, dim2=-1) > 0).all()
    row, column = torch.tril_indices(4, 4, -1)
    assert torch.equal(factor[:, row, column], below)


@pytest.mark.parametrize("name", ["full_rank", "flow"])
def test_they_start_as_the_diagonal_guide(name: str):
    """Zero below the diagonal, and couplings that do nothing."""
    images = torch.randn(2, *IMAGE_SHAPE)
    guide = make_guide(name)
    fn = pyro.poutine.trace(guide).get_trace(images).nodes["z.0"]["fn"]
    if name == "full_rank":
        assert torch.equal(fn.scale_tril, fn.scale_tril.diagonal(dim1=-2, dim2=-1).diag_embed())
    else:
        value = torch.randn(2, LATENT_SIZE)  # four reversals are the identity
        assert torch.allclose(fn.log_prob(value), fn.base_dist.log_prob(value))


def test_draws_of_a_dense_normal_are_not_narrowed():
    """Under autocast the encoder may be: what is drawn is where the density scores it."""
    model = LinearGaussian()
    guide, images = make_guide("full_rank").float(), draw_images(model, 3).float()
    with torch.autocast("cpu", torch.bfloat16):
        pyro.set_rng_seed(1)
        site = poutine.trace(guide).get_trace(images).nodes["z.0"]
    pyro.set_rng_seed(1)
    noise = torch.randn(3, LATENT_SIZE, 1, dtype=torch.float32)
    assert torch.allclose(site["value"], site["fn"].loc + (site["fn"].scale_tril @ noise).squeeze(-1), atol=1e-6)


@pytest.mark.parametrize("name", ["full_rank", "flow"])
def test_a_draw_under_autocast_is_scored_as_it_was_drawn(name: str, randomise: Callable[..., None]):
    """The density of a value that is rescored, by a flow through its inverse, is the density of its noise."""
    images = draw_images(LinearGaussian(), 30).float()
    guide = make_guide(name).float()
    randomise(guide, 0.1)
    with torch.autocast("cpu", torch.bfloat16):
        site = poutine.trace(guide).get_trace(images).nodes["z.0"]
        drawn, rescored = site["fn"].log_prob(site["value"]), site["fn"].log_prob(site["value"].clone())
    exact = site["fn"].log_prob(site["value"].clone())
    assert drawn.dtype == rescored.dtype == torch.float32
    torch.testing.assert_close(rescored, drawn, rtol=0, atol=1e-4)
    torch.testing.assert_close(rescored, exact, rtol=0, atol=1e-4)


@pytest.mark.parametrize("name", ["resnet", "ladder"])
@pytest.mark.parametrize("root", ROOTS)
def test_any_guide_takes_any_root(make_pair: MakePair, images: torch.Tensor, name: str, root: str):
    model, _ = make_pair(node_latents="both")
    guide = TABLE[name](GuideConfig(name, root=root), model.decoder)
    fn = poutine.trace(guide).get_trace(images).nodes["z.2"]["fn"]
    kinds = {"diagonal": Independent, "full_rank": MultivariateNormal, "flow": TransformedDistribution}
    assert isinstance(fn, kinds[root])


@pytest.mark.parametrize("name", ["resnet", "ladder"])
@pytest.mark.parametrize("root", ROOTS)
def test_weights_from_before_roots_were_modules_load(
    make_pair: MakePair, images: torch.Tensor, randomise: Callable[..., None], tmp_path: Path, name: str, root: str
):
    """From a file, whose names had no ``root``; the order of parameters, which optimizers go by, is as it was."""
    model, _ = make_pair(node_latents="both")
    guide, other = (TABLE[name](GuideConfig(name, root=root), model.decoder) for _ in range(2))
    randomise(guide)
    names = [one for one, _ in guide.named_parameters()]
    first = min(number for number, one in enumerate(names) if not one.startswith("encoder."))
    assert names[first].startswith("root.loc_and_")
    file = tmp_path / "model.safetensors"
    save_weights(Weights(model, guide), file)
    old = {one.replace("guide.root.", "guide."): value for one, value in load_file(file).items()}
    assert not [one for one in old if "root" in one]
    save_file(old, file)
    load_weights(Weights(model, other), file)
    assert all(torch.equal(value, other.state_dict()[one]) for one, value in guide.state_dict().items())


@pytest.mark.parametrize("name", ["full_rank", "flow"])
def test_older_names_are_resnet_with_that_root(make_pair: MakePair, name: str):
    found = []
    for config in (GuideConfig(name), GuideConfig("resnet", root=name), GuideConfig(name, root=name)):
        pyro.set_rng_seed(0)
        model, _ = make_pair()
        found.append(TABLE[config.name](config, model.decoder).state_dict())
    for one in found[1:]:
        assert all(torch.equal(value, found[0][key]) for key, value in one.items())
    with pytest.raises(UserError, match=f"expected --guide.name resnet --guide.root diagonal, got --guide.name {name}"):
        root_name(GuideConfig(name, root="diagonal"))
