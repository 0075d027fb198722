"""What figures measure on runs."""

from collections.abc import Sequence

import numpy as np
import torch

from examples.adaptation.adapt import measured
from examples.paper.plan import Context, Row
from inference.importance import fitted_sampling, judge, particle_terms
from rnp_pyro.api.report import EVALUATION_SEED, draw_parts, mean_parse
from rnp_pyro.api.run import Run
from rnp_pyro.data import to_unit
from rnp_pyro.shapes import ByteImages, Float, Tensor

ERROR, BOUND, NATS = "squared error per image", "-ELBO, nats", "-log p(x), nats"


def quality(name: str, runs: Sequence[Run], context: Context, nats: bool = True, note: str = "") -> Row:
    """Measure runs of several seeds on test images: squared error, -ELBO, and the bound of many particles.

    Args:
        name: Of the row.
        runs: One for each seed.
        context: How many images and particles.
        nats: Whether the bound of many particles is taken too.
        note: Of the row.
    """
    values: dict[str, list[float]] = {}
    for run in runs:
        images = run.data.test[: context.scale.images]
        found = measured(run, images)
        values.setdefault(ERROR, []).append(found["squared_error"])
        values.setdefault(BOUND, []).append(found["neg_elbo"])
        if nats:
            values.setdefault(NATS, []).append(evidence(run, images, context))
    return Row(name, values, note)


def evidence(run: Run, images: ByteImages, context: Context) -> float:
    """Bound -log p(x), the mean over images, nats."""
    observed, particles = run.pair.prepare_fixed(images, EVALUATION_SEED), context.scale.particles
    terms = particle_terms(run.pair.model, run.pair.guide, observed, fitted_sampling(particles, 0))
    return -float(torch.cat([judge(one).bounds[particles] for _, one in terms]).mean())


def root_parts(run: Run, images: ByteImages) -> Float[Tensor, "N T C H W"]:
    """Draw the root's parts at the guide's mean, each alone on the image."""
    parse = mean_parse(run.pair, run.tree, run.pair.prepare_fixed(images, EVALUATION_SEED))
    return draw_parts(run.tree, parse).parts


def rand_index(parts: Float[Tensor, "N T C H W"], masks: Float[Tensor, "N objects H W"]) -> float:
    """Return the adjusted Rand index of parts against objects, over pixels with ink, the mean over images.

    A pixel belongs to the part that inks it most; 1: the parts are the objects, 0: no better than chance.

    Args:
        parts: Each part alone on the image.
        masks: Each object's ink, in [0, 1]; where it is below a half in all, a pixel is ground.
    """
    from sklearn.metrics import adjusted_rand_score

    owner = parts.amax(-3).argmax(-3)
    scores = []
    for mine, theirs in zip(owner, masks, strict=True):
        inked = theirs.amax(0) > 0.5
        if inked.any():
            scores.append(adjusted_rand_score(theirs.argmax(0)[inked].numpy(), mine[inked].numpy()))
    return float(np.mean(scores))


def masks_of(run: Run, count: int) -> Float[Tensor, "N objects H W"]:
    """Return the objects' masks of a run's first test images, those of made data from their own file."""
    masks = run.data.test_masks
    if masks is None:
        with np.load(run.config.data.removeprefix("array:")) as file:
            masks = torch.from_numpy(file["masks_test"])
    return to_unit(masks[:count])
