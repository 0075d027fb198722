"""Walks from the prior to the posterior of one image's root latent: starts for chains, and estimates of p(x).

    p_b(z) ~ p(z) p(x | z)^b,  b = 0 -> 1

Starts: sequential Monte Carlo (Del Moral, Doucet & Jasra 2006). At each temperature a population is weighed and
resampled, then moved by Hamiltonian Monte Carlo. A chain that starts at a draw of the prior and follows the gradient
may never leave a poor parse. In a population, such a walker is resampled away. Each chain has its own
population, started from its own draws of the prior, so that chains that agree have found the same independently. They
share only how they move: temperatures, step size and covariance. The product of the mean weights estimates p(x).

Weights: annealed importance sampling (Neal 2001), walkers one by one, at temperatures and with moves that are fixed
beforehand. They are importance weights like any others: their mean is p(x).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from math import exp, log

import torch

from inference.contexts import seeded
from inference.posterior.bridge import Anneals
from rnp_pyro.shapes import Float, Tensor
from rnp_pyro.streams import Use, derive_seed

BISECTIONS = 40

IMAGINED, THEIR_VARIANCE = 5, 0.05
"""Draws of a small variance in all directions that a covariance takes in: a few walkers may span no volume."""


CHUNK = 64
"""Walkers that are weighed side by side."""

Tick = Callable[[], object]


@dataclass(frozen=True)
class HamiltonianMove:
    """One step of Hamiltonian Monte Carlo, in coordinates in which the covariance is the identity.

    Args:
        covariance: An estimate of the posterior's.
        step_size: In these coordinates; each walker's is up to a fifth smaller or larger.
        leapfrogs: Leapfrog steps, at least 1.
    """

    covariance: Float[Tensor, "Z Z"]
    step_size: float
    leapfrogs: int


@dataclass(frozen=True)
class AnnealingSettings:
    """Settings of the populations' walks.

    Args:
        population: Walkers of each chain, at least 2.
        kept: Share of a population's effective size that one temperature's weights leave, between 0 and 1: the larger,
            the more temperatures.
        leapfrogs: Leapfrog steps of a move, at least 1.
        acceptance: Acceptance that the step size is adapted to, between 0 and 1.
        settling: Moves after the last temperature; their second half gives the covariance; at least 1.
    """

    population: int = 16
    kept: float = 0.8
    leapfrogs: int = 8
    acceptance: float = 0.7
    settling: int = 14


@dataclass(frozen=True)
class Starts:
    """The ends of the populations' walks.

    Args:
        z: One walker of each population.
        covariance: Of all walkers of all populations, at the posterior.
        log_evidence: Each population's estimate of log p(x), nats. That of p(x) is unbiased, except for
            what is adapted.
        temperatures: How many there were.
    """

    z: Float[Tensor, "chains Z"]
    covariance: Float[Tensor, "Z Z"]
    log_evidence: Float[Tensor, " chains"]
    temperatures: int


@dataclass(frozen=True)
class _Walkers:
    """All populations at one temperature."""

    z: Float[Tensor, "chains population Z"]
    log_likelihood: Float[Tensor, "chains population"]
    log_evidence: Float[Tensor, " chains"]
    temperature: float = 0.0
    step_size: float = 0.5


def anneal(
    target: Anneals,
    num_chains: int,
    settings: AnnealingSettings,
    seed: int,
    tick: Callable[[float], object] = lambda temperature: None,
) -> Starts:
    """Walk ``num_chains`` independent populations from the prior to the posterior.

    Args:
        target: The log joint.
        num_chains: Populations.
        settings: How they walk.
        seed: Of their draws; the global generator is put back.
        tick: Told the temperature after each move.
    """
    with seeded(derive_seed(seed, Use.ANNEALING), target.device):
        walkers = _from_prior(target, num_chains, settings.population)
        temperatures, settled = 0, list[Tensor]()
        while walkers.temperature < 1:
            walkers = _cool(walkers, settings.kept)
            walkers = _adapted(target, walkers, floored_covariance(walkers.z, dense=False), settings)
            temperatures += 1
            tick(walkers.temperature)
        for _ in range(settings.settling):
            settled.append(walkers.z)
            walkers = _adapted(target, walkers, floored_covariance(torch.cat(settled, dim=1)), settings)
            tick(1.0)
    covariance = floored_covariance(torch.cat(settled[settings.settling // 2 :], dim=1))
    return Starts(walkers.z[:, 0], covariance, walkers.log_evidence, temperatures)


def annealed_log_weights(
    target: Anneals,
    number: int,
    temperatures: Sequence[float],
    move: HamiltonianMove,
    seed: int,
    tick: Tick = lambda: None,
) -> Float[Tensor, " particles"]:
    """Weigh walkers that start at draws of the prior; the mean of the weights is p(x) in expectation.

    Args:
        target: The log joint, or a bridge to it from a better start than its prior.
        number: Walkers.
        temperatures: Rising, the last one 1; after each but the last a walker moves.
        move: How.
        seed: Of the draws; the global generator is put back.
        tick: Called after each move of a chunk.
    """
    log_weights = []
    with seeded(derive_seed(seed, Use.ANNEALING), target.device):
        for begin in range(0, number, CHUNK):
            walkers = _from_prior(target, 1, min(CHUNK, number - begin))
            log_weight = torch.zeros_like(walkers.log_likelihood)
            for last, temperature in pairwise([0.0, *temperatures]):
                log_weight = log_weight + (temperature - last) * walkers.log_likelihood
                if temperature < 1:
                    walkers, _ = _move(target, replace(walkers, temperature=temperature), move)
                    tick()
            log_weights.append(log_weight.squeeze(0))
    return torch.cat(log_weights)


def next_temperature(log_likelihood: Float[Tensor, "chains population"], temperature: float, kept: float) -> float:
    """Find the temperature whose weights leave the share ``kept`` of the populations' effective size, at most 1."""

    def share(candidate: float) -> float:
        weight = torch.softmax((candidate - temperature) * log_likelihood, dim=-1)
        return (1 / weight.square().sum(-1)).mean().item() / weight.shape[-1]

    low, high = temperature, 1.0
    if share(high) >= kept:
        return high
    for _ in range(BISECTIONS):
        middle = (low + high) / 2
        low, high = (middle, high) if share(middle) >= kept else (low, middle)
    return high  # above the last one, so that there is an end


