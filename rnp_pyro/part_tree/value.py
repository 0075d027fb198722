"""A tree as a value of its own: a parse, and how it is put together. It folds without the networks that made it."""

from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from operator import index
from typing import Any

from rnp_pyro.errors import UserError
from rnp_pyro.fold import Assembly, PastedChildren, fold, pasted_children
from rnp_pyro.parse import Nodes, Parse
from rnp_pyro.shapes import Canvas, Float, Tensor
from rnp_pyro.tree import Tree


@dataclass(frozen=True)
class TreeValue:
    """A tree of programs, parts and poses, whole or cut off above its leaves.

    Args:
        parse: The root's latent and the nodes of levels K-1, ..., ``leaf_level``.
        assembly: How it is put together.
        leaf_level: Level of the lowest nodes, whose own patches are what is drawn; 0 for a whole tree.
    """

    parse: Parse
    assembly: Assembly
    leaf_level: int = 0

    @property
    def num_levels(self) -> int:
        """Level of the root, K."""
        return self.leaf_level + len(self.parse.levels)

    def at(self, level: int) -> Nodes:
        """Return the nodes of ``level``, from ``leaf_level`` to K-1."""
        return self.parse.levels[self.num_levels - 1 - level]

    def num_steps(self, level: int) -> int:
        """Return the number of children of each program of ``level``."""
        return self.assembly.num_steps[self.num_levels - level]

    def fold(self) -> Canvas:
        """Paste children into their parents' frames, up to the image, as the tree itself does."""
        return self.canvas_of(self.num_levels).squeeze(-4)

    def canvas_of(self, level: int) -> Float[Tensor, "*batch N C h w"]:
        """Return the canvas of each node of ``level``, in its own frame; at the lowest level its patch."""
        if level == self.leaf_level:
            return self.at(level).patch
        depth = self.num_levels - level
        return fold(self.assembly.below(depth), self.parse.levels[depth:])

    def pasted_children(self) -> Iterator[tuple[int, PastedChildren]]:
        """Go up to the root: each level, and its programs' children pasted on its canvases."""
        return enumerate(pasted_children(self.assembly, self.parse.levels), self.leaf_level + 1)


def assembly_of(tree: Tree) -> Assembly:
    """Read off a tree how its parses are put together; the leak as a number."""
    assembly = tree.assembly
    return replace(assembly, leak=None if assembly.leak is None else assembly.leak.detach())


def tree_value(tree: Tree, parse: Parse) -> TreeValue:
    """Make a value of what a tree's latents unfolded into."""
    return TreeValue(parse, assembly_of(tree))


def select(value: TreeValue, at: int | slice) -> TreeValue:
    """Select one tree, or several, from a batch along its first dimension."""
    levels = tuple(
        Nodes(**{field.name: getattr(nodes, field.name)[at] for field in fields(Nodes)}) for nodes in value.parse.levels
    )
    return replace(value, parse=Parse(value.parse.root[at], levels))


def steps_of(part: Any) -> tuple[int, ...]:
    """Return the steps from the root to a part that a caller named.

    Raises:
        UserError: If they are no whole numbers.
    """
    try:
        if isinstance(part, str):
            raise TypeError
        return tuple(index(step) for step in part)
    except TypeError:
        raise UserError(
            f"expected a part as a list of its steps from the root, counted from 0, such as [1] or [1, 2], got "
            f"{repr(part)[:60]}"
        ) from None


def position(value: TreeValue, path: tuple[int, ...]) -> tuple[int, int]:
    """Find a node.

    Args:
        value: The tree.
        path: The steps from the root to the node, each from 0: ``(1, 3)`` is the fourth sub-part of the second part.

    Returns:
        The node's level, and its place among the nodes of that level.

    Raises:
        UserError: If there is no such node.
    """
    steps = value.assembly.num_steps
    if not 0 < len(path) <= len(steps) or any(at not in range(count) for at, count in zip(path, steps, strict=False)):
        allowed = " and ".join(f"0 to {count - 1}" for count in steps)
        raise UserError(
            f"there is no part {list(path)}: expected up to {len(steps)} steps from the root, counted from 0, {allowed}"
            + ("; [] is the whole image, and no part of it" if not path else "")
        )
    place = 0
    for at, count in zip(path, steps, strict=False):
        place = place * count + at
    return value.num_levels - len(path), place


def decode_patches(tree: Tree, value: TreeValue) -> TreeValue:
    """Decode every node's own patch again: what its parent's program makes of its latent."""
    parents, level, levels = value.parse.root[..., None, :], value.num_levels, []
    for nodes in value.parse.levels:
        per_parent = nodes.z.unflatten(-2, (parents.shape[-2], -1))
        patches = tree.decode_patch(tree.generate(parents, level), per_parent)
        levels.append(replace(nodes, patch=patches.flatten(-5, -4)))
        parents, level = nodes.z, level - 1
    return replace(value, parse=Parse(value.parse.root, tuple(levels)))
