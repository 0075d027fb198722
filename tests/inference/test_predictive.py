"""Programs from the prior and from posteriors: exact where a model is linear and normal, and honest everywhere."""

from collections.abc import Callable
from dataclasses import replace

import pyro
import pytest
import torch
from linear_gaussian import (
    IMAGE_SHAPE,
    LinearGaussian,
    LinearGuide,
    draw_images,
    exact_evidence,
    exact_posterior,
)
from pyro.distributions import MultivariateNormal

from inference import predictive
from inference.completion import fillings
from inference.completion.fillings import Search
from inference.predictive import Weighed, programs_of, resample, sample_prior, take, unfold_as_drawn, weigh_given
from models import MODELS
from rnp_pyro.errors import UserError

MakePair = Callable[..., tuple]
NAMES = list(MODELS)
SHAPE = (1, 12, 12)
EVERYTHING = torch.ones(IMAGE_SHAPE, dtype=torch.bool)


@pytest.fixture
def linear() -> tuple[LinearGaussian, LinearGuide, torch.Tensor]:
    model = LinearGaussian()
    return model, LinearGuide(model, shift=0.2, stretch=1.4), draw_images(model, 3)


@pytest.fixture
def seen() -> torch.Tensor:
    """The lower row hidden."""
    mask = torch.ones(IMAGE_SHAPE, dtype=torch.bool)
    mask[:, 2:] = False
    return mask


