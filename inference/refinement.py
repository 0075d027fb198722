"""Refinement: an amortized posterior, improved by a few gradient steps for each image (Kim et al. 2018).

A guide draws every latent as a function of standard normal noise, z = T(e). Refined, it draws z = T(m + s e): each
image, at each site, has a shift m and a stretch s of its own, which start at 0 and 1 and climb that image's bound

    E log p(x, z) - log q(z | x)

while all weights stay fixed. It works for any guide whose sites are normals, or flows from normals, and what comes out
is a guide again: it can be drawn from, scored, weighed, and trained with.

Departure: the paper's inference is the encoder's glance alone. In training the steps are detached: the gradient of the
bound at the refined posterior goes to the model's and the guide's weights as if the shifts were constants, and not
through the steps, whose second derivatives would cost more than they are known to bring.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from jaxtyping import Int64
from pyro import poutine
from pyro.distributions import MultivariateNormal, Normal
from pyro.nn import PyroModule
from pyro.poutine.messenger import Messenger
from torch.distributions import Distribution, Independent, TransformedDistribution
from torch.distributions import MultivariateNormal as TorchMultivariateNormal
from torch.distributions import Normal as TorchNormal

from inference.elbo import random_sites
from inference.evaluate import evaluating
from inference.gradient import fixed
from inference.particles import DrawNamed
from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Canvas, Float, Tensor
from rnp_pyro.tree import remembering

SEED = 0
"""Of the noise that evaluation climbs with: a refined guide is a function of the image."""

DRAWS_DIM = -3
"""The climb's own plate is left of those of images and particles that a program around it may have."""


@dataclass(frozen=True)
class Refinement:
    """How far each image's posterior is improved.

    Args:
        steps: Gradient steps, Adam's; 0 leaves the guide alone.
        rate: Adam's, in standard deviations of the noise, above 0.
        num_particles: Draws of the bound in each step, at least 1; all images see the same noise.
    """

    steps: int = 0
    rate: float = 0.1
    num_particles: int = 4


AS_IT_IS = Refinement()
"""No step: the guide itself."""


@dataclass(frozen=True)
class Move:
    """A site's shift and log stretch, for each image.

    Args:
        shift: Of the noise, in its standard deviations.
        log_stretch: Of the noise's standard deviation.
    """

    shift: Float[Tensor, "images *event"]
    log_stretch: Float[Tensor, "images *event"]


Moves = dict[str, Move]
"""From the names of a guide's sites."""


class RefinedGuide(PyroModule):
    """A guide whose posterior is refined for the images that it is given.

    Args:
        model: Whose bound is climbed.
        guide: The amortized guide; its weights are the only ones.
        refinement: How far.
    """

    def __init__(self, model: PyroModule, guide: PyroModule, refinement: Refinement) -> None:
        super().__init__()
        self.guide = guide
        self.model_kept_apart = (model,)  # in a tuple, so that its weights do not count as the guide's
        self.refinement = refinement
        self.known: tuple[Canvas, list[int], Moves] | None = None

    def forward(self, images: Canvas) -> Any:
        """Draw as the guide does, moved."""
        with Moved(self._moves(images)):
            return self.guide(images)

    def _moves(self, images: Canvas) -> Moves:
        """Climb, or take what was found for the same images and weights: particles come in chunks."""
        (model,) = self.model_kept_apart
        versions = [weight._version for part in (model, self.guide) for weight in part.parameters()]
        if self.known is not None:
            seen, then, moves = self.known
            if then == versions and seen.shape == images.shape and torch.equal(seen, images):
                return moves
        seed = int(torch.randint(2**31, ())) if self.training else SEED
        moves = climb(model, self.guide, images, self.refinement, seed)
        self.known = (images, versions, moves)
        return moves


def refined(model: PyroModule, guide: PyroModule, refinement: Refinement) -> PyroModule:
    """Give the guide refined, or itself where there are no steps.

    Raises:
        UserError: If the settings are out of their ranges.
    """
    if refinement.steps < 0:
        raise UserError(f"refine_steps must be at least 0, got {refinement.steps}")
    if not refinement.rate > 0:
        raise UserError(f"refine_rate must be above 0, got {refinement.rate:g}")
    if refinement.num_particles < 1:
        raise UserError(f"refine_particles must be at least 1, got {refinement.num_particles}")
    return RefinedGuide(model, guide, refinement).train(guide.training) if refinement.steps > 0 else guide


