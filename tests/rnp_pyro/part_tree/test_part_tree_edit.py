"""Operations on trees: identities, and nothing changes but what was to change."""

from collections.abc import Callable
from dataclasses import fields, replace

import pytest
import torch

from rnp_pyro.affine import pose_from_action
from rnp_pyro.errors import UserError
from rnp_pyro.part_tree.edit import (
    Move,
    interpolate,
    move_part,
    name_path,
    pose_of,
    program_of,
    replace_program,
    repose,
    swap_parts,
    truncate,
    unfold_value,
)
from rnp_pyro.part_tree.value import TreeValue, select
from rnp_pyro.tree import Tree

MakeTree = Callable[..., Tree]
TIGHT = {"rtol": 1e-10, "atol": 1e-10}
PATHS = [(2,), (1, 0), (1, 1, 2)]


@pytest.fixture(autouse=True)
def _no_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module", params=[{}, {"feedback": True, "hypernets": "per_level"}], ids=str)
def made(request, make_tree: MakeTree, randomise) -> tuple[Tree, tuple[TreeValue, TreeValue]]:
    """A tree and two of its values, for all tests: none of the operations changes what it is given."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    torch.manual_seed(0)
    tree = make_tree(num_steps=(3, 2, 3), **request.param)
    randomise(tree)
    with torch.no_grad():
        values = unfold_value(tree, torch.randn(6)), unfold_value(tree, torch.randn(6))
    torch.set_default_dtype(before)
    return tree, values


@pytest.fixture
def tree(made: tuple[Tree, tuple[TreeValue, TreeValue]]) -> Tree:
    return made[0]


@pytest.fixture
def trees(made: tuple[Tree, tuple[TreeValue, TreeValue]]) -> tuple[TreeValue, TreeValue]:
    return made[1]


def tensors(value: TreeValue) -> dict[str, torch.Tensor]:
    named = {
        f"{field.name}.{level}": getattr(value.at(level), field.name)
        for level in range(value.leaf_level, value.num_levels)
        for field in fields(value.at(level))
    }
    return {"root": value.parse.root, **named}


def assert_same(one: TreeValue, other: TreeValue) -> None:
    assert tensors(one).keys() == tensors(other).keys()
    for (name, tensor), expected in zip(tensors(one).items(), tensors(other).values(), strict=True):
        torch.testing.assert_close(tensor, expected, **TIGHT, msg=name)
    torch.testing.assert_close(one.fold(), other.fold(), **TIGHT)


# -- replace


@pytest.mark.thorough_after(2)
@pytest.mark.parametrize("path", [(), *PATHS])
def test_replacing_a_program_by_itself_is_the_identity(tree: Tree, trees, path):
    assert_same(replace_program(tree, trees[0], path, program_of(trees[0], path)), trees[0])


@pytest.mark.thorough
def test_replacing_the_whole_is_the_other_tree(tree: Tree, trees):
    assert_same(replace_program(tree, trees[0], (), trees[1].parse.root), trees[1])


@pytest.mark.thorough_after(1)
def test_a_replaced_part_unfolds_anew_and_nothing_else_changes(tree: Tree, trees):
    """Part 2 of 3, each of 2 sub-parts of 3 strokes: of the nodes of each level the middle third changes."""
    before = trees[0]
    after = replace_program(tree, before, (1,), program_of(trees[1], (2,)))
    below = tree.unfold_programs(2, program_of(trees[1], (2,))[None])
    assert torch.equal(after.at(2).pose, before.at(2).pose)
    assert torch.equal(after.at(2).action, before.at(2).action)
    for level, count in ((1, 2), (0, 6)):
        for field in fields(after.at(level)):
            old, new = (getattr(value.at(level), field.name) for value in (before, after))
            torch.testing.assert_close(new[count : 2 * count], getattr(below[1 - level], field.name), **TIGHT)
            assert torch.equal(new[:count], old[:count])
            assert torch.equal(new[2 * count :], old[2 * count :])
    assert not torch.allclose(after.at(0).patch[6:12], before.at(0).patch[6:12])


@pytest.mark.thorough
def test_the_part_replaced_draws_its_program(tree: Tree, trees):
    """In its own frame it looks as that program does wherever it stands."""
    after = replace_program(tree, trees[0], (1,), program_of(trees[1], (2,)))
    torch.testing.assert_close(after.canvas_of(2)[1], trees[1].canvas_of(2)[2], **TIGHT)


@pytest.mark.thorough_after(1)
def test_values_are_never_changed(tree: Tree, trees):
    kept = {name: tensor.clone() for name, tensor in tensors(trees[0]).items()}
    replace_program(tree, trees[0], (1,), torch.randn(6))
    swap_parts(tree, *trees, (1, 0), with_pose=True)
    move_part(trees[0], (2,), Move((0.1, 0.2), 30, 0.5))
    assert all(torch.equal(tensor, kept[name]) for name, tensor in tensors(trees[0]).items())


# -- swap


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("with_pose", [False, True])
@pytest.mark.parametrize("path", PATHS)
def test_swapping_twice_is_the_identity(tree: Tree, trees, path, with_pose: bool):
    other = (*path[:-1], 0)
    once = swap_parts(tree, *trees, path, other, with_pose)
    assert torch.equal(program_of(once[0], path), program_of(trees[1], other))
    twice = swap_parts(tree, *once, path, other, with_pose)
    for one, before in zip(twice, trees, strict=True):
        assert_same(one, before)


@pytest.mark.thorough
def test_swapped_parts_take_their_subtrees_along(tree: Tree, trees):
    one, other = swap_parts(tree, *trees, (0,), (2,))
    torch.testing.assert_close(one.canvas_of(2)[0], trees[1].canvas_of(2)[2], **TIGHT)
    torch.testing.assert_close(other.canvas_of(2)[2], trees[0].canvas_of(2)[0], **TIGHT)
    assert torch.equal(one.at(2).pose, trees[0].at(2).pose)


def test_an_edited_subtree_is_swapped_as_it_is(tree: Tree, trees):
    """Not unfolded again: a part that was moved below keeps its move."""
    moved = move_part(trees[0], (0, 1), Move((0.3, 0.0)))
    _, other = swap_parts(tree, moved, trees[1], (0,))
    assert torch.equal(pose_of(other, (0, 1)), pose_of(moved, (0, 1)))
    assert not torch.equal(pose_of(other, (0, 1)), pose_of(trees[0], (0, 1)))


@pytest.mark.thorough
def test_poses_are_swapped_when_asked_for(tree: Tree, trees):
    one, _ = swap_parts(tree, *trees, (0,), (2,), with_pose=True)
    assert torch.equal(pose_of(one, (0,)), pose_of(trees[1], (2,)))


@pytest.mark.thorough
def test_replacing_and_swapping_agree(tree: Tree, trees):
    one, _ = swap_parts(tree, *trees, (1,))
    assert_same(one, replace(replace_program(tree, trees[0], (1,), program_of(trees[1], (1,))), assembly=one.assembly))


def test_parts_of_different_levels_are_not_swapped(tree: Tree, trees):
    with pytest.raises(UserError, match=r"got \[0\] of level 2 and \[0, 1\] of level 1"):
        swap_parts(tree, *trees, (0,), (0, 1))


# -- repose


@pytest.mark.thorough_after(5)
@pytest.mark.parametrize("path", PATHS)
def test_the_same_pose_and_no_move_are_identities(trees, path):
    assert_same(repose(trees[0], path, pose_of(trees[0], path)), trees[0])
    assert_same(move_part(trees[0], path, Move()), trees[0])


def test_a_move_is_undone_by_its_opposite(trees):
    there = move_part(trees[0], (1,), Move((0.25, -0.5), 40, 0.5))
    assert not torch.allclose(pose_of(there, (1,)), pose_of(trees[0], (1,)))
    assert_same(move_part(there, (1,), Move((-0.25, 0.5), -40, 2.0)), trees[0])


def test_a_shift_goes_right_and_down(trees):
    pose = pose_of(move_part(trees[0], (1,), Move((0.25, 0.5))), (1,))
    torch.testing.assert_close(pose - pose_of(trees[0], (1,)), torch.tensor([[0, 0, 0.25], [0, 0, 0.5]]))


def test_a_turn_is_clockwise_as_seen(make_tree: MakeTree):
    """A quarter turn takes the part's x axis, which points right, to y, which points down."""
    tree = make_tree(num_steps=(1,))
    value = unfold_value(tree, torch.randn(6))
    upright = pose_from_action(torch.zeros(6), tree.limits(1))
    turned = pose_of(move_part(repose(value, (0,), upright), (0,), Move(turn=90)), (0,))
    size = upright[0, 0]
    torch.testing.assert_close(turned, turned.new_tensor([[0, -size, 0], [size, 0, 0]]))


