"""Paths between latents, and how likely the images on them are."""

from collections.abc import Callable

import torch

from inference.importance import fitted_sampling, judge, particle_terms
from rnp_pyro.api.report import EVALUATION_SEED
from rnp_pyro.api.run import Run
from rnp_pyro.data import binarise_fixed
from rnp_pyro.shapes import Canvas, Float, Tensor


def straight(one: Float[Tensor, "Z"], other: Float[Tensor, "Z"], steps: int) -> Float[Tensor, "steps Z"]:
    """Return points at equal distances on the straight line, both ends included."""
    return torch.lerp(one, other, torch.linspace(0, 1, steps).to(one)[:, None])


def spherical(one: Float[Tensor, "Z"], other: Float[Tensor, "Z"], steps: int) -> Float[Tensor, "steps Z"]:
    """Return points at equal angles, their lengths going from one end's to the other's.

        sin((1 - t) w) / sin(w) u + sin(t w) / sin(w) v  with unit vectors u, v at the angle w

    Where the ends point the same way, or either is zero, it is the straight line.
    """
    lengths = straight(one.norm()[None], other.norm()[None], steps)
    u, v = one / one.norm(), other / other.norm()
    angle = torch.acos((u @ v).clamp(-1, 1))
    if not torch.isfinite(angle) or angle.sin() < 1e-4:
        return straight(one, other, steps)
    t = torch.linspace(0, 1, steps).to(one)[:, None]
    return lengths * (((1 - t) * angle).sin() * u + (t * angle).sin() * v) / angle.sin()


PATHS: dict[str, Callable[[Tensor, Tensor, int], Tensor]] = {"linear": straight, "spherical": spherical}


def unlikeliness(run: Run, images: Canvas, particles: int, seed: int) -> Float[Tensor, " N"]:
    """Estimate -log p(x) of each image, nats.

    Args:
        run: The judge.
        images: In [0, 1]; where the run observes binary pixels, these are drawn once.
        particles: Draws from the run's guide.
        seed: Of the draws.
    """
    seen = images.clamp(0, 1)
    if run.pair.binary:
        seen = binarise_fixed(seen, EVALUATION_SEED, torch.arange(len(seen)))
    sampling = fitted_sampling(particles, seed)
    found = [
        judge(terms).bounds[particles] for _, terms in particle_terms(run.pair.model, run.pair.guide, seen, sampling)
    ]
    return -torch.cat(found)