def climb(model: PyroModule, guide: PyroModule, images: Canvas, refinement: Refinement, seed: int) -> Moves:
    """Find each image's moves.

    Noise has names and no image in them, so that images do not notice which others they are refined with.

    Args:
        model: The generative program.
        guide: The amortized guide.
        images: ``[images C H W]`` as the likelihood wants them.
        refinement: How far.
        seed: Of the noise.
    """
    with _apart(model, guide):
        moves = _start(guide, images)
        leaves = [part for move in moves.values() for part in (move.shift, move.log_stretch)]
        optimizer = torch.optim.Adam(leaves, lr=refinement.rate)
        names = torch.arange(refinement.num_particles)[:, None, None].expand(-1, 1, len(images))
        for step in range(refinement.steps):
            loss = -_bound(model, guide, images, moves, seed + step, names)
            for leaf, gradient in zip(leaves, torch.autograd.grad(loss, leaves), strict=True):
                leaf.grad = gradient
            optimizer.step()
    return {name: Move(move.shift.detach(), move.log_stretch.detach()) for name, move in moves.items()}


def _start(guide: PyroModule, images: Canvas) -> Moves:
    """Make moves that do nothing, for all sites of the guide."""
    with torch.no_grad():
        sites = random_sites(poutine.trace(guide).get_trace(images))

    def zeros(site: Any) -> Tensor:
        return site["value"].new_zeros(len(images), *site["fn"].event_shape).requires_grad_(True)

    return {name: Move(zeros(site), zeros(site)) for name, site in sites.items()}


def _bound(
    model: PyroModule,
    guide: PyroModule,
    images: Canvas,
    moves: Moves,
    seed: int,
    names: Int64[Tensor, "draws 1 images"],
) -> Float[Tensor, ""]:
    """Estimate the sum of all images' bounds, each a function of its own moves, nats."""
    index = torch.zeros(len(images), dtype=torch.int64)
    with DrawNamed(seed, names, index), pyro.plate("refinement", len(names), dim=DRAWS_DIM):
        with Moved(moves):
            guide_trace = poutine.trace(guide).get_trace(images)
        model_trace = poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(images)
    bound: Any = model_trace.log_prob_sum() - guide_trace.log_prob_sum()
    return bound / len(names)


@contextmanager
def _apart(model: PyroModule, guide: PyroModule) -> Iterator[None]:
    """Compute with gradients of nothing but moves, unseen by whatever traces, weighs or replays a program around."""
    with (
        poutine.block(),
        pyro.validation_enabled(False),
        pyro.get_param_store().scope(),
        evaluating(model, guide),
        torch.enable_grad(),
        fixed([*model.parameters(), *guide.parameters()]),
        remembering(model.decoder, afresh=True),
    ):
        yield


class Moved(Messenger):
    """Move the noise of a guide's sites.

    Args:
        moves: By site; their gradients are those of what is drawn.
    """

    def __init__(self, moves: Moves) -> None:
        super().__init__()
        self.moves = moves

    def _pyro_sample(self, msg: Any) -> None:
        if (move := self.moves.get(msg["name"])) is not None:
            msg["fn"] = moved(msg["fn"], move.shift, move.log_stretch)


def moved(fn: Distribution, shift: Tensor, log_stretch: Tensor) -> Any:
    """Move the standard normal noise that a distribution is a function of.

    Raises:
        UserError: If it is no function of normal noise.
    """
    if isinstance(fn, Independent):
        return moved(fn.base_dist, shift, log_stretch).to_event(fn.reinterpreted_batch_ndims)
    if isinstance(fn, TransformedDistribution):
        return type(fn)(moved(fn.base_dist, shift, log_stretch), fn.transforms)
    if isinstance(fn, TorchNormal):
        return Normal(fn.loc + fn.scale * shift, fn.scale * log_stretch.exp())
    if isinstance(fn, TorchMultivariateNormal):
        factor = fn.scale_tril
        loc = fn.loc + (factor @ shift.unsqueeze(-1)).squeeze(-1)
        return MultivariateNormal(loc, scale_tril=factor * log_stretch.exp().unsqueeze(-2))
    raise UserError(f"refinement moves normals and flows from normals: got a guide that draws {type(fn).__name__}")
