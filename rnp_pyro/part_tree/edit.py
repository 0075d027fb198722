"""Operations on trees, as pure functions: each takes values and returns new ones.

What hangs together stays so: a node's descendants are what its program unfolds into, its own patch is what its parent's
program makes of its latent, and both are made again when that program or that parent changes. Poses, siblings and the
order of children stay as they are. (A program's later steps would depend on its earlier ones if it ran again; it does
not run again for the sake of an edited child.)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields, replace
from math import cos, inf, isfinite, radians, sin

import torch

from rnp_pyro.affine import compose
from rnp_pyro.errors import UserError
from rnp_pyro.parse import EVENT_DIMS, Nodes, Parse
from rnp_pyro.part_tree.value import TreeValue, decode_patches, position, tree_value
from rnp_pyro.shapes import Float, Latent, Tensor
from rnp_pyro.tree import Tree

Path = tuple[int, ...]
"""The steps from the root to a node, each from 0."""


@dataclass(frozen=True)
class Move:
    """How a part is to be moved in its parent's frame, about its own centre.

    Args:
        shift: To the right and down, in halves of the parent's width and height: 1 moves from the middle to the edge.
        turn: Degrees, clockwise as one looks at the image.
        scale: Factor of its size, above 0.
    """

    shift: tuple[float, float] = (0.0, 0.0)
    turn: float = 0.0
    scale: float = 1.0

    def __post_init__(self) -> None:
        if not isinstance(self.shift, Sequence) or isinstance(self.shift, str) or len(self.shift) != 2:
            raise UserError(f"shift must be two numbers, to the right and down, got {self.shift}")
        for name, numbers in (("shift", self.shift), ("turn", (self.turn,))):
            if not all(isinstance(one, int | float) and isfinite(one) for one in numbers):
                raise UserError(f"{name} must be finite, got {getattr(self, name)}")
        if not isinstance(self.scale, int | float) or not 0 < self.scale < inf:
            raise UserError(f"scale must be above 0 and finite, got {self.scale}")


def program_of(value: TreeValue, path: Path) -> Latent:
    """Return the program of the part at ``path``; of the whole image for the empty path."""
    if not path:
        return value.parse.root
    level, place = position(value, path)
    return value.at(level).z[..., place, :]


def replace_program(tree: Tree, value: TreeValue, path: Path, program: Latent) -> TreeValue:
    """Let the part at ``path`` run another program; its pose stays, its subtree is unfolded again.

    Args:
        tree: What unfolds programs.
        value: The tree to change.
        path: Which part; the empty path is the whole image.
        program: The new program, of the batch shape of ``value``.
    """
    if not path:
        return unfold_value(tree, program, value.leaf_level)
    level, place = position(value, path)
    nodes = value.at(level)
    value = _with_nodes(value, level, replace(nodes, z=_put(nodes.z, program[..., None, :], place, "z")))
    if level > value.leaf_level:
        below = tree.unfold_programs(level, program[..., None, :])
        for lower, subtree in zip(range(level - 1, value.leaf_level - 1, -1), below, strict=False):
            value = _with_nodes(value, lower, _put_nodes(value.at(lower), subtree, place))
    return _decoded(tree, value, level)


def swap_parts(
    tree: Tree, one: TreeValue, other: TreeValue, path: Path, other_path: Path | None = None, with_pose: bool = False
) -> tuple[TreeValue, TreeValue]:
    """Exchange two parts of two trees, their subtrees with them.

    Args:
        tree: What decodes patches.
        one: A tree.
        other: Another tree, of the same make.
        path: The part in ``one``.
        other_path: The part in ``other``, on the same level; default: at the same place.
        with_pose: Take the poses along; else each part takes the place of the other.

    Raises:
        UserError: If there is no such part, or the two are not of one level.
    """
    other_path = path if other_path is None else other_path
    level, place = position(one, path)
    other_level, other_place = position(other, other_path)
    if level != other_level or one.leaf_level != other.leaf_level:
        raise UserError(
            f"parts of one level can be swapped, got {list(path)} of level {level} and {list(other_path)} of "
            f"level {other_level}: give two paths of one length"
        )
    names = ("z", "action", "pose") if with_pose else ("z",)
    return (
        _graft(tree, one, other, level, place, other_place, names),
        _graft(tree, other, one, level, other_place, place, names),
    )


def repose(value: TreeValue, path: Path, pose: Float[Tensor, "*batch 2 3"]) -> TreeValue:
    """Move the part at ``path`` to another pose in its parent's frame.

    The action, what the policy emitted, is kept as it was: no action need lead to the new pose.
    """
    level, place = position(value, path)
    nodes = value.at(level)
    return _with_nodes(value, level, replace(nodes, pose=_put(nodes.pose, pose[..., None, :, :], place, "pose")))


def pose_of(value: TreeValue, path: Path) -> Float[Tensor, "*batch 2 3"]:
    """Return the pose of the part at ``path`` in its parent's frame."""
    level, place = position(value, path)
    return value.at(level).pose[..., place, :, :]


def move_part(value: TreeValue, path: Path, move: Move) -> TreeValue:
    """Shift, turn and scale the part at ``path`` in its parent's frame, about its own centre."""
    pose = pose_of(value, path)
    angle = radians(move.turn)
    turned = pose.new_tensor([[cos(angle), -sin(angle), 0], [sin(angle), cos(angle), 0]]) * move.scale
    centred = torch.cat([pose[..., :2], torch.zeros_like(pose[..., 2:])], dim=-1)
    shift = pose[..., 2:] + pose.new_tensor(move.shift)[:, None]
    return repose(value, path, torch.cat([compose(turned, centred)[..., :2], shift], dim=-1))


