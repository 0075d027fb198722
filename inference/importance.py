"""Importance-weighted bounds on each image's log evidence (Burda et al. 2016), with diagnostics of the weights.

    log w = log p(x, z) - log q(z | x),  z ~ q(z | x)

    E log (1 / K) sum_k w_k <= log p(x),  rising with K; at K = 1 it is the evidence lower bound

Weights are per image, of any model and guide, at KL weight 1 and without the training-only term. Networks run as wide
as their parameters are (float32), weights are added up in float64. Draws are named (``inference/particles.py``): chunks
bound the memory and change nothing else.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from math import log
from typing import Any

import pyro
import torch
from jaxtyping import Int64
from pyro import poutine
from pyro.infer.autoguide import AutoGuide, AutoNormal
from pyro.nn import PyroModule

from inference.contexts import evaluating
from inference.diagnostics import psis
from inference.objectives.elbo import Terms, bound_terms, random_sites
from inference.objectives.honest import check_honest
from inference.particles import DrawNamed
from rnp_pyro.errors import UserError
from rnp_pyro.fast.recall import remembering
from rnp_pyro.shapes import Canvas, Float, Tensor

LANES = 128
"""Particles times images that are decoded side by side."""

PARTICLE_CHUNK = 64
"""Particles of one image that are decoded side by side: with fewer, the guide would read the image more often."""


MANY_PARTICLES = 1_000_000
"""Particles from which on images are weighed one by one, since the weights themselves fill the memory."""


@dataclass(frozen=True)
class Sampling:
    """How many particles, and how many at a time.

    Args:
        num_particles: Draws from the guide for each image.
        seed: Of the draws.
        particle_chunk: Particles of an image that are drawn and decoded side by side.
        image_chunk: Images side by side.
    """

    num_particles: int
    seed: int = 0
    particle_chunk: int = PARTICLE_CHUNK
    image_chunk: int = LANES // PARTICLE_CHUNK


def fitted_sampling(num_particles: int, seed: int) -> Sampling:
    """Choose the chunks that are decoded fastest; of very many particles, hold one image's weights at a time."""
    particle_chunk = min(num_particles, PARTICLE_CHUNK)
    image_chunk = max(1, LANES // particle_chunk) if num_particles < MANY_PARTICLES else 1
    return Sampling(num_particles, seed, particle_chunk, image_chunk)


@dataclass(frozen=True)
class Evidence:
    """Bounds and diagnostics from the weights of each image, nats.

    Args:
        bounds: From K to the K-particle lower bound on the log evidence.
        kl: Monte Carlo estimate of ``KL(q(z | x) || p(z))`` from all particles.
        smoothed: Log of the mean of the Pareto-smoothed weights of all particles: an estimate, not a bound.
        khat: Pareto k-hat of the weights; see :class:`inference.diagnostics.Smoothed`.
        ess: Effective sample size of the weights, 1 to the number of particles.
    """

    bounds: dict[int, Float[Tensor, " images"]]
    kl: Float[Tensor, " images"]
    smoothed: Float[Tensor, " images"]
    khat: Float[Tensor, " images"]
    ess: Float[Tensor, " images"]


def particle_terms(
    model: PyroModule,
    guide: PyroModule,
    images: Canvas,
    sampling: Sampling,
    advance: Callable[[int], object] = lambda count: None,
    position: int = 0,
) -> Iterator[tuple[slice, Terms]]:
    """Weigh particles, one chunk of images after the other.

    Args:
        model: The generative program.
        guide: The posterior program.
        images: ``[N C H W]`` as the likelihood wants them, on the modules' device; an image's position names its draws.
        sampling: How many particles, and how many at a time.
        advance: Called with how many particles times images have been decoded.
        position: That of the first image, where these are some of a larger number.

    Yields:
        Which images, and their terms ``[particles, images]`` in float64 on the CPU; ``-terms.neg_elbo`` is the log
        weight.

    Raises:
        UserError: If the guide has no density for each image.
    """
    sampling = _fit_to_guide(sampling, guide, len(images))
    for begin in range(0, len(images), sampling.image_chunk):
        chosen = slice(begin, min(begin + sampling.image_chunk, len(images)))
        index = position + torch.arange(chosen.start, chosen.stop)
        parts = []
        with evaluating(model, guide):
            for first in range(0, sampling.num_particles, sampling.particle_chunk):
                particles = torch.arange(first, min(first + sampling.particle_chunk, sampling.num_particles))
                names = particles[:, None].expand(-1, len(index))
                parts.append(_weigh(model, guide, images[chosen], DrawNamed(sampling.seed, names, index)))
                advance(names.numel())
        yield chosen, _join(parts)


def _fit_to_guide(sampling: Sampling, guide: PyroModule, num_images: int) -> Sampling:
    """Set all images side by side where Pyro's own guides hold them; of those only one has a density of each.

    Raises:
        UserError: If the guide is one of the others, or was fitted to another number of images.
    """
    if not isinstance(guide, AutoGuide):
        return sampling
    if not isinstance(guide, AutoNormal):
        raise UserError(
            "weights need a density q(z | x) of each image: expected an amortized guide or AutoNormal, got "
            f"{type(guide).__name__}"
        )
    fitted = guide.prototype_trace.nodes.values() if guide.prototype_trace is not None else []
    for size in {frame.size for site in fitted for frame in site.get("cond_indep_stack", ())} - {num_images}:
        raise UserError(f"expected the {size} images that the guide was fitted to, got {num_images}")
    return replace(sampling, image_chunk=num_images)


def log_weights(
    model: PyroModule, guide: PyroModule, images: Canvas, sampling: Sampling
) -> Float[Tensor, "particles images"]:
    """Return all log weights, in memory."""
    chunks = [-terms.neg_elbo for _, terms in particle_terms(model, guide, images, sampling)]
    return torch.cat(chunks, dim=-1)


def draw_again(
    guide: PyroModule,
    images: Canvas,
    particles: Int64[Tensor, "particles images"],
    seed: int,
    index: Int64[Tensor, " images"] | None = None,
) -> dict[str, Float[Tensor, "particles images *event"]]:
    """Draw chosen particles of each image, the same that were weighed under this seed.

    Args:
        guide: The posterior program.
        images: As they were weighed.
        particles: Which, for each image.
        seed: Of the draws.
        index: Each image's position among those that were weighed; default: from the first on.

    Returns:
        The guide's latents by site.
    """
    names = torch.arange(len(images)) if index is None else index
    with evaluating(guide), DrawNamed(seed, particles, names), _particle_plate(len(particles)):
        trace = poutine.trace(guide).get_trace(images)
    return {name: site["value"] for name, site in random_sites(trace).items()}


def bound(log_weight: Float[Tensor, "particles images"], num_particles: int) -> Float[Tensor, " images"]:
    """Estimate the bound of ``num_particles`` particles, nats per image.

    All particles serve: they are cut into as many groups of ``num_particles`` as there are, whose bounds are averaged,
    which lowers the variance and leaves the expectation as it is. Particles that fill no group are left out.
    """
    groups = len(log_weight) // num_particles
    grouped = log_weight[: groups * num_particles].unflatten(0, (groups, num_particles))
    return (grouped.logsumexp(1) - log(num_particles)).mean(0)


def bound_sizes(num_particles: int) -> list[int]:
    """Return the numbers of particles whose bounds are reported: 1, 10, 100, ..., and all."""
    powers = [10**exponent for exponent in range(len(str(num_particles)))]
    return sorted({*powers, num_particles})


def effective_sample_size(log_weight: Float[Tensor, "particles images"]) -> Float[Tensor, " images"]:
    """Compute ``(sum w)^2 / sum w^2`` for each image (Kong 1992)."""
    return (2 * log_weight.logsumexp(0) - (2 * log_weight).logsumexp(0)).exp()


def judge(terms: Terms) -> Evidence:
    """Reduce particles ``[particles, images]`` to each image's bounds and diagnostics."""
    log_weight = -terms.neg_elbo
    smoothed = psis(log_weight.numpy())
    return Evidence(
        bounds={size: bound(log_weight, size) for size in bound_sizes(len(log_weight))},
        kl=terms.kl.mean(0),
        smoothed=torch.from_numpy(smoothed.log_mean),
        khat=torch.from_numpy(smoothed.khat),
        ess=effective_sample_size(log_weight),
    )


def join(parts: list[Evidence]) -> Evidence:
    """Join the evidence of chunks of images."""
    names = ("kl", "smoothed", "khat", "ess")
    bounds = {size: torch.cat([part.bounds[size] for part in parts]) for size in parts[0].bounds}
    return Evidence(bounds, **{name: torch.cat([getattr(part, name) for part in parts]) for name in names})


def _weigh(model: PyroModule, guide: PyroModule, images: Canvas, draw: DrawNamed) -> Terms:
    """Trace guide and model side by side for all particles of a chunk."""
    with pyro.validation_enabled(False), remembering(model.decoder), draw, _particle_plate(len(draw.names)):
        guide_trace = poutine.trace(guide).get_trace(images)
        model_trace = poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(images)
        check_honest(model_trace, guide_trace)
        guide_trace.compute_log_prob()
        model_trace.compute_log_prob()
    terms = bound_terms(model_trace, guide_trace)
    return Terms(*(term.cpu().double() for term in (terms.reconstruction, terms.kl)))


def _particle_plate(size: int) -> Any:
    return pyro.plate("particles", size, dim=-2)


def _join(parts: list[Terms]) -> Terms:
    return Terms(torch.cat([part.reconstruction for part in parts]), torch.cat([part.kl for part in parts]))
