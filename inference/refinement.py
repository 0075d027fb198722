"""Refinement, or semi-amortized inference: a posterior improved by a few gradient steps per image (Kim et al. 2018).

A guide draws every latent as a function of standard normal noise, z = T(e). Refined, it draws z = T(m + s e): each
image, at each site, has a shift m and a stretch s of its own, which start at 0 and 1 and climb that image's bound

    E log p(x, z) - log q(z | x)

while all weights stay fixed. It works for any guide whose sites are normals, or flows from normals
(``inference/noise.py``), and what comes out is a guide again: it can be drawn from, scored, weighed, and trained with.

Departure: in the paper the encoder alone infers the posterior. In training the steps are detached: the gradient of the
bound at the refined posterior goes to the model's and the guide's weights as if the shifts were constants, and not
through the steps, whose second derivatives would cost more than they are known to bring.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import cos, pi
from typing import Any

import pyro
import torch
from jaxtyping import Int64
from pyro import poutine
from pyro.nn import PyroModule
from torch import nn

from inference.bounds import TakeMeans
from inference.contexts import evaluating, fixed
from inference.noise import MoveNoise, NoiseMove, NoiseMoves
from inference.objectives.elbo import random_sites
from inference.particles import DrawNamed
from rnp_pyro.errors import UserError
from rnp_pyro.fast.recall import remembering
from rnp_pyro.shapes import Canvas, Float, Tensor
from rnp_pyro.streams import Purpose

LONGEST = 10.0
"""Longest step, in standard deviations of the noise."""

WIDEST = 30.0
"""Largest log stretch either way: its exponential, squared in a variance, stays finite in float32."""

WEAK = 1.0
"""Gradients below this, in nats per standard deviation of the noise, make proportionally smaller steps than Adam's.
They are little more than the noise of a few draws, and there may be hundreds of them."""

DRAWS_DIM = -3
"""The climb's own plate is left of those of images and particles that a program around it may have."""


@dataclass(frozen=True)
class Refinement:
    """Settings of the refinement of each image's posterior.

    Args:
        steps: Gradient steps, Adam's; 0 leaves the guide alone.
        rate: Adam's at its largest, in standard deviations of the noise, 0 to 10; it falls to zero as a cosine.
        num_particles: Draws of the bound in each step, at least 1; all images see the same noise.
    """

    steps: int
    rate: float
    num_particles: int


UNREFINED = Refinement(steps=0, rate=1.0, num_particles=1)
"""The guide itself."""


def check_refinement(refinement: Refinement) -> None:
    """Refuse settings out of their ranges.

    Raises:
        UserError: In one line, with what was expected and what came.
    """
    if refinement.steps < 0:
        raise UserError(f"refine_steps must be at least 0, got {refinement.steps}")
    if not 0 < refinement.rate <= LONGEST:
        raise UserError(f"refine_rate must be above 0 and at most {LONGEST:g}, got {refinement.rate:g}")
    if refinement.num_particles < 1:
        raise UserError(f"refine_particles must be at least 1, got {refinement.num_particles}")


def refined(model: PyroModule, guide: PyroModule, refinement: Refinement) -> PyroModule:
    """Return the guide refined, or itself where there are no steps.

    Args:
        model: Whose bound is climbed.
        guide: The amortized guide.
        refinement: How far.
    """
    return RefinedGuide(model, guide, refinement).train(guide.training) if refinement.steps > 0 else guide


class RefinedGuide(PyroModule):
    """A guide whose posterior is refined for the images that it is given: a function of them and of the weights.

    Args:
        model: Whose bound is climbed.
        guide: The amortized guide; its weights are the only ones.
        refinement: How far.
    """

    def __init__(self, model: PyroModule, guide: PyroModule, refinement: Refinement) -> None:
        super().__init__()
        # Not by assignment: Pyro would rename the guide's parameters, and refuse a guide that has run already.
        nn.Module.add_module(self, "guide", guide)
        self.model_kept_apart = (model,)  # in a tuple, so that its weights do not count as the guide's
        self.refinement = refinement
        self.cached: tuple[Canvas, list[int], NoiseMoves] | None = None

    def forward(self, images: Canvas) -> Any:
        """Draw as the guide does given images ``[images C H W]``, its noise moved.

        Raises:
            UserError: If a site is not a function of normal noise, or the climb diverges.
        """
        with MoveNoise(self._find_moves(images)):
            return self._modules["guide"](images)  # type: ignore[misc]

    def train(self, mode: bool = True) -> "RefinedGuide":
        """Switch to training or to evaluation. Moves found in the other mode may belong to other weights."""
        if mode != self.training:
            self.cached = None
        return super().train(mode)

    def _apply(self, fn: Any, recurse: bool = True) -> Any:
        """Move the model along to another device or type."""
        self.cached = None
        self.model_kept_apart[0]._apply(fn, recurse)
        return super()._apply(fn, recurse)

    def _find_moves(self, images: Canvas) -> NoiseMoves:
        """Climb. In evaluation reuse the moves of the same images and weights, since particles come in chunks."""
        (model,), guide = self.model_kept_apart, self._modules["guide"]
        assert isinstance(guide, PyroModule)
        if self.training:
            return climb(model, guide, images, self.refinement)
        versions = [weight._version for part in (model, guide) for weight in part.parameters()]
        if self.cached is not None:
            seen, then, moves = self.cached
            if then == versions and seen.shape == images.shape and torch.equal(seen, images):
                return moves
        moves = climb(model, guide, images, self.refinement)
        self.cached = (images.detach().clone(), versions, moves)
        return moves


