"""Likelihoods: exact densities, finite everywhere, and never narrower than float32."""

from collections.abc import Callable
from math import log, pi
from typing import Any

import pytest
import torch
from pyro.distributions import ContinuousBernoulli

from models.likelihood import (
    CLOSEST,
    LIKELIHOODS,
    LikelihoodKind,
    bernoulli,
    build_likelihood,
    continuous_bernoulli,
    likelihood_name,
    normal,
    observes_binary,
)
from rnp_pyro.config import ModelConfig, TreeConfig
from rnp_pyro.errors import UserError

MakeConfig = Callable[..., TreeConfig]


@pytest.mark.parametrize("name", LIKELIHOODS)
def test_an_image_is_one_event(name: str):
    likelihood = LIKELIHOODS[name].build(ModelConfig())(torch.rand(3, 4, 1, 5, 6))
    assert (likelihood.batch_shape, likelihood.event_shape) == ((3, 4), (1, 5, 6))
    assert likelihood.log_prob(torch.rand(4, 1, 5, 6).round()).shape == (3, 4)


def test_a_normal_is_the_squared_error():
    canvas, images = torch.rand(4, 1, 5, 6), torch.rand(4, 1, 5, 6)
    squared = (canvas - images).square().sum((-3, -2, -1))
    expected = -squared / (2 * 0.3**2) - 30 * (log(0.3) + 0.5 * log(2 * pi))
    torch.testing.assert_close(normal(canvas, 0.3).log_prob(images), expected)


def test_the_normals_scale_is_the_configurations():
    config = ModelConfig(likelihood="normal", pixel_scale=0.7)
    canvas, images = torch.rand(2, 2, 1, 5, 6)
    expected = normal(canvas, 0.7).log_prob(images)
    assert torch.equal(build_likelihood(config, (1, 5, 6))(canvas).log_prob(images), expected)


def test_a_bernoulli_takes_the_canvas_for_probabilities():
    canvas, images = 0.1 + 0.8 * torch.rand(4, 1, 5, 6), torch.rand(4, 1, 5, 6).round()
    probability = torch.where(images == 1, canvas, 1 - canvas)
    torch.testing.assert_close(bernoulli(canvas).log_prob(images), probability.log().sum((-3, -2, -1)))


def test_a_bernoulli_of_grey_targets_is_the_cross_entropy():
    canvas, grey = 0.1 + 0.8 * torch.rand(4, 1, 5, 6), torch.rand(4, 1, 5, 6)
    expected = grey * canvas.log() + (1 - grey) * (1 - canvas).log()
    torch.testing.assert_close(bernoulli(canvas).log_prob(grey), expected.sum((-3, -2, -1)))


def test_a_continuous_bernoulli_is_a_density():
    """Integrated over [0, 1] by the midpoint rule it is 1, also where the normalising constant is 0/0, at 1/2."""
    pixels = ((torch.arange(20_000) + 0.5) / 20_000)[:, None, None, None]
    for parameter in (0.02, 0.4, 0.5, 0.9):
        density = continuous_bernoulli(torch.full((1, 1, 1), parameter)).log_prob(pixels).exp()
        assert density.mean().item() == pytest.approx(1, abs=1e-6)


def test_the_parameter_of_a_continuous_bernoulli_is_not_its_mean():
    canvas = torch.full((1, 1, 1, 1), 0.2)
    likelihood = continuous_bernoulli(canvas)
    assert likelihood.mean.item() == pytest.approx(ContinuousBernoulli(torch.tensor(0.2)).mean.item())
    assert likelihood.mean.item() > 0.3


@pytest.mark.parametrize("likelihood", [bernoulli, continuous_bernoulli])
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
def test_canvases_beyond_0_and_1_are_clamped_to_finite_values(likelihood: Callable, dtype: torch.dtype):
    """Bicubic pasting overshoots; black and white must cost a finite number of nats, with a finite gradient."""
    canvas = torch.tensor([-0.1, 0.0, 1.0, 1.2], dtype=dtype).view(4, 1, 1, 1).requires_grad_()
    for images in (torch.zeros(4, 1, 1, 1), torch.ones(4, 1, 1, 1)):
        log_prob = likelihood(canvas).log_prob(images)
        assert log_prob.isfinite().all()
        (gradient,) = torch.autograd.grad(log_prob.sum(), canvas)
        assert gradient.isfinite().all()
    surprise = -bernoulli(canvas.detach()[:1]).log_prob(torch.ones(1, 1, 1, 1))
    assert surprise.item() == pytest.approx(-log(CLOSEST), rel=1e-3)


