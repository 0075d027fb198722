"""The gap and its two parts: exact answers where the posterior is normal."""

from math import log

import pyro
import pytest
import torch
from linear_gaussian import (
    LATENT_SIZE,
    LinearDecoder,
    LinearGaussian,
    LinearGuide,
    dense_posterior,
    draw_images,
    exact_evidence,
    exact_posterior,
    rotated,
)
from pyro.distributions import Laplace, MultivariateNormal, Normal
from pyro.nn import PyroModule

from inference.estimates import Estimate
from inference.posterior.gaps import (
    GapSettings,
    best_normal,
    fitted_proposal,
    guide_posterior,
    log_weights,
    split_gap,
)
from inference.posterior.log_joint import log_joint
from rnp_pyro.errors import UserError

SHIFT, STRETCH = 0.2, 1.3
SETTINGS = GapSettings(steps=200, bound_draws=4000, particles=1000)


def exact_draws(model: LinearGaussian, image: torch.Tensor, number: int = 800) -> torch.Tensor:
    """Draws of the posterior, as if from four chains."""
    loc, covariance = dense_posterior(model, image)
    return MultivariateNormal(loc[0], covariance).sample((4, number // 4))


def within(found: Estimate, expected: float, least: float = 1e-9) -> None:
    assert abs(found.value - expected) < 3.5 * found.standard_error + least


@pytest.mark.thorough
def test_an_exact_guide_has_no_gaps():
    model = LinearGaussian()
    image = draw_images(model, 1)
    target = log_joint(model, image[0])
    guide = guide_posterior(LinearGuide(model), target)
    found = split_gap(target, guide, exact_draws(model, image), SETTINGS, seed=0)
    evidence = exact_evidence(model, image).item()
    assert found.elbo.value == pytest.approx(evidence, abs=1e-9)
    assert found.elbo.standard_error < 1e-9
    within(found.log_evidence, evidence)
    within(found.best_elbo, evidence, least=0.01)
    within(found.amortization, 0.0, least=0.01)
    within(found.approximation, 0.0, least=0.01)
    assert found.khat < 0.5
    assert found.ess > 500


@pytest.mark.thorough
def test_a_diagonal_posterior_leaves_only_the_amortization_gap():
    """It is the divergence of the guide from the posterior; the best normal reaches the evidence."""
    model = LinearGaussian()
    image = draw_images(model, 1)
    target = log_joint(model, image[0])
    guide = guide_posterior(LinearGuide(model, SHIFT, STRETCH), target)
    found = split_gap(target, guide, exact_draws(model, image), SETTINGS, seed=0)
    _, scale = exact_posterior(model, image)
    divergence = (0.5 * (STRETCH**2 + (SHIFT / scale) ** 2 - 1) - log(STRETCH)).sum().item()
    evidence = exact_evidence(model, image).item()
    within(found.elbo, evidence - divergence)
    within(found.best_elbo, evidence, least=0.02)
    within(found.amortization, divergence, least=0.02)
    within(found.approximation, 0.0, least=0.02)


@pytest.mark.thorough
def test_correlations_are_the_approximation_gap():
    """Of all diagonal normals the best has the posterior's precisions: its divergence is known."""
    model = rotated(LinearGaussian(scale=0.4))
    image = draw_images(model, 1)
    target = log_joint(model, image[0])
    loc, covariance = dense_posterior(model, image)
    precision = torch.linalg.inv(covariance)
    divergence = 0.5 * (precision.diagonal().log().sum() - precision.logdet()).item()
    assert divergence > 0.1
    guide = Normal(loc[0] + 0.1, covariance.diagonal().sqrt()).to_event(1)
    found = split_gap(target, guide, exact_draws(model, image), SETTINGS, seed=0)
    within(found.approximation, divergence, least=0.02)
    assert found.amortization.value > 3.5 * found.amortization.standard_error
    total = found.log_evidence.value - found.elbo.value
    assert found.approximation.value + found.amortization.value == pytest.approx(total)


@pytest.mark.thorough
def test_the_best_normal_has_the_posteriors_precisions():
    model = rotated(LinearGaussian(scale=0.4))
    image = draw_images(model, 1)
    loc, covariance = dense_posterior(model, image)
    far = torch.full((LATENT_SIZE,), 2.0), torch.full((LATENT_SIZE,), 0.05)
    settings = GapSettings(steps=600, learning_rate=0.05)
    found = best_normal(log_joint(model, image[0]), [far], settings, seed=0)
    scale = torch.linalg.inv(covariance).diagonal().rsqrt()
    assert ((found.mean - loc[0]) / scale).abs().max() < 0.1
    torch.testing.assert_close(found.stddev, scale, rtol=0.05, atol=0)


def test_of_two_starts_the_better_one_is_kept():
    """After a single step both are still where they started."""
    model = LinearGaussian()
    image = draw_images(model, 1)
    loc, scale = exact_posterior(model, image)
    good, bad = (loc[0], scale), (loc[0] + 3, 2 * scale)
    for starts in ([good, bad], [bad, good]):
        found = best_normal(log_joint(model, image[0]), starts, GapSettings(steps=1, bound_draws=100), seed=0)
        assert (found.mean - loc[0]).abs().max() < 0.1


def test_a_guides_posterior_is_its_own_in_float64():
    model = LinearGaussian()
    guide, image = LinearGuide(model, SHIFT, STRETCH), draw_images(model, 1)
    loc, scale = exact_posterior(model, image)
    guide.to(torch.float32)
    before = torch.get_rng_state().tolist()
    found = guide_posterior(guide, log_joint(model, image[0]))
    assert torch.get_rng_state().tolist() == before
    assert (found.batch_shape, found.event_shape) == ((), (LATENT_SIZE,))
    torch.testing.assert_close(found.mean, loc[0] + SHIFT, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(found.stddev, STRETCH * scale, rtol=1e-4, atol=1e-4)
    assert found.mean.dtype == torch.float64
    assert next(guide.parameters()).dtype == torch.float32
    assert not list(pyro.get_param_store().keys())


def test_a_guide_of_another_family_is_refused():
    class Other(PyroModule):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            with pyro.plate("images", images.shape[-4], dim=-1):
                return pyro.sample(LinearDecoder.root_site, Laplace(torch.zeros(3), torch.ones(3)).to_event(1))

    target = log_joint(LinearGaussian(), torch.zeros(1, 3, 2))
    with pytest.raises(UserError, match="expected a guide whose posterior is a diagonal normal"):
        guide_posterior(Other(), target)


def test_the_proposal_has_the_draws_mean_and_tails():
    draws = torch.randn(4, 500, LATENT_SIZE) @ torch.randn(LATENT_SIZE, LATENT_SIZE)
    found = fitted_proposal(draws)
    flat = draws.flatten(0, 1)
    torch.testing.assert_close(found.mean, flat.mean(0))
    torch.testing.assert_close(found.covariance_matrix, flat.mT.cov(), rtol=0.01, atol=1e-3)
    normal = MultivariateNormal(flat.mean(0), flat.mT.cov())
    far = flat.mean(0) + 8 * flat.std(0)
    assert found.log_prob(far) > normal.log_prob(far)


def test_weights_are_functions_of_the_seed_whatever_the_chunks(monkeypatch: pytest.MonkeyPatch):
    model = LinearGaussian()
    target = log_joint(model, draw_images(model, 1)[0])
    normal = Normal(torch.zeros(3), torch.ones(3)).to_event(1)
    before = torch.get_rng_state().tolist()
    whole = log_weights(target, normal, 100, seed=1)
    assert torch.get_rng_state().tolist() == before
    monkeypatch.setattr("inference.posterior.gaps.CHUNK", 7)
    torch.testing.assert_close(log_weights(target, normal, 100, seed=1), whole)
    assert not torch.isclose(log_weights(target, normal, 100, seed=2), whole).any()
