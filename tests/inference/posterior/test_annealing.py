"""Populations that walk from the prior: exact evidence, exact posterior."""

import pytest
import torch
from linear_gaussian import LATENT_SIZE, LinearGaussian, dense_posterior, draw_images, exact_evidence, rotated
from pyro.distributions import MultivariateNormal

from inference.posterior.annealing import (
    AnnealingSettings,
    HamiltonianMove,
    Starts,
    anneal,
    annealed_log_weights,
    floored_covariance,
    next_temperature,
)
from inference.posterior.bridge import Bridge
from inference.posterior.log_joint import LogJoint, log_joint

MANY = 60
"""Populations: enough for a mean with a standard error."""


@pytest.fixture
def linear() -> tuple[LogJoint, float, torch.Tensor, torch.Tensor]:
    """A log joint, its log evidence, and the posterior's mean and covariance."""
    model = rotated(LinearGaussian(scale=0.4))
    image = draw_images(model, 1)
    loc, covariance = dense_posterior(model, image)
    return log_joint(model, image[0]), exact_evidence(model, image).item(), loc[0], covariance


@pytest.fixture
def starts(linear: tuple) -> Starts:
    return anneal(linear[0], MANY, AnnealingSettings(), seed=3)


@pytest.mark.thorough
def test_the_mean_of_the_estimates_is_the_evidence(linear: tuple, starts: Starts):
    ratio = (starts.log_evidence - linear[1]).exp()
    assert abs(ratio.mean() - 1) < 3.5 * ratio.std() / MANY**0.5
    assert ratio.std() < 1


@pytest.mark.thorough
def test_walkers_end_in_the_posterior(linear: tuple, starts: Starts):
    _, _, loc, covariance = linear
    assert starts.z.shape == (MANY, LATENT_SIZE)
    whitened = torch.linalg.solve_triangular(torch.linalg.cholesky(covariance), (starts.z - loc).mT, upper=False)
    assert whitened.mean(-1).abs().max() < 3.5 / MANY**0.5
    assert whitened.square().mean().item() == pytest.approx(1, abs=3.5 * (2 / whitened.numel()) ** 0.5)
    torch.testing.assert_close(starts.covariance, covariance, atol=0.02, rtol=0.1)


@pytest.mark.thorough
def test_more_is_kept_at_more_temperatures(linear: tuple):
    counts = [anneal(linear[0], 2, AnnealingSettings(kept=kept), seed=0).temperatures for kept in (0.4, 0.7, 0.95)]
    assert counts == sorted(set(counts))


@pytest.mark.thorough
def test_walks_are_functions_of_the_seed(linear: tuple):
    before = torch.get_rng_state().tolist()
    walks = [anneal(linear[0], 2, AnnealingSettings(population=4, settling=2), seed) for seed in (1, 1, 2)]
    assert torch.get_rng_state().tolist() == before
    assert torch.equal(walks[0].z, walks[1].z)
    assert torch.equal(walks[0].log_evidence, walks[1].log_evidence)
    assert not torch.isclose(walks[0].z, walks[2].z).any()


@pytest.mark.thorough
def test_each_move_is_told(linear: tuple):
    told: list[float] = []
    settings = AnnealingSettings(population=4, settling=5)
    found = anneal(linear[0], 2, settings, seed=0, tick=told.append)
    assert len(told) == found.temperatures + 5
    assert told == sorted(told)
    assert told[found.temperatures - 1 :] == [1.0] * 6


def test_a_temperature_leaves_the_share_that_is_to_be_kept():
    log_likelihood = 30 * torch.randn(4, 16)
    temperature = next_temperature(log_likelihood, 0.2, 0.8)
    assert 0.2 < temperature < 1
    weight = torch.softmax((temperature - 0.2) * log_likelihood, -1)
    assert (1 / weight.square().sum(-1)).mean() / 16 == pytest.approx(0.8, abs=1e-6)


def test_equal_walkers_need_no_temperatures():
    assert next_temperature(torch.full((2, 8), -70.0), 0.0, 0.8) == 1


def test_temperatures_always_rise():
    """A walker may be so much better than the others that no temperature keeps enough."""
    log_likelihood = torch.tensor([[0.0, -1e12, -1e12, -1e12]])
    assert next_temperature(log_likelihood, 0.5, 0.8) > 0.5


def test_walkers_that_span_no_volume_still_have_a_covariance():
    z = torch.ones(2, 3, 5)
    for dense in (True, False):
        torch.linalg.cholesky(floored_covariance(z, dense))


@pytest.mark.thorough
@pytest.mark.parametrize("bridged", [False, True])
def test_annealed_weights_average_to_the_evidence(linear: tuple, bridged: bool):
    """From the prior, and from a proposal beside the posterior."""
    target, evidence, loc, covariance = linear
    proposal = MultivariateNormal(loc + 0.3, 1.5 * covariance)
    start = Bridge(target, proposal) if bridged else target
    moves = HamiltonianMove(covariance, 0.5, 3)
    few, many = (annealed_log_weights(start, 600, steps, moves, seed=0) for steps in ([1.0], [0.1, 0.3, 0.6, 1.0]))
    for log_weight in (few, many):
        assert log_weight.shape == (600,)
        ratio = (log_weight - evidence).exp()
        assert abs(ratio.mean() - 1) < 3.5 * ratio.std() / 600**0.5
    assert many.std() < 0.8 * few.std()


def test_one_temperature_is_plain_importance_sampling(linear: tuple):
    target, _, loc, covariance = linear
    proposal = MultivariateNormal(loc, covariance)
    log_weight = annealed_log_weights(Bridge(target, proposal), 150, [1.0], HamiltonianMove(covariance, 0.5, 3), seed=0)
    torch.testing.assert_close(log_weight, torch.full((150,), linear[1]), atol=1e-9, rtol=0)


def test_a_bridge_is_the_log_joint_split_anew(linear: tuple):
    target, _, loc, covariance = linear
    bridge, z = Bridge(target, MultivariateNormal(loc, covariance)), torch.randn(4, 2, LATENT_SIZE)
    torch.testing.assert_close(bridge.terms(z).joint, target(z))
    assert bridge.draw_prior(7).shape == (7, LATENT_SIZE)


def test_annealed_weights_are_functions_of_the_seed(linear: tuple):
    before = torch.get_rng_state().tolist()
    told: list[None] = []
    moves = HamiltonianMove(linear[3], 0.5, 2)
    one, same, other = (
        annealed_log_weights(linear[0], 100, [0.5, 1.0], moves, seed, lambda: told.append(None)) for seed in (1, 1, 2)
    )
    assert torch.get_rng_state().tolist() == before
    assert torch.equal(one, same)
    assert not torch.isclose(one, other).any()
    assert len(told) == 3 * 2  # chunks of 64 and 36, one move each
