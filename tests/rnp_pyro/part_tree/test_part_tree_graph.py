"""Trees as networkx graphs."""

import sys
from collections.abc import Callable

import networkx
import pytest
import torch

from rnp_pyro.errors import UserError
from rnp_pyro.part_tree.edit import truncate, unfold_value
from rnp_pyro.part_tree.graph import to_networkx
from rnp_pyro.tree import Tree


def test_a_graph_is_the_tree(make_tree: Callable[..., Tree]):
    value = unfold_value(make_tree(num_steps=(2, 3)), torch.randn(6))
    graph = to_networkx(value)
    assert networkx.is_arborescence(graph)
    assert len(graph) == 1 + 2 + 6
    assert list(graph.successors(())) == [(0,), (1,)]
    assert list(graph.successors((1,))) == [(1, 0), (1, 1), (1, 2)]
    assert graph.edges[(1,), (1, 2)] == {"step": 2}
    node = graph.nodes[1, 2]
    assert node["level"] == 0
    for name in ("z", "pose", "action", "patch"):
        assert (node[name] == getattr(value.at(0), name)[5].detach().numpy()).all()
    assert (graph.nodes[()]["z"] == value.parse.root.numpy()).all()


def test_a_truncated_tree_has_fewer_nodes(make_tree: Callable[..., Tree]):
    value = truncate(unfold_value(make_tree(num_steps=(2, 3)), torch.randn(6)), 1)
    assert {data["level"] for _, data in to_networkx(value).nodes(data=True)} == {1, 2}


def test_a_missing_networkx_is_named(make_tree: Callable[..., Tree], monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(sys.modules, "networkx", None)
    with pytest.raises(UserError, match=r"pip install 'rnp-pyro\[graph\]'"):
        to_networkx(unfold_value(make_tree(), torch.randn(6)))


def test_a_batch_is_refused(make_tree: Callable[..., Tree]):
    with pytest.raises(UserError, match=r"expected one tree, got a batch of \[2\]"):
        to_networkx(unfold_value(make_tree(), torch.randn(2, 6)))
