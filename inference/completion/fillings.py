"""Particles of one image that explain the part of it which is seen.

The guide is only a proposal there: it was never shown images with holes. So it is shown the hole filled in several
ways: first black, then in each round with what the best particles of the round before draw there. Particles are drawn
from the mixture

    q(z) = 1/M sum_m q(z | x_seen, filling_m),   log w = log p(x_seen, z) - log q(z)

(population Monte Carlo, Cappe et al. 2004, with the fillings of Rezende et al. 2014). The weights are exact for any
fillings; k-hat says whether they can be trusted. With nothing hidden and no rounds this is plain importance sampling
from the guide.
"""

from dataclasses import dataclass
from math import log

import pyro
import torch
from pyro import poutine
from pyro.nn import PyroModule
from pyro.poutine import Trace
from torch.distributions import Distribution, Independent

from inference.completion.masking import SeenPixels
from inference.objectives.elbo import random_sites
from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Bool, Float, Tensor
from rnp_pyro.sites import IMAGE, PART_TERM

Latents = dict[str, Tensor]
"""Latents by site, ``[particles images *event]``, or ``[samples *event]``."""

LANES = 128
"""Particles that are decoded side by side."""


@dataclass(frozen=True)
class Search:
    """Settings of the search for programs that explain what is seen.

    Args:
        num_particles: Particles of each round, at least 1.
        rounds: How often the unseen pixels are filled in from the best particles so far, at least 0.
        num_fillings: Fillings side by side in each round but the first, which has one.
        seed: Of all draws.
    """

    num_particles: int = 512
    rounds: int = 5
    num_fillings: int = 32
    seed: int = 0


@dataclass(frozen=True)
class Particles:
    """Particles of one image: latents ``[particles *event]``, and log weights in float64 on the CPU."""

    latents: Latents
    log_weight: Float[Tensor, "particles 1"]


def weigh_one(
    model: PyroModule, guide: PyroModule, image: Float[Tensor, "1 C H W"], seen: Bool[Tensor, "C H W"], search: Search
) -> Particles:
    """Propose, weigh and fill in, round after round, for one image ``[1 C H W]`` whose unseen pixels are 0.

    Raises:
        UserError: If a weight is nan, or all are zero.
    """
    fillings = image
    for _ in range(search.rounds):
        found = _propose_and_weigh(model, guide, image, seen, fillings, search.num_particles)
        _check_weights(found)
        # The square root of the weights keeps the fillings from being one and the same.
        flat = (0.5 * found.log_weight[:, 0]).softmax(0)
        best = torch.multinomial(flat, search.num_fillings, replacement=True)
        drawn = _draw_pixels(model, {name: value[best] for name, value in found.latents.items()}, image)
        fillings = torch.where(seen.to(image.device), image, drawn)
    found = _propose_and_weigh(model, guide, image, seen, fillings, search.num_particles)
    _check_weights(found)
    return found


def _check_weights(found: Particles) -> None:
    if found.log_weight.isnan().any() or not found.log_weight.isfinite().any():
        raise UserError(
            "expected finite log weights, got none or nan: the run's weights are damaged, or its training went wrong"
        )


def _propose_and_weigh(
    model: PyroModule,
    guide: PyroModule,
    image: Float[Tensor, "1 C H W"],
    seen: Bool[Tensor, "C H W"],
    fillings: Float[Tensor, "fillings C H W"],
    num_particles: int,
) -> Particles:
    """Draw particles from the mixture of the guide given each filling, and weigh them by what is seen."""
    per_filling = -(-num_particles // len(fillings))
    with pyro.plate("particles", per_filling, dim=-2):
        trace = poutine.trace(guide).get_trace(fillings)
    sites = random_sites(trace)
    latents = {name: site["value"].flatten(0, 1)[:num_particles] for name, site in sites.items()}
    log_q = [_log_mixture(guide, chunk, fillings) for chunk in _chunks(latents)]
    log_p = [_log_joint(model, chunk, image, seen) for chunk in _chunks(latents)]
    return Particles(latents, (torch.cat(log_p) - torch.cat(log_q))[:, None])


def _log_mixture(guide: PyroModule, latents: Latents, fillings: Float[Tensor, "fillings C H W"]) -> Tensor:
    """Return ``log 1/M sum_m q(z | filling_m)`` of each particle."""
    count = len(next(iter(latents.values())))
    data = {name: value[:, None].expand(-1, len(fillings), *value.shape[1:]) for name, value in latents.items()}
    with pyro.plate("particles", count, dim=-2):
        trace = poutine.trace(poutine.condition(guide, data=data)).get_trace(fillings)
    return _log_prob(trace).logsumexp(-1) - log(len(fillings))


def _log_joint(
    model: PyroModule, latents: Latents, image: Float[Tensor, "1 C H W"], seen: Bool[Tensor, "C H W"]
) -> Tensor:
    """Return ``log p(x_seen, z)`` of each particle of one image."""
    count = len(next(iter(latents.values())))
    with SeenPixels(seen):
        trace = poutine.trace(poutine.condition(model, data=latents)).get_trace(image.expand(count, -1, -1, -1))
    assert PART_TERM not in trace.nodes, "the part term is for training only"
    return _log_prob(trace)


def _log_prob(trace: Trace) -> Tensor:
    """Add up all sites' log probabilities, in float64 on the CPU."""
    trace.compute_log_prob()
    terms = [site["unscaled_log_prob"].cpu().double() for site in random_sites(trace).values()]
    return torch.stack(torch.broadcast_tensors(*terms)).sum(0)


def _draw_pixels(
    model: PyroModule, latents: Latents, image: Float[Tensor, "1 C H W"]
) -> Float[Tensor, "fillings C H W"]:
    """Draw images of given programs as the guide expects images: discrete pixels at random, of others the mean."""
    blank = image.expand(len(next(iter(latents.values()))), -1, -1, -1)
    trace = poutine.trace(poutine.condition(model, data=latents)).get_trace(blank)
    likelihood = random_sites(trace)[IMAGE]["fn"]
    return likelihood.sample() if _is_discrete(likelihood) else likelihood.mean


def _is_discrete(fn: Distribution) -> bool:
    while isinstance(fn, Independent):
        fn = fn.base_dist
    return fn.has_enumerate_support


def _chunks(latents: Latents) -> list[Latents]:
    """Cut particles into chunks of bounded memory."""
    count = len(next(iter(latents.values())))
    return [{name: value[begin : begin + LANES] for name, value in latents.items()} for begin in range(0, count, LANES)]