@pytest.mark.parametrize("name", LIKELIHOODS)
@pytest.mark.parametrize(
    ("given", "used"),
    [
        (torch.bfloat16, torch.float32),
        (torch.float16, torch.float32),
        (torch.float32, torch.float32),
        (torch.float64, torch.float64),
    ],
)
def test_likelihoods_are_computed_in_float32_or_wider(name: str, given: torch.dtype, used: torch.dtype):
    canvas = torch.rand(2, 1, 5, 6, dtype=given)
    images = torch.rand(2, 1, 5, 6, dtype=used).round()
    assert LIKELIHOODS[name].build(ModelConfig())(canvas).log_prob(images).dtype == used


@pytest.mark.parametrize("name", ["bernoulli", "continuous_bernoulli", "auto"])
def test_a_sum_takes_no_probability(tiny_config: MakeConfig, name: str):
    config = ModelConfig(likelihood=name, tree=tiny_config(composition="sum"))  # type: ignore[arg-type]
    with pytest.raises(UserError, match=r"expected composition noisy_or .* or likelihood normal") as error:
        build_likelihood(config, (1, 12, 12))
    assert "\n" not in str(error.value)


def test_a_sum_takes_a_normal_and_so_does_auto_for_colour(tiny_config: MakeConfig):
    tree = tiny_config(composition="sum")
    canvas = torch.rand(2, 1, 5, 6) + 1
    for config, shape in (
        (ModelConfig(likelihood="normal", tree=tree), (1, 12, 12)),
        (ModelConfig(likelihood="auto", tree=tree), (3, 12, 12)),
    ):
        assert torch.equal(build_likelihood(config, shape)(canvas).mean, canvas)


def test_the_baseline_has_no_composition_to_refuse(tiny_config: MakeConfig):
    config = ModelConfig(name="vae", likelihood="bernoulli", tree=tiny_config(composition="sum"))
    assert build_likelihood(config, (1, 12, 12)) is bernoulli


@pytest.mark.parametrize("pixel_scale", [0.0, -1.0])
def test_a_scale_is_above_0(pixel_scale: float):
    with pytest.raises(UserError, match=f"pixel_scale must be above 0, got {pixel_scale:g}"):
        build_likelihood(ModelConfig(pixel_scale=pixel_scale), (1, 12, 12))


@pytest.mark.parametrize("observes", ["grey", "binary"])
def test_a_new_likelihood_says_what_it_observes(monkeypatch: pytest.MonkeyPatch, observes: Any):
    """In its own line of the table; nobody compares names."""
    monkeypatch.setitem(LIKELIHOODS, "normal", LikelihoodKind(lambda config: bernoulli, observes))
    config = ModelConfig(likelihood="normal")
    assert observes_binary(config, (1, 5, 6)) == (observes == "binary")
    assert build_likelihood(config, (1, 5, 6)) is bernoulli


def test_what_ours_observe():
    names: Any = list(LIKELIHOODS)
    binary = {name for name in names if observes_binary(ModelConfig(likelihood=name), (1, 5, 6))}
    assert "bernoulli" in binary
    assert not binary & {"normal", "continuous_bernoulli"}
    assert [observes_binary(ModelConfig(), shape) for shape in ((1, 5, 6), (3, 5, 6))] == [True, False]


@pytest.mark.parametrize(
    ("name", "channels", "expected"),
    [
        ("auto", 1, "bernoulli"),
        ("auto", 3, "normal"),
        ("continuous_bernoulli", 3, "continuous_bernoulli"),
        ("bernoulli", 3, "bernoulli"),
        ("normal", 1, "normal"),
    ],
)
def test_auto_is_bernoulli_for_grey_and_normal_for_colour(name: Any, channels: int, expected: str):
    assert likelihood_name(ModelConfig(likelihood=name), (channels, 12, 12)) == expected
