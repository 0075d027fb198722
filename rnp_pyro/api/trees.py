"""Parsed images: trees as values, with the images that they explain. Operations return new ones."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, overload

import torch
from matplotlib.figure import Figure

from rnp_pyro import figures
from rnp_pyro.api.notebook import png
from rnp_pyro.errors import UserError
from rnp_pyro.figures import Panel, Row
from rnp_pyro.figures.printing import on_paper
from rnp_pyro.part_tree import edit
from rnp_pyro.part_tree.files import save_tree, tree_to_json
from rnp_pyro.part_tree.graph import to_networkx
from rnp_pyro.part_tree.value import TreeValue, steps_of
from rnp_pyro.shapes import Float, Tensor
from rnp_pyro.tree import Tree
from rnp_pyro.writing import writing

SHOWN = 8
"""Trees in a figure of several."""


@dataclass(frozen=True)
class PartTree:
    """One image's tree of parts, as ``Run.parse`` returns it. It never changes: operations return new trees.

    A part is named by the steps from the root, counted from 0: ``[1]`` is the root's second part, ``[1, 2]`` the third
    part of that, ``[]`` the whole image. Lengths in a part's frame go from -1 to 1, x to the right and y down.

        one, two = run.parse(images[:2])
        one.move([1], turn=30).figure().savefig("turned.png")
        one.replace([0], two).save("mixed.json")

    Args:
        value: Programs, poses and patches of all nodes.
        image: What was parsed, in [0, 1]; None for an edited tree.
        tree: The model's, which unfolds and decodes edited programs.
        about: Where it comes from, for files.
    """

    value: TreeValue
    image: Float[Tensor, "C H W"] | None
    tree: Tree = field(repr=False)
    about: Mapping[str, str] = field(default_factory=dict)

    @property
    def canvas(self) -> Float[Tensor, "C H W"]:
        """What the tree draws, ``[C H W]`` in [0, 1]."""
        return self.value.fold()

    @property
    def squared_error(self) -> float | None:
        """Squared error of the canvas, summed over pixels; None for an edited tree."""
        return None if self.image is None else float((self.canvas - self.image).square().sum())

    def figure(self) -> Figure:
        """Show the image, its reconstruction, its parts and the tree."""
        return figures.tree_drawing(self.canvas if self.image is None else self.image, self.value)

    def to_json(self, patches: bool = True) -> dict[str, Any]:
        """Return what JSON holds of the tree, as the command ``parse`` writes it (docs/programs.md).

        Args:
            patches: With the nodes' patches, with which it can be drawn without the run; three times the size.
        """
        return tree_to_json(self.value, patches, self.about)

    def to_networkx(self) -> Any:
        """Return the tree as a ``networkx.DiGraph``, with an edge from every part to each of its own parts.

        Nodes are tuples of steps from the root, ``()`` for the root. Their attributes are ``level``, ``z``, and below
        the root ``pose``, ``action`` and ``patch``; edges have the ``step``.

        Raises:
            UserError: If networkx is not installed.
        """
        return to_networkx(self.value)

    def save(self, path: str | Path, patches: bool = True) -> Path:
        """Write the tree as JSON; an older file is replaced.

        Args:
            path: The file.
            patches: With the nodes' patches, with which it can be drawn without the run; three times the size.

        Raises:
            UserError: If it cannot be written.
        """
        with writing(path):
            save_tree(self.value, Path(path), patches, self.about)
        return Path(path)

    @torch.no_grad()
    def move(
        self, part: Sequence[int], *, shift: tuple[float, float] = (0.0, 0.0), turn: float = 0.0, scale: float = 1.0
    ) -> "PartTree":
        """Move a part in its parent's frame, about its own centre.

        Args:
            part: The steps from the root, each from 0: ``[1]`` is the second part, ``[1, 2]`` the third part of it.
            shift: To the right and down, in halves of the parent's width and height: 1 moves from the middle to the
                edge.
            turn: Degrees, clockwise as one looks at the image.
            scale: Factor of its size, above 0.

        Raises:
            UserError: If there is no such part, or a number is not finite.
        """
        return self._changed(edit.move_part(self.value, steps_of(part), edit.Move(shift, turn, scale)))

    @torch.no_grad()
    def replace(self, part: Sequence[int], other: "PartTree", other_part: Sequence[int] | None = None) -> "PartTree":
        """Let a part run the program of another tree's part; its pose stays, its own parts are unfolded again.

        Args:
            part: Which part of this tree; ``[]`` is the whole image.
            other: A tree of the same run.
            other_part: Whose program it is to run, on the same level; default: the part at the same place.

        Raises:
            UserError: If there is no such part, the two are not of one level, or the trees not of one run.
        """
        path, given = steps_of(part), steps_of(part if other_part is None else other_part)
        self._check_alike(other)
        if len(path) != len(given):
            raise UserError(
                f"expected two parts of one level, got {list(path)} and {list(given)}: name as many steps for both"
            )
        return self._changed(edit.replace_program(self.tree, self.value, path, edit.program_of(other.value, given)))

    @torch.no_grad()
    def swap(
        self, other: "PartTree", part: Sequence[int], other_part: Sequence[int] | None = None, with_pose: bool = False
    ) -> tuple["PartTree", "PartTree"]:
        """Exchange a part with another tree's, and return both trees, this one first.

        Args:
            other: A tree of the same run.
            part: Which part of this tree.
            other_part: Which part of the other, on the same level; default: the one at the same place.
            with_pose: Take the poses along; else each part takes the place of the other.

        Raises:
            UserError: If there is no such part, the two are not of one level, or the trees not of one run.
        """
        self._check_alike(other)
        given = None if other_part is None else steps_of(other_part)
        one, two = edit.swap_parts(self.tree, self.value, other.value, steps_of(part), given, with_pose)
        return self._changed(one), other._changed(two)

    @torch.no_grad()
    def interpolate(self, other: "PartTree", weight: float, part: Sequence[int] = ()) -> "PartTree":
        """Mix the programs of two trees, ``(1 - weight) z + weight z'``, and unfold the mixture.

        Args:
            other: A tree of the same run.
            weight: 0 is this tree's program, 1 the other's; beyond, the line goes on.
            part: Whose program is mixed; default: the root's, the whole image.

        Raises:
            UserError: If there is no such part, the weight is not finite, or the trees are not of one run.
        """
        self._check_alike(other)
        return self._changed(edit.interpolate(self.tree, self.value, other.value, weight, steps_of(part)))

    @torch.no_grad()
    def mix(self, other: "PartTree", weight: float) -> "PartTree":
        """Mix the programs and poses of all nodes of two trees: at 0 it draws this tree, at 1 the other.

        Where nodes are random (``--model.node_latents``), :meth:`interpolate` ends at what the root's programs unfold
        into, and not at the trees.

        Args:
            other: A tree of the same run.
            weight: Of the other; beyond 0 and 1, the line goes on.

        Raises:
            UserError: If the weight is not finite, or the trees are not of one run.
        """
        self._check_alike(other)
        return self._changed(edit.mix(self.tree, self.value, other.value, weight))

    @torch.no_grad()
    def truncate(self, level: int) -> "PartTree":
        """Cut the tree off at a level, whose nodes then draw their own patches.

        Args:
            level: From 0, which changes nothing, to one below the root's, which keeps only the root's parts.

        Raises:
            UserError: If the tree has no such level to cut at.
        """
        return self._changed(edit.truncate(self.value, level))

    def __repr__(self) -> str:
        counts = " x ".join(map(str, self.value.assembly.num_steps))
        error = ", edited" if self.squared_error is None else f", squared error {self.squared_error:.2f}"
        return f"<tree of {counts} parts, {'x'.join(map(str, self.canvas.shape[-2:]))} pixels{error}>"

    def _repr_png_(self) -> bytes:
        return png(self.figure())

    def _changed(self, value: TreeValue) -> "PartTree":
        return replace(self, value=value, image=None)

    def _check_alike(self, other: "PartTree") -> None:
        if not isinstance(other, PartTree):
            raise UserError(f"expected another tree, such as run.parse(images)[1], got {type(other).__name__}")
        if other.tree is not self.tree:
            raise UserError("expected two trees of one run: another run's programs mean nothing to its networks")


@dataclass(frozen=True)
class PartTrees(Sequence[PartTree]):
    """Several images' trees, in the order of the images."""

    trees: tuple[PartTree, ...]

    def __len__(self) -> int:
        return len(self.trees)

    @overload
    def __getitem__(self, index: int) -> PartTree: ...
    @overload
    def __getitem__(self, index: slice) -> "PartTrees": ...
    def __getitem__(self, index: int | slice) -> "PartTree | PartTrees":
        return PartTrees(self.trees[index]) if isinstance(index, slice) else self.trees[index]

    def __iter__(self) -> Iterator[PartTree]:
        return iter(self.trees)

    def figure(self) -> Figure:
        """Show one image per row: itself, what its tree draws, and its parts; the first eight."""
        return figures.panels([_row(one) for one in self.trees[:SHOWN]])

    def to_json(self, patches: bool = True) -> list[dict[str, Any]]:
        """Return what JSON holds of each tree."""
        return [one.to_json(patches) for one in self.trees]

    def to_networkx(self) -> list[Any]:
        """Return each tree as a ``networkx.DiGraph``."""
        return [one.to_networkx() for one in self.trees]

    def save(self, path: str | Path, patches: bool = True) -> Path:
        """Write the trees as ``tree-0.json``, ``tree-1.json``, ... into a folder, which is made if need be.

        Args:
            path: The folder; older files of these names are replaced.
            patches: With the nodes' patches, with which they can be drawn without the run; three times the size.

        Raises:
            UserError: If it cannot be written.
        """
        with writing(path):
            Path(path).mkdir(parents=True, exist_ok=True)
        for at, one in enumerate(self.trees):
            one.save(Path(path) / f"tree-{at}.json", patches)
        return Path(path)

    def __repr__(self) -> str:
        return f"<{len(self)} trees{': ' + repr(self.trees[0])[1:-1] + ', ...' if self.trees else ''}>"

    def _repr_png_(self) -> bytes | None:
        return png(self.figure()) if self.trees else None


def _row(one: PartTree) -> Row:
    """Show an image, what its tree draws, and the root's parts on their own."""
    *_, (_, pasted) = one.value.pasted_children()
    parts = pasted[0]
    shown = [] if one.image is None else [Panel("image", on_paper(one.image))]
    shown.append(Panel("drawn", on_paper(one.canvas)))
    if parts.shape[-3] == 1:
        shown.append(Panel("parts", on_paper(figures.colourise(parts))))
    return Row([*shown, *(Panel(f"part {at + 1}", on_paper(part)) for at, part in enumerate(parts.clamp(0, 1)))])
