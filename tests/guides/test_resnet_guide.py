"""The amortized guide: an honest KL, and sites that are the model's."""

from collections.abc import Callable
from math import sqrt

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from torch.distributions import Normal, kl_divergence

from guides.resnet import ResNetGuide
from guides.roots import SMALLEST_SCALE
from models import MODELS

MakePair = Callable[..., tuple]
CheckShapes = Callable[..., None]
Randomise = Callable[..., None]


def posterior(guide: ResNetGuide, images: torch.Tensor) -> Normal:
    """The guide's diagonal normal, one for each image."""
    site = poutine.trace(guide).get_trace(images).nodes[guide.site]
    base = site["fn"].base_dist
    return Normal(base.loc.detach(), base.scale.detach())


@pytest.mark.parametrize("particles", [(), (3,)], ids=["plain", "particles"])
def test_sites_have_the_shapes_that_the_source_states(
    make_pair: MakePair, images: torch.Tensor, check_shapes: CheckShapes, particles: tuple[int, ...]
):
    _, guide = make_pair()
    check_shapes(guide, images, particles)


def latent_shapes(program: torch.nn.Module, images: torch.Tensor) -> dict[str, torch.Size]:
    trace = poutine.trace(program).get_trace(images)
    return {name: trace.nodes[name]["value"].shape for name in trace.stochastic_nodes if name != "images"}


@pytest.mark.parametrize("name", MODELS)
def test_the_guide_has_the_models_latent_sites(make_pair: MakePair, images: torch.Tensor, name: str):
    model, guide = make_pair(name)
    assert latent_shapes(guide, images) == latent_shapes(model, images)
    assert list(latent_shapes(guide, images)) == [model.decoder.root_site]


def draws_of(guide: ResNetGuide, images: torch.Tensor, num_draws: int) -> torch.Tensor:
    """What the guide itself draws, [draws, images, Z]."""
    with torch.no_grad(), pyro.plate("draws", num_draws, dim=-2):
        return guide(images)


def test_the_kl_of_the_sampler_is_the_analytic_one(make_pair: MakePair, images: torch.Tensor, randomise: Randomise):
    """The mean of log q(z) - log p(z) over the guide's own draws, within standard errors, image by image.

    Were a variance taken for a standard deviation in the sampler only, as in line 16 of Algorithm 1, they would differ.
    """
    _, guide = make_pair()
    randomise(guide)
    q, p = posterior(guide, images), Normal(0, 1)
    analytic = kl_divergence(q, p).sum(-1)
    draws = draws_of(guide, images, 20_000)
    differences = (q.log_prob(draws) - p.log_prob(draws)).sum(-1)
    error = differences.std(0) / sqrt(len(draws))
    assert ((differences.mean(0) - analytic).abs() <= 4 * error).all()
    assert (error < 0.02 * analytic).all()


@pytest.mark.thorough
@pytest.mark.parametrize("name", MODELS)
def test_bounds_with_either_kl_agree(make_pair: MakePair, images: torch.Tensor, randomise: Randomise, name: str):
    """Trace_ELBO draws its KL, TraceMeanField_ELBO knows it; of one seed's draws they differ by nothing else."""
    model, guide = make_pair(name, likelihood="normal", part_term_weight=0.1)
    randomise(guide)
    differences = []
    for seed in range(60):
        losses = []
        for kind in (Trace_ELBO, TraceMeanField_ELBO):
            torch.manual_seed(seed)
            with torch.no_grad():
                losses.append(kind(max_plate_nesting=1).loss(model, guide, images))
        differences.append(losses[0] - losses[1])
    found = torch.tensor(differences)
    assert found.mean().abs() <= 4 * found.std() / sqrt(60)
    # The difference is that of the KLs alone, whose spread is that of log q - log p.
    q, p = posterior(guide, images), Normal(0, 1)
    draws = draws_of(guide, images, 2000)
    spread = (q.log_prob(draws) - p.log_prob(draws)).sum((-2, -1)).std()
    assert 0.6 < found.std() / spread < 1.6


def test_draws_have_the_stated_mean_and_standard_deviation(
    make_pair: MakePair, images: torch.Tensor, randomise: Randomise
):
    _, guide = make_pair()
    randomise(guide)
    q, draws = posterior(guide, images), draws_of(guide, images, 20_000)
    assert ((draws.mean(0) - q.mean).abs() <= 4.5 * q.stddev / sqrt(len(draws))).all()
    # The standard error of a standard deviation is sigma / sqrt(2 n).
    assert ((draws.std(0) - q.stddev).abs() <= 4.5 * q.stddev / sqrt(2 * len(draws))).all()


@pytest.mark.parametrize("raw", [-1e4, -50.0, 0.0, 50.0, 1e4])
def test_a_scale_is_above_0_and_finite(make_pair: MakePair, images: torch.Tensor, raw: float):
    _, guide = make_pair()
    with torch.no_grad():
        guide.root.loc_and_scale.weight.zero_()
        guide.root.loc_and_scale.bias.fill_(raw)
    q = posterior(guide, images)
    assert (q.stddev >= SMALLEST_SCALE).all()
    assert q.stddev.isfinite().all()
    assert torch.equal(q.mean, torch.full((4, 6), raw))


def test_an_images_posterior_does_not_depend_on_its_batch(
    make_pair: MakePair, images: torch.Tensor, randomise: Randomise
):
    _, guide = make_pair()
    randomise(guide)
    together, alone = posterior(guide, images), posterior(guide, images[2:3])
    torch.testing.assert_close(alone.mean[0], together.mean[2])
    torch.testing.assert_close(alone.stddev[0], together.stddev[2])
    assert (together.mean[0] - together.mean[1]).abs().max() > 1e-3


def test_the_posterior_is_computed_in_float32_or_wider(make_pair: MakePair, images: torch.Tensor):
    _, guide = make_pair()
    assert posterior(guide.bfloat16(), images.bfloat16()).mean.dtype == torch.float32
    assert posterior(guide.double(), images).mean.dtype == torch.float64


def test_the_guide_runs_on_the_meta_device(make_pair: MakePair, images: torch.Tensor):
    _, guide = make_pair()
    with pyro.validation_enabled(False):
        assert guide.to("meta")(images.to("meta")).shape == (4, 6)