def _from_prior(target: Anneals, num_chains: int, population: int) -> _Walkers:
    z = target.draw_prior(num_chains * population).unflatten(0, (num_chains, population))
    with torch.no_grad():
        log_likelihood = target.terms(z).likelihood
    return _Walkers(z, log_likelihood, log_likelihood.new_zeros(num_chains))


def _cool(walkers: _Walkers, kept: float) -> _Walkers:
    """Go on to the next temperature: weigh each population, and resample it."""
    temperature = next_temperature(walkers.log_likelihood, walkers.temperature, kept)
    log_weight = (temperature - walkers.temperature) * walkers.log_likelihood
    population = log_weight.shape[-1]
    chosen = log_weight.softmax(-1).multinomial(population, replacement=True)
    return replace(
        walkers,
        z=walkers.z.take_along_dim(chosen[..., None], dim=1),
        log_likelihood=walkers.log_likelihood.take_along_dim(chosen, dim=1),
        log_evidence=walkers.log_evidence + log_weight.logsumexp(-1) - log(population),
        temperature=temperature,
    )


def _move(target: Anneals, walkers: _Walkers, move: HamiltonianMove) -> tuple[_Walkers, float]:
    """Move every walker by one step of Hamiltonian Monte Carlo, and return the mean acceptance too."""
    factor = torch.linalg.cholesky(move.covariance)
    z, momentum = walkers.z, torch.randn_like(walkers.z)
    step_size = move.step_size * (0.8 + 0.4 * torch.rand_like(walkers.log_likelihood)[..., None])
    log_density, gradient, log_likelihood = _climb(target, z, walkers.temperature)
    energy = 0.5 * momentum.square().sum(-1) - log_density
    for _ in range(move.leapfrogs):
        momentum = momentum + 0.5 * step_size * (gradient @ factor)
        z = z + step_size * (momentum @ factor.mT)
        log_density, gradient, log_likelihood = _climb(target, z, walkers.temperature)
        momentum = momentum + 0.5 * step_size * (gradient @ factor)
    new_energy = 0.5 * momentum.square().sum(-1) - log_density
    acceptance = (energy - new_energy).clamp(max=0).exp().nan_to_num(0.0)
    accepted = torch.rand_like(acceptance) < acceptance
    moved = replace(
        walkers,
        z=torch.where(accepted[..., None], z, walkers.z),
        log_likelihood=torch.where(accepted, log_likelihood, walkers.log_likelihood),
    )
    return moved, acceptance.mean().item()


def _adapted(target: Anneals, walkers: _Walkers, covariance: Tensor, settings: AnnealingSettings) -> _Walkers:
    """Move, and adapt the step size."""
    moved, acceptance = _move(target, walkers, HamiltonianMove(covariance, walkers.step_size, settings.leapfrogs))
    step_size = min(1.0, walkers.step_size * exp(0.5 * (acceptance - settings.acceptance)))
    return replace(moved, step_size=step_size)


def _climb(
    target: Anneals, z: Float[Tensor, "chains population Z"], temperature: float
) -> tuple[Float[Tensor, "chains population"], Tensor, Float[Tensor, "chains population"]]:
    """Return log p_b(z) up to its constant, its gradient, and log p(x | z)."""
    z = z.detach().requires_grad_(True)
    terms = target.terms(z)
    log_density = terms.prior + temperature * terms.likelihood
    (gradient,) = torch.autograd.grad(log_density.sum(), z)
    return log_density.detach(), gradient, terms.likelihood.detach()


def floored_covariance(z: Float[Tensor, "chains draws Z"], dense: bool = True) -> Float[Tensor, "Z Z"]:
    """Estimate the covariance of all draws together, or the variances alone, where draws are too few for more.

    It has an inverse even where draws span no volume, walkers of few ancestors or a chain that stood still.
    """
    flat = z.flatten(0, 1)
    sample = flat.mT.cov() if dense else flat.var(0).diag()
    floor = THEIR_VARIANCE * torch.eye(flat.shape[-1], dtype=flat.dtype, device=flat.device)
    return (len(flat) * sample + IMAGINED * floor) / (len(flat) + IMAGINED)
