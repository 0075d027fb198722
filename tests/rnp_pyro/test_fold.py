"""Folding: one function for whole trees, subtrees and trees that are cut off."""

from collections.abc import Callable

import pytest
import torch

from rnp_pyro.canvas import compose_canvases, paste
from rnp_pyro.choices import Composition
from rnp_pyro.fold import Assembly, Drawing, fold, pasted_children
from rnp_pyro.tree import Tree

MakeTree = Callable[..., Tree]
ASSEMBLY = Assembly((2, 3), ((12, 14), (10, 10)), "noisy_or", "bilinear", torch.full((1, 1, 1), 0.2))


def test_only_the_root_leaks():
    assert ASSEMBLY.below(0) is not None
    assert ASSEMBLY.below(0).leak is ASSEMBLY.leak
    below = ASSEMBLY.below(1)
    assert (below.num_steps, below.canvas_sizes, below.leak) == ((3,), ((10, 10),), None)


def test_what_is_cut_off_above_its_leaves_keeps_the_leak():
    above = ASSEMBLY.above(1)
    assert (above.num_steps, above.canvas_sizes) == ((2,), ((12, 14),))
    assert above.leak is ASSEMBLY.leak


def test_subtrees_fold_to_the_canvases_that_the_tree_pastes(make_tree: MakeTree):
    tree = make_tree(num_steps=(2, 3))
    parse, assembly = tree.unfold(torch.randn(4, 6)), tree.assembly
    parts = fold(assembly.below(1), parse.levels[1:])
    assert parts.shape == (4, 2, 1, 10, 10)
    whole = compose_canvases(paste(parts, parse.at(1).pose, (12, 12))[:, None], "noisy_or", assembly.leak)
    torch.testing.assert_close(fold(assembly, parse.levels), whole)


def test_levels_may_end_above_the_leaves(make_tree: MakeTree):
    tree = make_tree(num_steps=(2, 3))
    parse = tree.unfold(torch.randn(4, 6))
    assert len(list(pasted_children(tree.assembly, parse.levels))) == 2
    (pasted,) = pasted_children(tree.assembly, parse.levels[:1])
    torch.testing.assert_close(pasted[:, 0], paste(parse.at(1).patch, parse.at(1).pose, (12, 12)))


@pytest.mark.parametrize("composition", ["sum", "noisy_or"])
def test_children_added_one_by_one_make_the_canvas(make_tree: MakeTree, composition: Composition):
    tree = make_tree(num_steps=(3,), composition=composition)
    parse = tree.unfold(torch.randn(4, 6))
    drawing = Drawing(tree.assembly, torch.zeros(4, 1, 1, 12, 12))
    for step in range(3):
        drawing = drawing.add(parse.at(0).patch[:, step : step + 1], parse.at(0).pose[:, step : step + 1])
    torch.testing.assert_close(drawing.canvas, fold(tree.without_leak, parse.levels))
    torch.testing.assert_close(fold(tree.assembly, (), drawing.total), fold(tree.assembly, parse.levels))


def test_a_drawing_knows_whether_it_was_looked_at(make_tree: MakeTree):
    tree = make_tree(num_steps=(3,))
    parse = tree.unfold(torch.randn(4, 6))
    first = Drawing(tree.assembly, torch.zeros(4, 1, 1, 12, 12))
    second = first.add(parse.at(0).patch[:, :1], parse.at(0).pose[:, :1])
    assert not second.looked_at
    assert (first.canvas == 0).all()
    assert second.looked_at
