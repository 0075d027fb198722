"""Why a guide's bound is loose, image by image (Cremer, Li & Duvenaud 2018).

    log p(x) - ELBO(guide) = [log p(x) - max_q ELBO(q)] + [max_q ELBO(q) - ELBO(guide)]

q are normals with a diagonal covariance, the family of the guide. The first bracket is the approximation gap: no normal
of the family is the posterior. The second is the amortization gap: the guide must find the normal in one pass. log p(x)
is estimated by importance sampling from a Student t with the mean and covariance of NUTS's draws, annealed in a few
temperatures from there to the posterior: no normal and no Student t has a posterior's bends.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import cos, pi

import pyro
import torch
from pyro import poutine
from pyro.distributions import Independent, MultivariateStudentT, Normal
from pyro.distributions.torch_distribution import TorchDistributionMixin
from pyro.nn import PyroModule

from inference.bounds import TakeMeans
from inference.contexts import seeded
from inference.diagnostics import psis
from inference.estimates import Estimate, difference, log_mean, mean
from inference.importance import effective_sample_size
from inference.objectives.elbo import random_sites
from inference.posterior.annealing import HamiltonianMove, annealed_log_weights, floored_covariance
from inference.posterior.bridge import Bridge
from inference.posterior.log_joint import LogJoint, frozen
from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Float, Tensor
from rnp_pyro.streams import Use, derive_seed

CHUNK = 64
"""Latents that are decoded side by side."""

TAILS = 20.0
"""Degrees of freedom of the Student t: heavier tails than a normal's bound the weights where the fit is off."""

Posterior = TorchDistributionMixin
"""A distribution of one image's root latent, batch shape ``()`` and event shape ``Z``."""

Tick = Callable[[], object]


@dataclass(frozen=True)
class GapSettings:
    """How much is computed for each term.

    Args:
        steps: Adam's steps towards the best normal, at least 1.
        step_draws: Draws of each step's bound, at least 1.
        learning_rate: Adam's, at its largest; it falls to zero as a cosine.
        bound_draws: Draws that the final bounds are estimated from, at least 2.
        particles: Walkers that log p(x) is estimated from, at least 30, or k-hat is not defined.
        temperatures: From the Student t to the posterior, evenly spaced, at least 1; after each but the last a move.
        leapfrogs: Leapfrog steps of a move, at least 1.
        step_size: Of a move, in coordinates of unit covariance, above 0.
    """

    steps: int = 200
    step_draws: int = 16
    learning_rate: float = 0.03
    bound_draws: int = 1000
    particles: int = 1000
    temperatures: int = 4
    leapfrogs: int = 4
    step_size: float = 0.3


@dataclass(frozen=True)
class Gaps:
    """Terms of the gap for one image, nats.

    Args:
        elbo: The guide's bound.
        best_elbo: The best normal's.
        log_evidence: log p(x), by annealed importance sampling.
        khat: Pareto k-hat of its weights: above 0.7 it is not to be trusted.
        ess: Effective sample size of its weights.
        approximation: ``log_evidence - best_elbo``.
        amortization: ``best_elbo - elbo``.
    """

    elbo: Estimate
    best_elbo: Estimate
    log_evidence: Estimate
    khat: float
    ess: float
    approximation: Estimate
    amortization: Estimate


def split_gap(
    target: LogJoint,
    guide: Posterior,
    draws: Float[Tensor, "chains draws Z"],
    settings: GapSettings,
    seed: int,
    tick: Tick = lambda: None,
) -> Gaps:
    """Split the gap between the guide's bound and log p(x).

    Args:
        target: The log joint.
        guide: The guide's posterior of this image; see :func:`guide_posterior`.
        draws: Of the posterior, by NUTS: they shape the proposal and are one of the optimiser's two starts.
        settings: How much is spent.
        seed: Of all draws; the global generator is put back. Guide and best normal see the same noise.
        tick: Called after each step of the optimiser.
    """
    flat = draws.flatten(0, 1)
    starts = [(guide.mean, guide.stddev), (flat.mean(0), flat.std(0))]
    best = best_normal(target, starts, settings, seed, tick)
    noise = derive_seed(seed, Use.BOUNDS)
    guide_weight = log_weights(target, guide, settings.bound_draws, noise)
    best_weight = log_weights(target, best, settings.bound_draws, noise)
    long_run = long_run_log_weights(target, draws, settings, seed)
    evidence = log_mean(long_run)
    best_elbo = mean(best_weight)
    smoothed = psis(long_run[:, None].numpy())
    return Gaps(
        elbo=mean(guide_weight),
        best_elbo=best_elbo,
        log_evidence=evidence,
        khat=float(smoothed.khat[0]),
        ess=float(effective_sample_size(long_run[:, None])[0]),
        approximation=difference(evidence, best_elbo),
        amortization=mean(best_weight - guide_weight),
    )


