"""The flat baseline."""

from collections.abc import Callable

import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO

from models import MODELS
from rnp_pyro.config import ModelConfig
from rnp_pyro.errors import UserError

MakePair = Callable[..., tuple]
CheckShapes = Callable[..., None]


@pytest.mark.parametrize("particles", [(), (3,)], ids=["plain", "particles"])
def test_sites_have_the_shapes_that_the_source_states(
    make_pair: MakePair, images: torch.Tensor, check_shapes: CheckShapes, particles: tuple[int, ...]
):
    check_shapes(make_pair("vae")[0], images, particles)


@pytest.mark.parametrize("likelihood", ["normal", "bernoulli", "continuous_bernoulli"])
def test_the_image_is_observed_around_the_decoded_canvas(make_pair: MakePair, images: torch.Tensor, likelihood: str):
    model, _ = make_pair("vae", likelihood=likelihood)
    trace = poutine.trace(model).get_trace(images)
    canvas = torch.sigmoid(model.decoder(trace.nodes["z.0"]["value"]))
    assert torch.equal(trace.nodes["_RETURN"]["value"], canvas)
    assert torch.equal(trace.nodes["image"]["fn"].log_prob(images), model.likelihood(canvas).log_prob(images))
    assert trace.nodes["image"]["is_observed"]


def test_the_prior_is_a_standard_normal(make_pair: MakePair, images: torch.Tensor):
    trace = poutine.trace(make_pair("vae")[0]).get_trace(images)
    trace.compute_log_prob()
    site = trace.nodes["z.0"]
    expected = torch.distributions.Normal(0, 1).log_prob(site["value"]).sum(-1)
    torch.testing.assert_close(site["log_prob"], expected)


def test_it_has_no_part_term(make_pair: MakePair, images: torch.Tensor):
    model, _ = make_pair("vae", part_term_weight=0.1)
    sites = poutine.trace(model.train()).get_trace(images).nodes
    assert {name for name, site in sites.items() if site["type"] == "sample"} == {"images", "z.0", "image"}


def test_colour_images_are_decoded_in_colour(make_pair: MakePair):
    model, _ = make_pair("vae", image_shape=(3, 10, 14))
    assert model(torch.rand(2, 3, 10, 14)).shape == (2, 3, 10, 14)


def test_an_empty_latent_is_refused():
    with pytest.raises(UserError, match="latent_size must be at least 1, got 0"):
        MODELS["vae"](ModelConfig(name="vae", latent_size=0), (1, 12, 12))


def test_stamps_are_all_that_it_draws(make_pair, images):
    """A single stamp on black, wherever there is ink; and it trains."""
    model, guide = make_pair("vae", tree={"patch_decoder": "primitives", "primitives": ("line", "dot")})
    decoder = model.decoder
    assert decoder.stamps.shape[:2] == (2, 1)
    with torch.no_grad():
        decoder.maps.to_pixels.weight.zero_()
        decoder.maps.to_pixels.bias.fill_(-50.0)
        assert torch.sigmoid(decoder(torch.randn(3, 6))).max() < 1e-3
        decoder.maps.to_pixels.bias.fill_(3.0)
        inked = torch.sigmoid(decoder(torch.randn(2, 6)))
    assert 0 <= inked.min() < inked.max() < 1
    loss = Trace_ELBO().differentiable_loss(model, guide, images)
    loss.backward()
    assert any(one.grad.abs().sum() > 0 for one in decoder.maps.parameters())
