"""Fold: paste children into their parents' frames, level by level, up to the image (the nested sum of eq. (1)).

Nothing here knows what made the nodes: a tree folds what it unfolds, and a tree that was read from a file folds alike.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from rnp_pyro.canvas import compose_canvases, paste
from rnp_pyro.choices import Composition, Interpolation
from rnp_pyro.parse import Nodes
from rnp_pyro.shapes import Float, Tensor

PastedChildren = Float[Tensor, "*batch N T C H W"]
"""The children of the programs of one level, each on its parent's canvas."""


@dataclass(frozen=True)
class Assembly:
    """How a tree is put together.

    Args:
        num_steps: Children of each program, of the root and of the levels below it that have children.
        canvas_sizes: Rows and columns of these programs' canvases, in pixels; the root's is the image.
        composition: How children add up.
        interpolation: Of pasting.
        leak: Probability that a pixel of the root's canvas is bright without any part, in (0, 1); None: no leak.
    """

    num_steps: tuple[int, ...]
    canvas_sizes: tuple[tuple[int, int], ...]
    composition: Composition
    interpolation: Interpolation
    leak: Float[Tensor, "C 1 1"] | None = None

    def below(self, depth: int) -> "Assembly":
        """Return how the programs ``depth`` levels below the root are put together; only the root has a leak."""
        num_steps, canvas_sizes = self.num_steps[depth:], self.canvas_sizes[depth:]
        return replace(self, num_steps=num_steps, canvas_sizes=canvas_sizes, leak=None if depth else self.leak)

    def above(self, depth: int) -> "Assembly":
        """Return how the upper ``depth`` levels of programs are put together."""
        return replace(self, num_steps=self.num_steps[:depth], canvas_sizes=self.canvas_sizes[:depth])


def fold(assembly: Assembly, levels: Sequence[Nodes]) -> Float[Tensor, "*batch N C H W"]:
    """Fold nodes into the canvases of the N programs at their top.

    Args:
        assembly: How these programs, and those below them, are put together.
        levels: The programs' children first; the last ones' own patches are what is drawn.
    """
    *_, pasted = pasted_children(assembly, levels)
    return compose_canvases(pasted, assembly.composition, assembly.leak)


def pasted_children(assembly: Assembly, levels: Sequence[Nodes]) -> Iterator[PastedChildren]:
    """Go up from the lowest programs to the top ones: each level's children, pasted on their parents' canvases."""
    canvas = levels[-1].patch
    settings = zip(levels, assembly.num_steps, assembly.canvas_sizes, strict=False)  # levels may end above the leaves
    for nodes, num_steps, size in reversed(list(settings)):
        pasted = paste(canvas, nodes.pose, size, assembly.interpolation).unflatten(-4, (-1, num_steps))
        yield pasted
        canvas = compose_canvases(pasted, assembly.composition)


def add_child(
    assembly: Assembly,
    draw_canvas: Callable[[], Float[Tensor, "*batch N C H W"]],
    child: Float[Tensor, "*batch N C h w"],
    pose: Float[Tensor, "*batch N 2 3"],
) -> Float[Tensor, "*batch N C H W"]:
    """Add one more child to its parent's canvas so far."""
    canvas = draw_canvas()
    pasted = paste(child, pose, assembly.canvas_sizes[0], assembly.interpolation)
    return compose_canvases(torch.stack([canvas, pasted], dim=-4), assembly.composition)