def guide_posterior(guide: PyroModule, target: LogJoint) -> Posterior:
    """Return the guide's posterior of the target's image, in float64; the guide itself stays as it is.

    Raises:
        UserError: If it is not a diagonal normal.
    """
    with torch.no_grad(), pyro.get_param_store().scope(), poutine.block(), TakeMeans():
        trace = poutine.trace(frozen(guide)).get_trace(target.image)
    fn = random_sites(trace)[target.site]["fn"]
    if not (isinstance(fn, Independent) and isinstance(fn.base_dist, Normal)):
        raise UserError(
            f"expected a guide whose posterior is a diagonal normal, got {type(fn).__name__}: the gaps of others are "
            "not split"
        )
    return Normal(fn.mean.detach().squeeze(0), fn.stddev.detach().squeeze(0)).to_event(1)


def best_normal(
    target: LogJoint,
    starts: Sequence[tuple[Float[Tensor, " Z"], Float[Tensor, " Z"]]],
    settings: GapSettings,
    seed: int,
    tick: Tick = lambda: None,
) -> Posterior:
    """Climb the bound of one image from several starts at once, and keep the normal whose bound is the largest.

    The gradient goes through the draws alone (Roeder, Wu & Duvenaud 2017): its noise vanishes where q is the posterior.

    Args:
        target: The log joint.
        starts: Mean and standard deviation.
        settings: Steps, draws and learning rate.
        seed: Of the draws.
        tick: Called after each step.
    """
    loc = torch.stack([loc for loc, _ in starts]).detach().requires_grad_(True)
    log_scale = torch.stack([scale for _, scale in starts]).detach().log().requires_grad_(True)
    optimizer = torch.optim.Adam([loc, log_scale], lr=settings.learning_rate)
    with seeded(derive_seed(seed, Use.CLIMB), loc.device):
        for step in range(settings.steps):
            optimizer.param_groups[0]["lr"] = settings.learning_rate * 0.5 * (1 + cos(pi * step / settings.steps))
            z = Normal(loc, log_scale.exp()).rsample((settings.step_draws,))
            log_q = Normal(loc.detach(), log_scale.exp().detach()).log_prob(z).sum(-1)
            loss = -(target(z) - log_q).mean(0).sum()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            tick()
    found = [Normal(*pair).to_event(1) for pair in zip(loc.detach(), log_scale.detach().exp(), strict=True)]
    choice = derive_seed(seed, Use.CHOICE)
    bounds = [log_weights(target, normal, settings.bound_draws, choice).mean().item() for normal in found]
    return found[bounds.index(max(bounds))]


def fitted_proposal(draws: Float[Tensor, "chains draws Z"]) -> Posterior:
    """Return a Student t with the mean of draws, and their covariance as its scale matrix, which makes it wider."""
    flat = draws.flatten(0, 1)
    return MultivariateStudentT(TAILS, flat.mean(0), torch.linalg.cholesky(floored_covariance(draws)))


def long_run_log_weights(
    target: LogJoint, draws: Float[Tensor, "chains draws Z"], settings: GapSettings, seed: int
) -> Float[Tensor, " particles"]:
    """Weigh walkers from the draws' Student t to the posterior; the mean of the weights is p(x) in expectation."""
    move = HamiltonianMove(floored_covariance(draws), settings.step_size, settings.leapfrogs)
    temperatures = [(index + 1) / settings.temperatures for index in range(settings.temperatures)]
    bridge = Bridge(target, fitted_proposal(draws))
    return annealed_log_weights(bridge, settings.particles, temperatures, move, derive_seed(seed, Use.EVIDENCE))


def log_weights(target: LogJoint, proposal: Posterior, number: int, seed: int) -> Float[Tensor, " particles"]:
    """Draw from a proposal and return each draw's log p(x, z) - log q(z)."""
    with torch.no_grad(), seeded(seed, target.image.device):
        z = proposal.sample((number,))
        return torch.cat([target(chunk) for chunk in z.split(CHUNK)]) - proposal.log_prob(z)
