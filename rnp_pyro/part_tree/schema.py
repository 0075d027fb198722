"""The schema of a tree's JSON, as the code that reads it: what does not fit is refused by name, in one line."""

import json
from dataclasses import dataclass, field
from math import isfinite, prod
from typing import Any, NoReturn, get_args

import torch

from rnp_pyro.choices import Composition, Interpolation
from rnp_pyro.errors import UserError
from rnp_pyro.fold import Assembly
from rnp_pyro.parse import EVENT_DIMS, Nodes, Parse
from rnp_pyro.part_tree.value import TreeValue
from rnp_pyro.shapes import Tensor
from rnp_pyro.tree import Tree

FORMAT, VERSION = "rnp-pyro tree", 1
DTYPES = {"float32": torch.float32, "float64": torch.float64}
MOST_NODES = 100_000
LARGEST_SIDE = 10_000
LARGEST_NUMBER = 1e38
"""Numbers beyond do not fit float32."""


@dataclass(frozen=True)
class Header:
    """What a file says before its nodes.

    Args:
        levels: Level of the root, K.
        leaf_level: Level of the lowest nodes.
        assembly: How the tree is put together.
        patch_shape: Channels, rows and columns of patches.
        patches: Whether the nodes have patches.
        dtype: Of all numbers.
    """

    levels: int
    leaf_level: int
    assembly: Assembly
    patch_shape: tuple[int, ...]
    patches: bool
    dtype: torch.dtype


@dataclass
class _Column:
    """The numbers of all nodes of one level, node after node."""

    z: list[float] = field(default_factory=list)
    pose: list[float] = field(default_factory=list)
    action: list[float] = field(default_factory=list)
    patch: list[float] = field(default_factory=list)


