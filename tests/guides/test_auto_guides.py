"""Pyro's own guides on our models: where the answer is known they find it, and only one of them can be weighed."""

from collections.abc import Callable

import pyro
import pytest
import torch
from linear_gaussian import LinearGaussian, dense_posterior, draw_images, exact_evidence, rotated
from pyro.infer import SVI, Predictive, Trace_ELBO
from pyro.optim import ClippedAdam

from guides.auto import AUTO_GUIDES, build
from inference.bounds import elbo_terms, latent_means
from inference.importance import Sampling, bound, log_weights
from rnp_pyro.errors import UserError

MakePair = Callable[..., tuple]


def fit(
    name: str, model: pyro.nn.PyroModule, images: torch.Tensor, steps: int
) -> tuple[pyro.nn.PyroModule, list[float]]:
    """Fit with nothing but Pyro; a model in evaluation mode keeps its weights."""
    model.requires_grad_(model.training)
    guide = build(name, model)
    # The learning rate falls a thousandfold, so that noise settles.
    svi = SVI(model, guide, ClippedAdam({"lr": 0.05, "lrd": 0.001 ** (1 / steps)}), Trace_ELBO())
    return guide, [svi.step(images) for _ in range(steps)]


@pytest.mark.thorough
def test_independent_normals_reach_the_evidence_where_the_posterior_is_one():
    model = LinearGaussian().eval()
    images = draw_images(model, 6)
    guide, _ = fit("auto_normal", model, images, 1500)
    log_weight = log_weights(model, guide, images, Sampling(500, image_chunk=2))
    gap = exact_evidence(model, images) - bound(log_weight, 1)
    assert gap.abs().max() < 0.05


@pytest.mark.thorough
def test_a_low_rank_normal_finds_a_correlated_posterior():
    model = rotated(LinearGaussian()).eval()
    images = draw_images(model, 1)  # three latents: rank 2 and a diagonal can be any covariance
    guide, _ = fit("auto_low_rank", model, images, 2000)
    loc, covariance = dense_posterior(model, images)
    with torch.no_grad():
        drawn = torch.stack([guide(images)["z.0"] for _ in range(2000)])
    assert torch.allclose(drawn.mean(0), loc, atol=0.1)
    centred = drawn - drawn.mean(0)
    found = torch.einsum("sni,snj->nij", centred, centred) / len(drawn)
    assert torch.allclose(found, covariance.expand_as(found), atol=0.1)


@pytest.mark.thorough
def test_points_are_the_posteriors_mode():
    model = rotated(LinearGaussian()).eval()
    images = draw_images(model, 6)
    guide, _ = fit("auto_delta", model, images, 1000)
    loc, _ = dense_posterior(model, images)
    assert torch.allclose(latent_means(guide, images)["z.0"], loc, atol=1e-2)


@pytest.mark.thorough
@pytest.mark.parametrize("name", AUTO_GUIDES)
@pytest.mark.parametrize("node_latents", ["none", "both"])
def test_stock_pyro_fits_and_samples_a_tree(make_pair: MakePair, images: torch.Tensor, name: str, node_latents: str):
    model, _ = make_pair(node_latents=node_latents)
    guide, losses = fit(name, model, images, 50)
    assert sum(losses[-10:]) < 0.9 * sum(losses[:10])
    samples = Predictive(model, guide=guide, num_samples=3)(images)
    assert samples["z.2"].shape == (3, len(images), 6)
    assert ("z.0.1" in samples) == (node_latents == "both")
    with pyro.poutine.trace() as trace:
        guide(images)
    drawn = {at for at, site in trace.trace.nodes.items() if not site.get("infer", {}).get("is_auxiliary")}
    assert drawn >= set(pyro.poutine.trace(model).get_trace(images).stochastic_nodes) - {"images"}


@pytest.mark.thorough
def test_weighing_one_particle_is_its_elbo_and_more_tighten_it(make_pair: MakePair, images: torch.Tensor):
    model, _ = make_pair(node_latents="action")
    model.eval()
    guide, _ = fit("auto_normal", model, images, 50)
    log_weight = log_weights(model, guide, images, Sampling(400))
    bounds = torch.stack([bound(log_weight, size) for size in (1, 10, 100)])
    assert (bounds.diff(dim=0) > 0).all()
    draws = torch.stack([-elbo_terms(model, guide, images, seed=seed).neg_elbo for seed in range(100)])
    error = (draws.var(0) / 100 + log_weight.var(0) / 400).sqrt()
    assert ((draws.mean(0) - bounds[0]).abs() < 4 * error).all()


@pytest.mark.parametrize("name", ["auto_delta", "auto_low_rank"])
def test_others_have_no_density_of_an_image(make_pair: MakePair, images: torch.Tensor, name: str):
    model, _ = make_pair()
    guide = build(name, model)
    with pytest.raises(UserError, match=r"expected an amortized guide or AutoNormal, got Auto(Delta|LowRank)"):
        log_weights(model, guide, images, Sampling(3))


def test_an_unknown_name():
    with pytest.raises(UserError, match="expected one of auto_normal, auto_delta, auto_low_rank, got auto"):
        build("auto", LinearGaussian())
