"""The programs of images and of their parts, their pictures, and their clusters."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from rnp_pyro.api.encoding import encode
from rnp_pyro.api.report import EVALUATION_SEED
from rnp_pyro.api.rows import observe, rows_of
from rnp_pyro.api.run import Run
from rnp_pyro.fold import fold
from rnp_pyro.shapes import Canvas, Float, Tensor
from rnp_pyro.tree import Tree


@dataclass(frozen=True)
class Codes:
    """Programs of a split's first images.

    Args:
        root: The guide's mean of each image's code.
        parts: The programs of the root's parts; None for a model without parts.
        labels: Each image's class; None where there are none.
        pixels: The images themselves, flat, in [0, 1].
    """

    root: Float[Tensor, "N Z"]
    parts: Float[Tensor, "N T Z"] | None
    labels: Any
    pixels: Float[Tensor, "N pixels"]


def codes_of(run: Run, split: str, limit: int) -> Codes:
    """Encode a split's first images."""
    part = rows_of(run.data, split, limit)
    found = encode(run.pair, observe(run.pair, part, EVALUATION_SEED))
    level = run.pair.model.decoder.num_levels
    pixels = part.images.flatten(1).float() / 255
    return Codes(found[f"z.{level}"], found.get(f"z.{level - 1}"), part.labels, pixels)


@torch.no_grad()
def pictures(tree: Tree, programs: Float[Tensor, "N Z"], level: int) -> Canvas:
    """Draw programs of a level, 0 to K: what each unfolds into, in its own frame; leaves have no program to draw.

    Args:
        tree: The model's.
        programs: Their latents.
        level: Theirs, 1 to K.
    """
    nodes = tree.unfold_programs(level, programs[:, None])
    return fold(tree.assembly.below(tree.num_levels - level), nodes).squeeze(-4)


@dataclass(frozen=True)
class Clusters:
    """Programs of a level in clusters, the largest first.

    Args:
        of: The cluster of each program.
        centres: Their means.
        members: The programs of each cluster by number, the nearest to its centre first.
    """

    of: Any
    centres: Float[Tensor, "k Z"]
    members: tuple[tuple[int, ...], ...]


def cluster(programs: Float[Tensor, "N Z"], count: int, seed: int) -> Clusters:
    """Cluster programs by k-means, into at most ``count`` clusters."""
    from sklearn.cluster import KMeans  # takes a second to import

    points = programs.double().numpy()
    found = KMeans(min(count, len(np.unique(points, axis=0))), n_init=4, random_state=seed).fit(points)  # pyright: ignore[reportArgumentType]
    order = np.argsort(-np.bincount(np.asarray(found.labels_)), kind="stable")
    rank = np.argsort(order)
    centres = found.cluster_centers_[order]
    members = []
    for number, centre in enumerate(centres):
        inside = (rank[found.labels_] == number).nonzero()[0]
        far = np.linalg.norm(points[inside] - centre, axis=1)
        members.append(tuple(int(at) for at in inside[np.argsort(far, kind="stable")]))
    return Clusters(rank[found.labels_], torch.from_numpy(centres).to(programs), tuple(members))
