"""What the page shows of a tree: the image, and every node's part alone, on the image and in its own frame."""

import base64
from typing import Any

import torch

from rnp_pyro.affine import compose_children
from rnp_pyro.canvas import paste
from rnp_pyro.part_tree.value import TreeValue
from rnp_pyro.shapes import Float, Tensor

MOST_NODES = 160
"""Nodes that the page shows: the levels below, where there are more, are drawn but not shown on their own."""


def shown_levels(value: TreeValue) -> list[int]:
    """List the levels whose nodes are shown, from the root's children down; at least these."""
    levels, total = [], 0
    for level in range(value.num_levels - 1, value.leaf_level - 1, -1):
        total += value.at(level).z.shape[-2]
        if levels and total > MOST_NODES:
            break
        levels.append(level)
    return levels


@torch.no_grad()
def view_of(value: TreeValue) -> dict[str, Any]:
    """Return a tree's pictures and poses.

    Returns:
        ``image``, what the tree draws; ``nodes``, those shown, parents before children: ``path`` (steps from the root,
        each from 0), ``pose`` (from its frame to the image's) and ``parent_pose``, 2x3 over [-1, 1]; ``ink``, the part
        alone on the image; ``own``, its canvas in its own frame. Pictures are ``[rows, columns, base64 of bytes]``.
    """
    size, interpolation = value.assembly.canvas_sizes[0], value.assembly.interpolation
    nodes: list[dict[str, Any]] = []
    above: list[tuple[int, ...]] = [()]
    poses = torch.eye(2, 3, dtype=value.parse.root.dtype)[None]
    for level in shown_levels(value):
        count = value.num_steps(level + 1)
        parents, poses = poses, compose_children(poses, value.at(level).pose)
        canvases = value.canvas_of(level)
        pasted = paste(canvases, poses, size, interpolation)
        above = [(*parent, step) for parent in above for step in range(count)]
        nodes += [
            {
                "path": list(path),
                "pose": poses[at].tolist(),
                "parent_pose": parents[at // count].tolist(),
                "ink": picture(pasted[at]),
                "own": picture(canvases[at]),
            }
            for at, path in enumerate(above)
        ]
    return {"image": picture(value.fold()), "nodes": nodes}


def picture(ink: Float[Tensor, "1 rows columns"]) -> list[Any]:
    """Encode a grey picture: rows, columns, and base64 of its bytes."""
    pixels = (255 * ink[0].nan_to_num(0.0).clamp(0, 1)).round().to(torch.uint8)
    return [*pixels.shape, base64.b64encode(pixels.numpy().tobytes()).decode("ascii")]
