"""A tree as JSON: one schema, written whole or not at all, checked when it is read (``schema.py``).

    {"format": "rnp-pyro tree", "version": 1, "dtype": "float32", "levels": 2, "leaf_level": 0,
     "image_shape": [1, 28, 28], "num_steps": [4, 4], "canvas_sizes": [[28, 28], [16, 16]], "patch_size": [8, 8],
     "composition": "noisy_or", "interpolation": "bilinear", "leak": [0.01], "patches": true, "about": {...},
     "root": {"z": [...], "children": [
        {"z": [...], "pose": [[a, b, x], [c, d, y]], "action": [...], "patch": [[[...]]], "children": [...]}, ...]}}

``pose`` maps a point of the node's frame to its parent's, both over [-1, 1] with x to the right and y down. ``action``
is what the policy emitted, before it was bounded. ``patch`` is ``[channels][rows][columns]``; a file without patches
needs the tree that made it to be drawn. Numbers are the shortest decimals that read back as the very same floats.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from rnp_pyro.checkpoint import write_text
from rnp_pyro.errors import UserError
from rnp_pyro.limits import check_ends
from rnp_pyro.part_tree.schema import FORMAT, VERSION, Reader
from rnp_pyro.part_tree.value import TreeValue, decode_patches
from rnp_pyro.shapes import Tensor
from rnp_pyro.tree import Tree

LARGEST_FILE = 2**28
"""Bytes of a file that is taken seriously."""


def save_tree(value: TreeValue, path: Path, patches: bool = True, about: Mapping[str, str] | None = None) -> None:
    """Write one tree as JSON.

    Args:
        value: One tree, not a batch.
        path: The file; an older one is replaced.
        patches: Write the patches too, so that the file can be drawn without the tree that made it.
        about: Notes of where the tree comes from.

    Raises:
        UserError: If ``value`` is a batch, or holds a number that is not finite.
    """
    write_text(path, json.dumps(tree_to_json(value, patches, about), allow_nan=False) + "\n")


def load_tree(path: Path, tree: Tree | None = None) -> TreeValue:
    """Read a tree.

    Args:
        path: The file.
        tree: What made it; decodes the patches of a file without any, and is compared with a file that has them.

    Raises:
        UserError: In one line, if the file is missing, no tree, damaged, not of this version or not of ``tree``.
    """
    return tree_from_json(_read(path), str(path), tree)


def tree_to_json(value: TreeValue, patches: bool = True, about: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Turn one tree into what JSON has; see :func:`save_tree`."""
    root = value.parse.root
    if root.dim() != 1:
        raise UserError(f"expected one tree to write, got a batch of {list(root.shape[:-1])}: select one of them")
    assembly, patch = value.assembly, value.parse.levels[0].patch
    return {
        "format": FORMAT,
        "version": VERSION,
        "dtype": "float64" if root.dtype == torch.float64 else "float32",
        "levels": value.num_levels,
        "leaf_level": value.leaf_level,
        "image_shape": [patch.shape[-3], *assembly.canvas_sizes[0]],
        "num_steps": list(assembly.num_steps),
        "canvas_sizes": [list(size) for size in assembly.canvas_sizes],
        "patch_size": list(patch.shape[-2:]),
        "composition": assembly.composition,
        "interpolation": assembly.interpolation,
        "leak": None if assembly.leak is None else _numbers(assembly.leak.flatten()),
        "patches": patches,
        "about": dict(about or {}),
        "root": {"z": _numbers(root), "children": _children(value, value.num_levels, 0, patches)},
    }


def tree_from_json(read: Any, name: str, tree: Tree | None = None) -> TreeValue:
    """Turn what was read from a JSON file into a tree; ``name`` is the file's, for messages. See :func:`load_tree`."""
    reader = Reader(name)
    head, value = reader.tree(read)
    if tree is not None:
        reader.check_made_by(tree, head, value)
    if head.patches:
        return value
    if tree is None:
        raise UserError(
            f"expected a tree with patches in {name}, got one without: give the run that made it, or write it with "
            "--patches true"
        )
    return decode_patches(tree, value)


def _children(value: TreeValue, level: int, place: int, patches: bool) -> list[dict[str, Any]]:
    """Return the children of the program at ``place`` of ``level``, and theirs."""
    if level == value.leaf_level:
        return []
    nodes, count = value.at(level - 1), value.num_steps(level)
    names = ("z", "pose", "action", "patch") if patches else ("z", "pose", "action")
    found = []
    for child in range(place * count, (place + 1) * count):
        node: dict[str, Any] = {name: _numbers(getattr(nodes, name)[child]) for name in names}
        if level - 1 > value.leaf_level:
            node["children"] = _children(value, level - 1, child, patches)
        found.append(node)
    return found


def _numbers(tensor: Tensor) -> Any:
    """Turn a tensor into nested lists of the shortest decimals that read back as the same floats."""
    if not bool(tensor.isfinite().all()):
        raise UserError("expected finite numbers in a tree, got nan or infinity: it cannot be written as JSON")
    wide = tensor.detach().cpu()
    array = (wide if wide.dtype == torch.float64 else wide.float()).numpy()
    return _shortest(array)


def _shortest(array: Any) -> Any:
    return [_shortest(row) for row in array] if array.ndim else float(str(array[()]))


def _read(path: Path) -> Any:
    check_ends(path)
    try:
        if path.is_file() and path.stat().st_size > LARGEST_FILE:
            raise UserError(f"expected a tree of at most {LARGEST_FILE >> 20} MiB, got the larger file {path}")
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"expected a file with a tree, got {path}: {error.strerror or error}") from None
    except RecursionError:
        raise UserError(f"expected a tree in {path}, got JSON of too many levels") from None
    except UserError:
        raise
    except ValueError as error:
        raise UserError(f"expected a tree as JSON in {path}, got something else: {error}") from None
