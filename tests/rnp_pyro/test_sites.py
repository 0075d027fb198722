"""Names of sites: those that trees draw at, and what they say."""

from collections.abc import Callable

import pytest
import torch

from rnp_pyro.sites import ACTION, IMAGE, PART_TERM, STATE, group_of, kind_of, node_site, root_site
from rnp_pyro.tree import Tree


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("feedback", [False, True])
def test_a_tree_draws_at_these_sites(make_tree: Callable[..., Tree], feedback: bool):
    tree = make_tree(num_steps=(2, 2), feedback=feedback)
    names: list[str] = []
    tree.unfold(torch.randn(3, 6), lambda name, loc, scale, context: names.append(name) or loc)
    paths = {1: [(0,), (1,)], 0: [(one, other) for one in (0, 1) for other in (0, 1)] if feedback else [(0,), (1,)]}
    expected = {node_site(kind, level, steps) for level in paths for steps in paths[level] for kind in (STATE, ACTION)}
    assert set(names) == expected
    assert tree.root_site == root_site(2)
    everything = [*names, tree.root_site, IMAGE, PART_TERM]
    assert not [(one, other) for one in everything for other in everything if other.startswith(one + ".")]


def test_what_a_name_says():
    assert node_site(STATE, 1, (0, 3)) == "z.1.0.3"
    assert kind_of("action.0.2") == ACTION
    assert group_of("action.0.2.1") == "action.0"
    assert group_of(root_site(2)) == "z.2"
