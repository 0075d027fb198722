"""Unseen pixels are left out of the likelihood, and of nothing else."""

from collections.abc import Callable

import pyro
import pytest
import torch
from pyro import poutine
from pyro.distributions import Normal

from inference.completion.masking import SeenPixels, hide
from models import MODELS

MakePair = Callable[..., tuple]


@pytest.fixture
def seen() -> torch.Tensor:
    mask = torch.ones(1, 12, 12, dtype=torch.bool)
    mask[:, 5:, 3:] = False
    return mask


def likelihood(model, images: torch.Tensor, z: torch.Tensor, *masks: torch.Tensor) -> torch.Tensor:
    conditioned = poutine.condition(model, {model.decoder.root_site: z})
    with pyro.plate("particles", len(z), dim=-2):
        for mask in masks:
            with SeenPixels(mask):
                trace = poutine.trace(conditioned).get_trace(images)
        if not masks:
            trace = poutine.trace(conditioned).get_trace(images)
    trace.compute_log_prob()
    return trace.nodes["image"]["log_prob"]


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("kind", ["normal", "bernoulli", "continuous_bernoulli"])
def test_the_masked_likelihood_is_the_sum_over_seen_pixels(make_pair: MakePair, images, seen, name: str, kind: str):
    model, _ = make_pair(name, likelihood=kind)
    model.eval()
    z = torch.randn(3, 4, 6)
    canvas = poutine.condition(model, {model.decoder.root_site: z})
    with pyro.plate("particles", 3, dim=-2):
        pixels = model.likelihood(canvas(images)).base_dist.log_prob(images)
    expected = (pixels * seen).sum((-3, -2, -1))
    found = likelihood(model, images, z, seen)
    assert found.shape == (3, 4)
    torch.testing.assert_close(found, expected)
    assert not torch.allclose(found, pixels.sum((-3, -2, -1)))


def test_a_mask_that_hides_nothing_changes_nothing(make_pair: MakePair, images, seen):
    model, _ = make_pair()
    model.eval()
    z = torch.randn(2, 4, 6)
    everything = torch.ones_like(seen)
    torch.testing.assert_close(likelihood(model, images, z, everything), likelihood(model, images, z))


def test_each_image_may_have_its_own_mask(make_pair: MakePair, images, seen):
    model, _ = make_pair()
    model.eval()
    z = torch.randn(2, 4, 6)
    masks = torch.stack([seen, ~seen, seen, ~seen])
    found = likelihood(model, images, z, masks)
    torch.testing.assert_close(found[:, 1], likelihood(model, images, z, ~seen)[:, 1])
    torch.testing.assert_close(found[:, 2], likelihood(model, images, z, seen)[:, 2])


def test_what_is_unseen_is_never_looked_at(make_pair: MakePair, images, seen):
    model, _ = make_pair()
    model.eval()
    z = torch.randn(2, 4, 6)
    other = torch.where(seen, images, 1 - images)
    assert torch.equal(likelihood(model, images, z, seen), likelihood(model, other, z, seen))
    assert torch.equal(hide(images, seen), hide(other, seen))
    assert (hide(images, seen)[..., 5:, 3:] == 0).all()


def test_latents_keep_their_prior(make_pair: MakePair, images, seen):
    model, _ = make_pair()
    with SeenPixels(seen):
        trace = poutine.trace(model).get_trace(images)
    trace.compute_log_prob()
    site = trace.nodes["z.2"]
    torch.testing.assert_close(site["log_prob"], Normal(torch.zeros(6), 1).to_event(1).log_prob(site["value"]))


def test_pixels_that_are_not_independent_are_refused(seen):
    def model() -> None:
        pyro.sample("image", Normal(torch.zeros(1, 12, 12), 1).to_event(2), obs=torch.zeros(1, 12, 12))

    with SeenPixels(seen), pytest.raises(ValueError, match="pixels must be independent"):
        model()