def conditional(model: LinearGaussian, images: torch.Tensor, seen: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """Mean and covariance of z given the seen pixels, and these pixels' log evidence."""
    rows = seen.flatten()
    weight, bias = model.decoder.weight.detach()[rows], model.decoder.bias.detach()[rows]
    pixels, variance = images.flatten(-3)[:, rows], model.scale**2
    covariance = torch.linalg.inv(torch.eye(weight.shape[1]) + weight.mT @ weight / variance)
    loc = (pixels - bias) @ weight @ covariance / variance
    marginal = MultivariateNormal(bias, weight @ weight.mT + variance * torch.eye(len(bias)))
    return loc, covariance, marginal.log_prob(pixels)


def moments(weighed: Weighed, site: str) -> tuple[torch.Tensor, torch.Tensor]:
    weight = weighed.smoothed.exp()
    mean = (weight[..., None] * weighed.latents[site]).sum(0)
    centred = weighed.latents[site] - mean
    return mean, torch.einsum("pi,pia,pib->iab", weight, centred, centred)


# -- given a part of an image


@pytest.mark.thorough
@pytest.mark.parametrize("rounds", [0, 1, 3])
def test_completions_agree_with_the_exact_conditional(linear, seen, rounds: int):
    """Whatever was filled in: mean, covariance, evidence and expected image, within the weights' standard errors."""
    model, guide, images = linear
    search = Search(num_particles=4000, rounds=rounds, num_fillings=8, seed=3)
    weighed = weigh_given(model, guide, images, seen, search)
    loc, covariance, evidence = conditional(model, images, seen)
    mean, spread = moments(weighed, "z.0")
    standard_error = covariance.diagonal().sqrt() / weighed.ess.sqrt()[:, None]
    assert ((mean - loc).abs() < 4 * standard_error).all()
    assert ((spread - covariance).abs() < 0.15).all()
    estimate = weighed.log_weight.logsumexp(0) - torch.tensor(4000.0).log()
    assert ((estimate - evidence).abs() < 5 / weighed.ess.sqrt()).all()
    expected = (loc @ model.decoder.weight.detach().mT + model.decoder.bias.detach()).unflatten(-1, IMAGE_SHAPE)
    assert ((weighed.mean - expected).abs() < 10 * standard_error.max()).all()


@pytest.mark.thorough
def test_fillings_mend_a_proposal_that_does_not_fit(linear, seen):
    """Unseen pixels far from 0: black holes mislead the guide, and the weights show it."""
    model, guide, images = linear
    with torch.no_grad():
        model.decoder.bias[4:] += 6.0
        guide.offset -= 6.0 * guide.slope[4:].sum(0)
    search = Search(num_particles=1000, num_fillings=16, seed=1)
    alone = weigh_given(model, guide, images, seen, replace(search, rounds=0))
    filled = weigh_given(model, guide, images, seen, replace(search, rounds=3))
    assert (filled.ess > 3 * alone.ess).all()
    loc, _, _ = conditional(model, images, seen)
    assert (moments(filled, "z.0")[0] - loc).abs().max() < 0.2


@pytest.mark.thorough
def test_with_nothing_hidden_it_is_the_posterior(linear):
    model, guide, images = linear
    weighed = weigh_given(model, guide, images, EVERYTHING, Search(num_particles=4000, rounds=0))
    loc, scale = exact_posterior(model, images)
    mean, spread = moments(weighed, "z.0")
    assert ((mean - loc).abs() < 4 * scale / weighed.ess.sqrt()[:, None]).all()
    assert ((spread.diagonal(dim1=-2, dim2=-1) / scale.square() - 1).abs() < 0.15).all()
    estimate = weighed.log_weight.logsumexp(0) - torch.tensor(4000.0).log()
    torch.testing.assert_close(estimate, exact_evidence(model, images), rtol=0, atol=0.1)
    assert weighed.trusted.all()


def test_an_exact_guide_has_equal_weights(linear):
    model, _, images = linear
    weighed = weigh_given(model, LinearGuide(model), images, EVERYTHING, Search(num_particles=50, rounds=0))
    torch.testing.assert_close(weighed.ess, torch.full((3,), 50.0))
    torch.testing.assert_close(weighed.log_weight[0], exact_evidence(model, images))


def test_unseen_pixels_and_other_images_change_nothing(linear, seen):
    model, guide, images = linear
    search = Search(num_particles=40, rounds=1, num_fillings=4)
    weighed = weigh_given(model, guide, images, seen, search)
    other = torch.where(seen, images, 99.0)
    assert torch.equal(weigh_given(model, guide, other, seen, search).log_weight, weighed.log_weight)
    alone = weigh_given(model, guide, images[:1], seen, search)
    torch.testing.assert_close(alone.log_weight[:, 0], weighed.log_weight[:, 0])


@pytest.mark.thorough
def test_chunks_change_nothing(linear, seen, monkeypatch: pytest.MonkeyPatch):
    model, guide, images = linear
    search = Search(num_particles=50, rounds=2, num_fillings=7)
    whole = weigh_given(model, guide, images, seen, search)
    monkeypatch.setattr(fillings, "LANES", 9)
    monkeypatch.setattr(predictive, "CHUNK", 4)
    chunked = weigh_given(model, guide, images, seen, search)
    torch.testing.assert_close(chunked.log_weight, whole.log_weight)
    torch.testing.assert_close(chunked.mean, whole.mean)


def test_damaged_weights_are_refused(linear, seen):
    model, guide, images = linear
    with torch.no_grad():
        model.decoder.weight[0, 0] = torch.nan
    with pytest.raises(UserError, match="the run's weights are damaged"):
        weigh_given(model, guide, images, seen, Search(num_particles=64, rounds=1))


def test_choosing_shares_no_noise_with_what_is_chosen_from(linear, seen, monkeypatch: pytest.MonkeyPatch):
    model, guide, images = linear
    used: list[int] = []
    real = predictive.seeded
    monkeypatch.setattr(predictive, "seeded", lambda seed, device: (used.append(seed), real(seed, device))[1])
    weighed = weigh_given(model, guide, images, seen, Search(num_particles=64, rounds=0, seed=0))
    resample(weighed, 4, seed=0)
    assert len(set(used)) == len(images) + 1


def test_it_is_a_function_of_the_seed(linear, seen):
    model, guide, images = linear
    before = torch.get_rng_state()
    one, same, other = (
        weigh_given(model, guide, images, seen, Search(30, 1, 4, seed)).log_weight for seed in (1, 1, 2)
    )
    assert torch.equal(one, same)
    assert not torch.equal(one, other)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.thorough
@pytest.mark.parametrize("name", NAMES)
def test_any_pair_completes_images(make_pair: MakePair, images: torch.Tensor, name: str):
    model, guide = make_pair(name)
    seen = torch.ones(SHAPE, dtype=torch.bool)
    seen[:, 6:] = False
    weighed = weigh_given(model, guide, images, seen, Search(40, 1, 4))
    assert weighed.mean.shape == images.shape
    assert weighed.log_weight.isfinite().all()
    torch.testing.assert_close(weighed.smoothed.exp().sum(0), torch.ones(4))
    chosen = resample(weighed, 5)
    sampled = {site: value[:, 2] for site, value in take(weighed.latents, chosen).items()}
    drawn = programs_of(model, sampled, SHAPE)
    assert drawn.canvas.shape == (5, *SHAPE)
    assert model.training
    assert guide.training


# -- resampling


def test_resampled_particles_follow_their_weights():
    weight = torch.tensor([0.0, 0.1, 0.6, 0.3])
    weighed = Weighed(
        latents={"z.0": torch.arange(4.0)[:, None, None].expand(4, 2, 1)},
        log_weight=weight.log()[:, None].expand(4, 2),
        smoothed=weight.log()[:, None].expand(4, 2),
        khat=torch.zeros(2),
        ess=torch.ones(2),
        mean=torch.zeros(2, 1, 1, 1),
    )
    chosen = resample(weighed, 10_000, seed=1)
    shares = torch.stack([(chosen == particle).double().mean(0) for particle in range(4)])
    torch.testing.assert_close(shares, weight[:, None].expand(4, 2), rtol=0, atol=0.02)
    assert (weight[chosen].diff(dim=0) <= 0).all()
    assert torch.equal(take(weighed.latents, chosen)["z.0"][..., 0].long(), chosen)


# -- the prior


def test_the_prior_is_the_models():
    model = LinearGaussian()
    drawn = sample_prior(model, IMAGE_SHAPE, 20_000, seed=2)
    z = drawn.latents["z.0"]
    assert (z.mean(0).abs() < 0.03).all()
    torch.testing.assert_close(z.T.cov(), torch.eye(3), rtol=0, atol=0.05)
    assert drawn.parse is None
    assert torch.equal(drawn.canvas, drawn.mean)


def test_temperature_scales_the_prior():
    model = LinearGaussian()
    one, half, zero = (
        sample_prior(model, IMAGE_SHAPE, 10, temperature, seed=2).latents["z.0"] for temperature in (1.0, 0.5, 0.0)
    )
    torch.testing.assert_close(half, one / 2)
    assert torch.equal(zero, torch.zeros_like(one))


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("name", NAMES)
def test_samples_draw_what_their_programs_say(make_pair: MakePair, name: str):
    model, _ = make_pair(name)
    drawn = sample_prior(model, SHAPE, 5)
    again = programs_of(model, drawn.latents, SHAPE)
    torch.testing.assert_close(again.canvas, drawn.canvas)
    if name == "rnp":
        assert drawn.parse is not None
        torch.testing.assert_close(model.tree.fold(drawn.parse), drawn.canvas)
        assert torch.equal(drawn.parse.root, drawn.latents["z.2"])


@pytest.mark.thorough
def test_chunks_of_programs_are_joined(make_pair: MakePair, monkeypatch: pytest.MonkeyPatch):
    model, _ = make_pair()
    latents = {"z.2": torch.randn(7, 6)}
    whole = programs_of(model, latents, SHAPE)
    monkeypatch.setattr(predictive, "CHUNK", 3)
    chunked = programs_of(model, latents, SHAPE)
    torch.testing.assert_close(chunked.canvas, whole.canvas)
    assert chunked.parse is not None
    assert whole.parse is not None
    torch.testing.assert_close(chunked.parse.at(0).patch, whole.parse.at(0).patch)


def test_latents_of_nodes_are_unfolded_as_they_were_drawn(make_pair: MakePair):
    """A model that draws its nodes too: their sites' values are the tree's."""
    tree = make_pair()[0].tree
    drawn: dict[str, torch.Tensor] = {}

    def draw(name, loc, scale, context):
        return drawn.setdefault(name, pyro.distributions.Normal(loc, 0.1).sample())

    with torch.no_grad():
        root = torch.randn(3, 6)
        parse = tree.unfold(root, draw)
        again = unfold_as_drawn(tree, {"z.2": root, **drawn})
        means = unfold_as_drawn(tree, {"z.2": root})
    torch.testing.assert_close(again.at(0).patch, parse.at(0).patch)
    assert not torch.allclose(means.at(0).patch, parse.at(0).patch)