def interpolate(tree: Tree, one: TreeValue, other: TreeValue, weight: float, path: Path = ()) -> TreeValue:
    """Mix two programs, ``(1 - weight) z + weight z'``, and unfold the mixture.

    Args:
        tree: What unfolds programs.
        one: The tree at weight 0, in which all but the mixed program is as it is.
        other: The tree whose program is reached at weight 1.
        weight: Usually in [0, 1]; beyond, the line goes on.
        path: Whose program; by default the root's, the whole image.
    """
    check_weight(weight)
    return replace_program(tree, one, path, torch.lerp(program_of(one, path), program_of(other, path), weight))


def mix(tree: Tree, one: TreeValue, other: TreeValue, weight: float) -> TreeValue:
    """Mix all nodes of two trees, ``(1 - weight) node + weight node'``; their patches are decoded again.

    Where nodes are random, the root's program alone does not lead back to either tree: the nodes' own latents do.

    Args:
        tree: What decodes patches.
        one: The tree at weight 0.
        other: The tree at weight 1, cut off at the same level.
        weight: Usually in [0, 1]; beyond, the line goes on.

    Raises:
        UserError: If the weight is not finite, or one tree is cut off above the other's leaves.
    """
    check_weight(weight)
    if one.leaf_level != other.leaf_level:
        raise UserError("expected two trees of one depth, got one that is cut off above the other's leaves")

    def between(first: Tensor, second: Tensor) -> Tensor:
        return torch.lerp(first, second, weight)

    levels = tuple(
        Nodes(**{field.name: between(getattr(a, field.name), getattr(b, field.name)) for field in fields(Nodes)})
        for a, b in zip(one.parse.levels, other.parse.levels, strict=True)
    )
    return decode_patches(tree, replace(one, parse=Parse(between(one.parse.root, other.parse.root), levels)))


def check_weight(weight: float) -> None:
    """Refuse a weight that is no finite number.

    Raises:
        UserError: It is none.
    """
    if not isinstance(weight, int | float) or not isfinite(weight):
        raise UserError(f"weight must be a finite number, got {weight!r}")


def truncate(value: TreeValue, level: int) -> TreeValue:
    """Cut a tree off at ``level``: its nodes become leaves, drawn by their own patches; K-1 keeps only the parts.

    Raises:
        UserError: If the tree has no such level to cut at.
    """
    if not isinstance(level, int) or not value.leaf_level <= level < value.num_levels:
        raise UserError(
            f"expected a level within {value.leaf_level} to {value.num_levels - 1} to cut the tree off at, got {level}"
        )
    depth = value.num_levels - level
    return TreeValue(Parse(value.parse.root, value.parse.levels[:depth]), value.assembly.above(depth), level)


def unfold_value(tree: Tree, program: Latent, leaf_level: int = 0) -> TreeValue:
    """Unfold a root program into a value, cut off at ``leaf_level``."""
    return truncate(tree_value(tree, tree.unfold(program)), leaf_level)


def name_path(path: Sequence[int]) -> str:
    """Write a path as people count: ``(0, 2)`` is part 1.3."""
    return ".".join(str(step + 1) for step in path)


def _graft(
    tree: Tree, host: TreeValue, donor: TreeValue, level: int, place: int, donor_place: int, names: tuple[str, ...]
) -> TreeValue:
    """Graft the donor's part: the named numbers of the node, and all that is below it."""
    nodes, given = host.at(level), donor.at(level)
    taken = {name: _put(getattr(nodes, name), _take(getattr(given, name), donor_place, 1, name), place, name)
             for name in names}  # fmt: skip
    host = _with_nodes(host, level, replace(nodes, **taken))
    for lower in range(level - 1, host.leaf_level - 1, -1):
        count = donor.at(lower).z.shape[-2] // given.z.shape[-2]
        subtree = _map_nodes(donor.at(lower), lambda tensor, name, n=count: _take(tensor, donor_place, n, name))
        host = _with_nodes(host, lower, _put_nodes(host.at(lower), subtree, place))
    return _decoded(tree, host, level)


def _decoded(tree: Tree, value: TreeValue, level: int) -> TreeValue:
    """Decode the patches of one level again, and no others."""
    return _with_nodes(value, level, replace(value.at(level), patch=decode_patches(tree, value).at(level).patch))


def _with_nodes(value: TreeValue, level: int, nodes: Nodes) -> TreeValue:
    levels = list(value.parse.levels)
    levels[value.num_levels - 1 - level] = nodes
    return replace(value, parse=Parse(value.parse.root, tuple(levels)))


def _map_nodes(nodes: Nodes, change: Callable[[Tensor, str], Tensor]) -> Nodes:
    return Nodes(**{field.name: change(getattr(nodes, field.name), field.name) for field in fields(Nodes)})


def _put_nodes(nodes: Nodes, subtree: Nodes, place: int) -> Nodes:
    """Insert a subtree's nodes of one level where those of the program at ``place`` were."""
    return _map_nodes(nodes, lambda tensor, name: _put(tensor, getattr(subtree, name), place, name))


def _take(tensor: Tensor, place: int, count: int, name: str) -> Tensor:
    """Return the ``count`` nodes that belong to the program at ``place``."""
    return tensor.narrow(-1 - EVENT_DIMS[name], place * count, count)


def _put(tensor: Tensor, new: Tensor, place: int, name: str) -> Tensor:
    """Replace the nodes of the program at ``place``; copy the rest."""
    dim = -1 - EVENT_DIMS[name]
    count = new.shape[dim]
    before = tensor.narrow(dim, 0, place * count)
    start = (place + 1) * count
    return torch.cat([before, new, tensor.narrow(dim, start, tensor.shape[dim] - start)], dim=dim)
