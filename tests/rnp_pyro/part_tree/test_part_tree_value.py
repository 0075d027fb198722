"""A tree as a value: it folds as the tree itself does."""

from collections.abc import Callable

import pytest
import torch

from rnp_pyro.errors import UserError
from rnp_pyro.part_tree.value import assembly_of, decode_patches, position, select, tree_value
from rnp_pyro.tree import Tree

MakeTree = Callable[..., Tree]
KINDS = [
    {},
    {"num_steps": (3,)},
    {"num_steps": (2, 1, 3)},
    {"composition": "sum", "patch_activation": "relu6", "interpolation": "bicubic"},
    {"feedback": True, "num_steps": (2, 3)},
    {"hypernets": "per_level"},
]


@pytest.fixture(params=KINDS, ids=str)
def tree(request, make_tree: MakeTree, randomise) -> Tree:
    made = make_tree(**request.param)
    randomise(made)
    return made


@pytest.mark.thorough_after(2)
@torch.no_grad()
def test_a_value_folds_as_its_tree_does(tree: Tree):
    parse = tree.unfold(torch.randn(3, 6))
    value = tree_value(tree, parse)
    assert torch.equal(value.fold(), tree.fold(parse))
    for (level, one), (other_level, other) in zip(value.pasted_children(), tree.pasted_children(parse), strict=True):
        assert level == other_level
        assert torch.equal(one, other)


@pytest.mark.thorough_after(2)
@torch.no_grad()
def test_one_of_a_batch_is_the_same_tree(tree: Tree):
    value = tree_value(tree, tree.unfold(torch.randn(3, 6)))
    torch.testing.assert_close(select(value, 1).fold(), value.fold()[1])


@torch.no_grad()
def test_canvases_of_nodes_paste_to_the_canvas_above(make_tree: MakeTree):
    value = tree_value(tree := make_tree(num_steps=(2, 3)), tree.unfold(torch.randn(6)))
    assert [tuple(value.canvas_of(level).shape) for level in (2, 1, 0)] == [
        (1, 1, 12, 12),
        (2, 1, 10, 10),
        (6, 1, 5, 5),
    ]
    assert torch.equal(value.canvas_of(2)[0], value.fold())
    assert torch.equal(value.canvas_of(0), value.at(0).patch)


@pytest.mark.thorough_after(2)
@torch.no_grad()
def test_patches_are_functions_of_the_parents_program_and_the_latent(tree: Tree):
    """What the engine decoded as it went along is decoded again from the latents alone."""
    value = tree_value(tree, tree.unfold(torch.randn(2, 6)))
    again = decode_patches(tree, value)
    for one, other in zip(again.parse.levels, value.parse.levels, strict=True):
        torch.testing.assert_close(one.patch, other.patch, rtol=1e-10, atol=1e-12)
        assert one.z is other.z


def test_a_path_leads_to_a_node(make_tree: MakeTree):
    value = tree_value(tree := make_tree(num_steps=(2, 3)), tree.unfold(torch.randn(6)))
    assert position(value, (1,)) == (1, 1)
    assert [position(value, (part, sub)) for part in range(2) for sub in range(3)] == [(0, place) for place in range(6)]


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("path", [(), (2,), (-1,), (0, 3), (0, 0, 0)])
def test_what_is_no_path_is_refused(make_tree: MakeTree, path: tuple[int, ...]):
    value = tree_value(tree := make_tree(num_steps=(2, 3)), tree.unfold(torch.randn(6)))
    with pytest.raises(UserError, match="counted from 0, 0 to 1 and 0 to 2"):
        position(value, path)


def test_an_assembly_keeps_no_gradient(make_tree: MakeTree):
    leak = assembly_of(make_tree()).leak
    assert leak is not None
    assert not leak.requires_grad
    assert assembly_of(make_tree(composition="sum")).leak is None