@pytest.mark.parametrize("scale", [0.0, -1.0, float("nan"), float("inf")])
def test_a_scale_is_above_0(scale: float):
    with pytest.raises(UserError, match="scale must be above 0"):
        Move(scale=scale)


# -- interpolate


@pytest.mark.thorough
@pytest.mark.parametrize("path", [(), (1,), (0, 1)])
def test_interpolation_begins_and_ends_at_its_ends(tree: Tree, trees, path):
    assert_same(interpolate(tree, *trees, 0.0, path), trees[0])
    assert_same(interpolate(tree, *trees, 1.0, path), replace_program(tree, trees[0], path, program_of(trees[1], path)))


@pytest.mark.thorough
def test_the_middle_is_the_mean_program(tree: Tree, trees):
    middle = interpolate(tree, *trees, 0.5)
    assert_same(middle, unfold_value(tree, (trees[0].parse.root + trees[1].parse.root) / 2))


# -- truncate


def test_a_truncated_tree_is_drawn_by_its_patches(tree: Tree, trees):
    for level in range(3):
        cut = truncate(trees[0], level)
        assert (cut.num_levels, cut.leaf_level) == (3, level)
        torch.testing.assert_close(cut.fold(), tree.fold(trees[0].parse, leaf_level=level), **TIGHT)