class Reader:
    """Parses one file.

    Args:
        name: The file's, for messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def tree(self, read: Any) -> tuple[Header, TreeValue]:
        """Read a whole tree; where there are no patches, they are dark.

        Raises:
            UserError: If it does not fit the schema.
        """
        head = self._head(read)
        root = read["root"]
        size = len(root["z"]) if isinstance(root.get("z"), list) and root["z"] else 1
        z = self._numbers(root, "z", (size,), "the root")
        shapes = {"z": (size,), "pose": (2, 3), "action": (6,)}
        if head.patches:
            shapes["patch"] = head.patch_shape
        columns = [_Column() for _ in head.assembly.num_steps]
        self._children(root, "the root", 0, head, shapes, columns)
        levels = tuple(_nodes(column, size, head) for column in columns)
        parse = Parse(torch.tensor(z, dtype=head.dtype), levels)
        return head, TreeValue(parse, head.assembly, head.leaf_level)

    def check_made_by(self, tree: Tree, head: Header, value: TreeValue) -> None:
        """Refuse a file that another kind of tree made.

        Raises:
            UserError: With the first thing that differs.
        """
        made, found, depth = tree.without_leak, head.assembly, len(head.assembly.num_steps)
        pairs = {
            "levels": (tree.num_levels, head.levels),
            "num_steps": (made.num_steps[:depth], found.num_steps),
            "canvas_sizes": (made.canvas_sizes[:depth], found.canvas_sizes),
            "composition": (made.composition, found.composition),
            "interpolation": (made.interpolation, found.interpolation),
            "the size of z": (tree.latent_size, value.parse.root.shape[-1]),
            "the shape of patches": (tree.patch_shape, head.patch_shape),
            "dtype": (_name(next(tree.parameters()).dtype), _name(head.dtype)),
        }
        for name, (expected, got) in pairs.items():
            if expected != got:
                self._fail(name, f"{json.dumps(expected)} as in the run", got)

    def _head(self, read: Any) -> Header:
        if not isinstance(read, dict) or read.get("format") != FORMAT:
            raise UserError(
                f'expected a tree in {self.name}, with "format": "{FORMAT}", got other JSON: name a parse.json that '
                "examples.parse wrote"
            )
        if read.get("version") != VERSION:
            self._fail("version", f"{VERSION}, which this release reads", read.get("version"))
        if not isinstance(read.get("root"), dict):
            self._fail("root", "a node", read.get("root"))
        if not isinstance(read.get("patches"), bool):
            self._fail("patches", "true or false", read.get("patches"))
        dtype = DTYPES[self._choice(read, "dtype", tuple(DTYPES))]
        levels, leaf_level = self._integer(read, "levels", 1, 64), self._integer(read, "leaf_level", 0, 63)
        if leaf_level >= levels:
            self._fail("leaf_level", f"below levels, which is {levels}", leaf_level)
        image_shape = self._integers(read, "image_shape", 3)
        assembly = self._assembly(read, levels - leaf_level, image_shape, dtype)
        patch_shape = (image_shape[0], *self._integers(read, "patch_size", 2))
        return Header(levels, leaf_level, assembly, patch_shape, read["patches"], dtype)

    def _assembly(self, read: dict[str, Any], depth: int, image_shape: tuple[int, ...], dtype: torch.dtype) -> Assembly:
        sizes = read.get("canvas_sizes")
        if not isinstance(sizes, list) or len(sizes) != depth:
            self._fail("canvas_sizes", f"{depth} pairs of rows and columns", sizes)
        pairs = [self._integers({"canvas_sizes": size}, "canvas_sizes", 2) for size in sizes]
        if pairs[0] != image_shape[1:]:
            self._fail("canvas_sizes", f"{list(image_shape[1:])} first, the image's rows and columns", sizes)
        num_steps = self._integers(read, "num_steps", depth)
        if sum(prod(num_steps[: upto + 1]) for upto in range(depth)) > MOST_NODES:
            self._fail("num_steps", f"those of a tree of at most {MOST_NODES} nodes", list(num_steps))
        leak = None
        if read.get("leak") is not None:
            numbers = self._numbers(read, "leak", image_shape[:1], "the tree")
            if not all(0 < number < 1 for number in numbers):
                self._fail("leak", "between 0 and 1", read["leak"])
            leak = torch.tensor(numbers, dtype=dtype)[:, None, None]
        return Assembly(
            num_steps,
            tuple((rows, columns) for rows, columns in pairs),
            self._choice(read, "composition", get_args(Composition)),
            self._choice(read, "interpolation", get_args(Interpolation)),
            leak,
        )

    def _children(
        self,
        node: dict[str, Any],
        name: str,
        depth: int,
        head: Header,
        shapes: dict[str, tuple[int, ...]],
        columns: list[_Column],
    ) -> None:
        """Read a node's children and theirs, in the order of their steps."""
        steps = head.assembly.num_steps
        children = node.get("children", [])
        count = steps[depth] if depth < len(steps) else 0
        if not isinstance(children, list) or len(children) != count:
            self._fail(f"children of {name}", f"a list of {count} nodes", children)
        for step, child in enumerate(children):
            own = f"part {step + 1}" if depth == 0 else f"{name}.{step + 1}"
            if not isinstance(child, dict):
                self._fail(own, "a node", child)
            for key, shape in shapes.items():
                getattr(columns[depth], key).extend(self._numbers(child, key, shape, own))
            self._children(child, own, depth + 1, head, shapes, columns)

    def _fail(self, where: str, expected: str, got: Any) -> NoReturn:
        shown = json.dumps(got, default=str)
        shown = shown if len(shown) <= 60 else shown[:57] + "..."
        raise UserError(f"{self.name}: expected {where} to be {expected}, got {shown}")

    def _integer(self, read: dict[str, Any], key: str, low: int, high: int) -> int:
        found = read.get(key)
        if not isinstance(found, int) or isinstance(found, bool) or not low <= found <= high:
            self._fail(key, f"an integer within {low} to {high}", found)
        return found

    def _integers(self, read: dict[str, Any], key: str, count: int) -> tuple[int, ...]:
        found = read.get(key)
        if not isinstance(found, list) or len(found) != count:
            self._fail(key, f"{count} integers", found)
        return tuple(self._integer({key: one}, key, 1, LARGEST_SIDE) for one in found)

    def _choice(self, read: dict[str, Any], key: str, allowed: tuple[str, ...]) -> Any:
        if read.get(key) not in allowed:
            self._fail(key, f"one of {', '.join(allowed)}", read.get(key))
        return read[key]

    def _numbers(self, node: dict[str, Any], key: str, shape: tuple[int, ...], owner: str) -> list[float]:
        """Read nested lists of a given shape as one flat list of finite numbers."""
        flat = _flatten(node.get(key), shape)
        if flat is None:
            self._fail(f"{key} of {owner}", f"finite numbers of shape {list(shape)}", node.get(key))
        return flat


def _flatten(found: Any, shape: tuple[int, ...]) -> list[float] | None:
    """Join nested lists of ``shape``; None if they are not of that shape, or not of finite numbers."""
    if not shape:
        fits = isinstance(found, int | float) and not isinstance(found, bool) and abs(found) <= LARGEST_NUMBER
        return [float(found)] if fits and isfinite(found) else None
    if not isinstance(found, list) or len(found) != shape[0]:
        return None
    flat: list[float] = []
    for row in found:
        numbers = _flatten(row, shape[1:])
        if numbers is None:
            return None
        flat += numbers
    return flat


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _nodes(column: _Column, latent_size: int, head: Header) -> Nodes:
    """Join a level's numbers into tensors."""
    shapes = {"z": (latent_size,), "pose": (2, 3), "action": (6,), "patch": head.patch_shape}
    assert shapes.keys() == EVENT_DIMS.keys()
    count = len(column.z) // latent_size

    def tensor(name: str) -> Tensor:
        numbers = getattr(column, name)
        if name == "patch" and not head.patches:
            # Sizes come from the file: no memory is spent on them.
            return torch.zeros((), dtype=head.dtype).expand(count, *head.patch_shape)
        return torch.tensor(numbers, dtype=head.dtype).reshape(count, *shapes[name])

    return Nodes(**{name: tensor(name) for name in shapes})
