"""Fold: paste children into their parents' frames, level by level, up to the image (the nested sum of eq. (1)).

Nothing here knows what made the nodes: a tree folds what it unfolds, and a tree that was read from a file folds alike.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from rnp_pyro.canvas import addend, compose_canvases, paste, show
from rnp_pyro.choices import Composition, Interpolation
from rnp_pyro.parse import Nodes
from rnp_pyro.shapes import Float, Tensor

PastedChildren = Float[Tensor, "*batch N T C H W"]
"""The children of the programs of one level, each on its parent's canvas."""

PastedSum = Float[Tensor, "*batch M C h w"]
"""Sum of what the children of each of M programs add to its canvas; :func:`~rnp_pyro.canvas.addend`."""


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


def fold(
    assembly: Assembly, levels: Sequence[Nodes], drawn: PastedSum | None = None
) -> Float[Tensor, "*batch N C H W"]:
    """Fold nodes into the canvases of the N programs at their top.

    Args:
        assembly: How these programs, and those below them, are put together.
        levels: The programs' children first; the last ones' own patches are what is drawn.
        drawn: Sums of what the children of the last level have drawn already, in place of their patches.
    """
    if drawn is not None and not levels:
        return show(drawn, assembly.composition, assembly.leak)
    *_, pasted = pasted_children(assembly, levels, drawn)
    return compose_canvases(pasted, assembly.composition, assembly.leak)


def pasted_children(
    assembly: Assembly, levels: Sequence[Nodes], drawn: PastedSum | None = None
) -> Iterator[PastedChildren]:
    """Go up from the lowest programs to the top ones: each level's children, pasted on their parents' canvases."""
    canvas = levels[-1].patch if drawn is None else show(drawn, assembly.composition)
    settings = zip(levels, assembly.num_steps, assembly.canvas_sizes, strict=False)  # levels may end above the leaves
    for nodes, num_steps, size in reversed(list(settings)):
        pasted = paste(canvas, nodes.pose, size, assembly.interpolation).unflatten(-4, (-1, num_steps))
        yield pasted
        canvas = compose_canvases(pasted, assembly.composition)


@dataclass(frozen=True, eq=False)
class Drawing:
    """Programs' canvases so far, as a walk goes on. Each is drawn when it is looked at, and once.

    Args:
        assembly: How these programs are put together.
        blank: An empty canvas, ``[*batch N C H W]``.
        before: The drawing to which a child is added; None: there is no child yet.
        child: The child's canvas.
        pose: Its pose.
    """

    assembly: Assembly
    blank: Float[Tensor, "*batch N C H W"]
    before: "Drawing | None" = None
    child: Float[Tensor, "*batch N C h w"] | None = None
    pose: Float[Tensor, "*batch N 2 3"] | None = None

    def add(self, child: Float[Tensor, "*batch N C h w"], pose: Float[Tensor, "*batch N 2 3"]) -> "Drawing":
        """Return the drawing with one more child."""
        return Drawing(self.assembly, self.blank, self, child, pose)

    @cached_property
    def total(self) -> PastedSum:
        """The children's sum; see :func:`~rnp_pyro.canvas.addend`."""
        if self.before is None or self.child is None or self.pose is None:
            return self.blank
        pasted = paste(self.child, self.pose, self.assembly.canvas_sizes[0], self.assembly.interpolation)
        return self.before.total + addend(pasted, self.assembly.composition)

    @cached_property
    def canvas(self) -> Float[Tensor, "*batch N C H W"]:
        """The canvas, without a leak."""
        return self.blank if self.before is None else show(self.total, self.assembly.composition)

    def look(self) -> Float[Tensor, "*batch N C H W"]:
        """Return :attr:`canvas`."""
        return self.canvas

    @property
    def looked_at(self) -> bool:
        """Whether somebody looked at it before the last child came."""
        return self.before is not None and "canvas" in vars(self.before)