def test_cutting_off_nothing_is_the_identity_and_cuts_compose(trees):
    assert_same(truncate(trees[0], 0), trees[0])
    assert_same(truncate(truncate(trees[0], 1), 2), truncate(trees[0], 2))


@pytest.mark.parametrize("level", [-1, 0, 3])
def test_a_cut_is_within_what_is_left(trees, level: int):
    with pytest.raises(UserError, match="within 1 to 2 to cut the tree off at, got"):
        truncate(truncate(trees[0], 1), level)


@pytest.mark.thorough
def test_a_truncated_tree_can_be_edited(tree: Tree, trees):
    one, other = (truncate(value, 1) for value in trees)
    once = swap_parts(tree, one, other, (1,))
    assert_same(swap_parts(tree, *once, (1,))[0], one)
    assert_same(replace_program(tree, one, (1,), program_of(one, (1,))), one)
    assert interpolate(tree, one, other, 0.5).leaf_level == 1


# -- batches


@pytest.mark.thorough
def test_batched_equals_one_by_one(tree: Tree):
    batch, other = (unfold_value(tree, torch.randn(2, 6)) for _ in range(2))
    program = torch.randn(2, 6)
    changed = replace_program(tree, batch, (1,), program)
    swapped = swap_parts(tree, batch, other, (2,), (0,), True)[1]
    moved = move_part(batch, (0, 1), Move((0.1, 0.0), 10, 1.1))
    for index in range(2):
        one, two = select(batch, index), select(other, index)
        assert_same(select(changed, index), replace_program(tree, one, (1,), program[index]))
        assert_same(select(swapped, index), swap_parts(tree, one, two, (2,), (0,), True)[1])
        assert_same(select(moved, index), move_part(one, (0, 1), Move((0.1, 0.0), 10, 1.1)))


def test_paths_are_named_as_people_count():
    assert name_path((0, 2)) == "1.3"