def climb(model: PyroModule, guide: PyroModule, images: Canvas, refinement: Refinement) -> NoiseMoves:
    """Find each image's moves.

    Noise is a function of step and particle alone, so that an image's moves do not depend on its batch.

    Args:
        model: The generative program.
        guide: The amortized guide.
        images: ``[images C H W]`` as the likelihood wants them.
        refinement: How far.

    Returns:
        For each of the guide's sites shift and log stretch, ``[images *event]``.

    Raises:
        UserError: If a site is not a function of normal noise, or the climb diverges.
    """
    with _apart(model, guide):
        moves = _no_moves(guide, images)
        leaves = [part for move in moves.values() for part in (move.shift, move.log_stretch)]
        optimizer = torch.optim.Adam(leaves, lr=refinement.rate, eps=WEAK)
        particles = torch.arange(refinement.num_particles)[:, None, None].expand(-1, 1, len(images))
        for step in range(refinement.steps):
            optimizer.param_groups[0]["lr"] = refinement.rate * 0.5 * (1 + cos(pi * step / refinement.steps))
            loss = -_bound(model, guide, images, moves, step, particles)
            for leaf, gradient in zip(leaves, torch.autograd.grad(loss, leaves), strict=True):
                leaf.grad = gradient
            optimizer.step()
    widest = max(float(move.log_stretch.detach().abs().max()) for move in moves.values())
    if not (widest <= WIDEST and all(leaf.isfinite().all() for leaf in leaves)):
        raise UserError("refining the posterior led away from all that can be computed: try a smaller refine_rate")
    return _as_constants(moves)


def _as_constants(moves: NoiseMoves) -> NoiseMoves:
    return {name: NoiseMove(move.shift.detach(), move.log_stretch.detach()) for name, move in moves.items()}


def _no_moves(guide: PyroModule, images: Canvas) -> NoiseMoves:
    """Make moves that do nothing, for all sites of the guide."""
    with torch.no_grad(), TakeMeans():
        sites = random_sites(poutine.trace(guide).get_trace(images))

    def zeros(site: Any) -> Tensor:
        return site["value"].new_zeros(len(images), *site["fn"].event_shape).requires_grad_(True)

    return {name: NoiseMove(zeros(site), zeros(site)) for name, site in sites.items()}


def _bound(
    model: PyroModule,
    guide: PyroModule,
    images: Canvas,
    moves: NoiseMoves,
    step: int,
    particles: Int64[Tensor, "particles 1 images"],
) -> Float[Tensor, ""]:
    """Estimate the sum of all images' bounds, each a function of its own moves, nats.

    Its gradient goes through the draws alone, and not through log q's own parameters (Roeder, Wu & Duvenaud 2017): the
    expectation is the same, and the noise vanishes where q is the posterior: a tree has hundreds of latents, most of
    which the guide has right.
    """
    everywhere = torch.zeros(len(images), dtype=torch.int64)
    noise = DrawNamed(step, particles, everywhere, Purpose.REFINEMENT)
    with noise, pyro.plate("refinement", len(particles), dim=DRAWS_DIM), remembering(model.decoder, separate=True):
        with MoveNoise(moves):
            drawn = poutine.trace(guide).get_trace(images)
        model_trace = poutine.trace(poutine.replay(model, trace=drawn)).get_trace(images)
        with MoveNoise(_as_constants(moves)):
            guide_trace = poutine.trace(poutine.replay(guide, trace=drawn)).get_trace(images)
    bound: Any = model_trace.log_prob_sum() - guide_trace.log_prob_sum()
    return bound / len(particles)


@contextmanager
def _apart(model: PyroModule, guide: PyroModule) -> Iterator[None]:
    """Compute gradients of the moves alone, hidden from whatever traces, weighs or replays the program around."""
    with (
        poutine.block(),
        pyro.validation_enabled(False),
        pyro.get_param_store().scope(),
        evaluating(model, guide),
        torch.enable_grad(),
        fixed([*model.parameters(), *guide.parameters()]),
        remembering(model.decoder, separate=True),
    ):
        yield
