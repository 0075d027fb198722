"""NUTS: the exact posterior within Monte Carlo error, and r-hat where chains disagree."""

import logging
from math import isnan, sqrt

import pyro
import pytest
import torch
from linear_gaussian import LATENT_SIZE, LinearDecoder, LinearGaussian, dense_posterior, draw_images, rotated
from pyro.distributions import Normal
from pyro.nn import PyroModule

from inference.posterior.annealing import AnnealingSettings, Starts, anneal
from inference.posterior.log_joint import LogJoint, log_joint
from inference.posterior.mcmc import ChainDraws, NutsSettings, run_chain, sample_posterior

SHORT = NutsSettings(warmup=10, draws=8)


@pytest.fixture
def linear() -> tuple[LogJoint, torch.Tensor, torch.Tensor]:
    """A log joint, and the posterior's mean and covariance."""
    model = rotated(LinearGaussian(scale=0.4))
    image = draw_images(model, 1)
    loc, covariance = dense_posterior(model, image)
    return log_joint(model, image[0]), loc[0], covariance


class Square(PyroModule):
    """x = z_0^2 and noise: +z and -z explain an image equally well."""

    def __init__(self) -> None:
        super().__init__()
        self.decoder = LinearDecoder()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        with pyro.plate("images", images.shape[-4], dim=-1):
            z = pyro.sample("z.0", Normal(images.new_zeros(LATENT_SIZE), 1).to_event(1))
            canvas = z[..., :1, None, None].square() * images.new_ones(images.shape[-3:])
            pyro.sample("image", Normal(canvas, 0.5).to_event(3), obs=images)
        return canvas


def starts_at(z: torch.Tensor, variance: tuple[float, ...] = (0.2,) * LATENT_SIZE) -> Starts:
    return Starts(z, torch.tensor(variance).diag(), torch.zeros(len(z)), 1)


@pytest.mark.thorough
def test_moments_are_the_posteriors_within_monte_carlo_error(linear: tuple):
    """From starts far out and with a mass matrix that is none of the posterior's."""
    target, loc, covariance = linear
    starts = starts_at(5 * torch.randn(4, LATENT_SIZE))
    found = sample_posterior(target, starts, NutsSettings(warmup=40, draws=120), seed=0)
    assert found.z.shape == (4, 120, LATENT_SIZE)
    scale = covariance.diagonal().sqrt()
    assert ((found.loc - loc) / (scale / found.ess.sqrt())).abs().max() < 3.5
    assert (found.scale / scale - 1).abs().max() < 3.5 / sqrt(found.ess.min())
    correlation = found.z.flatten(0, 1).mT.corrcoef()
    expected = covariance / (scale[:, None] * scale)
    assert (correlation - expected).abs().max() < 3.5 / sqrt(found.ess.min())
    assert found.rhat.max() < 1.05
    assert found.log_joint_rhat < 1.05
    assert found.divergences == 0
    torch.testing.assert_close(found.log_joint, target(found.z))


@pytest.mark.thorough
def test_annealed_starts_lead_into_the_posterior(linear: tuple):
    target, loc, covariance = linear
    starts = anneal(target, 2, AnnealingSettings(population=8), seed=0)
    found = sample_posterior(target, starts, NutsSettings(warmup=20, draws=100), seed=0)
    assert ((found.loc - loc) / covariance.diagonal().sqrt()).abs().max() < 4 / sqrt(found.ess.min())
    assert found.rhat.max() < 1.1


@pytest.mark.thorough
def test_chains_in_different_modes_are_told():
    target = log_joint(Square(), torch.full((1, 3, 2), 2.0))
    apart = torch.tensor([[1.4, 0, 0], [1.4, 0, 0], [-1.4, 0, 0], [-1.4, 0, 0]])
    settings, variance = NutsSettings(warmup=20, draws=40), (0.005, 1, 1)
    found = sample_posterior(target, starts_at(apart, variance), settings, seed=0)
    assert found.rhat[0] > 1.5
    assert found.rhat[1:].max() < 1.2
    assert found.ess[0] < 10
    together = sample_posterior(target, starts_at(apart[:2], variance), settings, seed=0)
    assert together.rhat[0] < 1.2


@pytest.mark.thorough
def test_one_chain_has_no_rhat(linear: tuple):
    found = sample_posterior(linear[0], starts_at(torch.zeros(1, LATENT_SIZE)), SHORT, seed=0)
    assert found.rhat.isnan().all()
    assert isnan(found.log_joint_rhat)


@pytest.mark.thorough
def test_chains_are_functions_of_seed_and_number(linear: tuple):
    starts = starts_at(torch.zeros(2, LATENT_SIZE))
    runs: list[ChainDraws] = [sample_posterior(linear[0], starts, SHORT, seed) for seed in (1, 1, 2)]
    assert torch.equal(runs[0].z, runs[1].z)
    assert not torch.isclose(runs[0].z[0], runs[0].z[1]).all()
    assert not torch.isclose(runs[0].z, runs[2].z).all()
    alone = sample_posterior(linear[0], starts_at(torch.zeros(1, LATENT_SIZE)), SHORT, seed=1)
    assert torch.equal(alone.z[0], runs[0].z[0])


@pytest.mark.thorough
def test_every_transition_is_told_and_every_gradient_counted(linear: tuple):
    told: list[None] = []
    found = sample_posterior(linear[0], starts_at(torch.zeros(2, LATENT_SIZE)), SHORT, 0, lambda: told.append(None))
    assert len(told) == 2 * (SHORT.warmup + SHORT.draws)
    assert found.gradients > len(told)
    shallow = NutsSettings(SHORT.warmup, SHORT.draws, max_tree_depth=1)
    chain = run_chain(linear[0], torch.zeros(LATENT_SIZE), torch.eye(LATENT_SIZE), shallow, 0)
    assert chain.gradients < 100


@pytest.mark.thorough
def test_a_better_mass_matrix_needs_fewer_gradients(linear: tuple):
    target, loc, covariance = linear
    settings = NutsSettings(warmup=40, draws=40)
    fitting, plain = (
        run_chain(target, loc, matrix, settings, 0) for matrix in (covariance, 25 * torch.eye(LATENT_SIZE))
    )
    assert fitting.gradients < plain.gradients


def test_nothing_is_left_behind(linear: tuple):
    def state() -> tuple:
        logger = logging.getLogger("pyro.infer.mcmc")
        settings = pyro.settings.get()
        return (
            torch.get_rng_state().tolist(),
            list(logger.handlers),
            logger.propagate,
            settings,
            torch.is_grad_enabled(),
        )

    start = torch.zeros(LATENT_SIZE)
    before = state()
    run_chain(linear[0], start, torch.eye(LATENT_SIZE), SHORT, 0)
    assert state() == before
    assert not list(pyro.get_param_store().keys())
    assert torch.equal(start, torch.zeros(LATENT_SIZE))
    assert not start.requires_grad


@pytest.mark.thorough
def test_other_programs_do_not_see_the_chains_draws(linear: tuple):
    with pyro.poutine.trace() as around:
        run_chain(linear[0], torch.zeros(LATENT_SIZE), torch.eye(LATENT_SIZE), SHORT, 0)
    assert not around.trace.nodes
