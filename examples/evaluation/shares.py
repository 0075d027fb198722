"""Weighing images, all in this process or shared out among several: an image's draws are the same in any."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from tqdm import tqdm

from examples.evaluation.config import EvaluateConfig
from examples.shared.parallel import Advance, run_pieces
from inference.importance import Evidence, fitted_sampling, join, judge, particle_terms
from inference.objectives.elbo import Terms
from inference.refinement import Refinement
from rnp_pyro.api.opening import open_trained
from rnp_pyro.api.run import Run
from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Canvas

SHARES = 4
"""Shares of each process: one that is slow then holds nobody up for long."""


@dataclass(frozen=True)
class Share:
    """Some of the images, to be weighed in a process of its own.

    Args:
        config: What is evaluated.
        refinement: How far each image's posterior is improved.
        observed: The images.
        first: Position of the first of them among all.
        num_saved: How many images' weights are kept, from the first of all on.
    """

    config: EvaluateConfig
    refinement: Refinement
    observed: Canvas
    first: int
    num_saved: int


@dataclass(frozen=True)
class Weighed:
    """What the weights tell of some images, and the weights that are to be kept.

    Args:
        first: Position of the first of them among all.
        evidence: Bounds and diagnostics.
        saved: Terms of those whose weights are kept; may be empty.
    """

    first: int
    evidence: Evidence
    saved: tuple[Terms, ...]


def weigh_all(run: Run, observed: Canvas, config: EvaluateConfig, num_saved: int) -> tuple[Evidence, Terms]:
    """Weigh all particles; return what they tell of all images, and the weights of the first ``num_saved``.

    Raises:
        UserError: If an image has no finite likelihood, or a process ended early.
    """
    # On a terminal a bar; elsewhere (a log file) nothing.
    with tqdm(total=config.particles * len(observed), unit=" particles", unit_scale=True, disable=None) as bar:
        if config.processes == 1:
            found: Sequence[Weighed] = [weigh(run, observed, config, 0, num_saved, bar.update)]
        else:
            shares = _shares(run, observed, config, num_saved)
            found = sorted(run_pieces(weigh_share, shares, config.processes, bar.update), key=lambda one: one.first)
    saved = [terms for one in found for terms in one.saved]
    names = ("reconstruction", "kl")
    kept = (torch.cat([getattr(terms, name) for terms in saved], -1)[:, :num_saved] for name in names)
    return join([one.evidence for one in found]), Terms(*kept)


def weigh(
    run: Run, observed: Canvas, config: EvaluateConfig, first: int, num_saved: int, advance: Callable[[int], object]
) -> Weighed:
    """Weigh the particles of some images, the first of which is the ``first`` of all."""
    sampling, evidence, saved = fitted_sampling(config.particles, config.seed), [], []
    for chosen, terms in particle_terms(run.pair.model, run.pair.guide, observed, sampling, advance, first):
        at = first + chosen.start
        if not terms.neg_elbo.isfinite().all():
            raise UserError(
                f"image {at} or a neighbour has no finite likelihood under {run.name}: its weights are damaged, or its "
                "training went wrong"
            )
        evidence.append(judge(terms))
        if at < num_saved:
            saved.append(terms)
    return Weighed(first, join(evidence), tuple(saved))


def weigh_share(share: Share, advance: Advance) -> Weighed:
    """Open the run in this process, and weigh a share of the images."""
    run = open_trained(Path(share.config.run), data=share.config.data, data_dir=share.config.data_dir)
    run = replace(run, pair=replace(run.pair, refinement=share.refinement))
    run.pair.modules.to(share.observed.dtype)
    with torch.no_grad():
        return weigh(run, share.observed, share.config, share.first, share.num_saved, advance)


def _shares(run: Run, observed: Canvas, config: EvaluateConfig, num_saved: int) -> list[Share]:
    """Divide the images, each share a multiple of the images that are weighed side by side."""
    chunk = fitted_sampling(config.particles, config.seed).image_chunk
    size = chunk * max(1, -(-len(observed) // (chunk * SHARES * config.processes)))
    starts = range(0, len(observed), size)
    return [Share(config, run.pair.refinement, observed[at : at + size].clone(), at, num_saved) for at in starts]
