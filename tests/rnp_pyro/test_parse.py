"""A parse as a value, and the order of the nodes in it."""

from dataclasses import FrozenInstanceError, fields

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnp_pyro.parse import EVENT_DIMS, Nodes, Parse, merge_steps

SMALL = st.integers(1, 3)


def random_nodes(*batch: int) -> Nodes:
    return Nodes(
        z=torch.randn(*batch, 4),
        action=torch.randn(*batch, 6),
        pose=torch.randn(*batch, 2, 3),
        patch=torch.randn(*batch, 1, 3, 3),
    )


def tensors(nodes: Nodes) -> dict[str, torch.Tensor]:
    return {field.name: getattr(nodes, field.name) for field in fields(Nodes)}


def test_children_of_one_parent_are_adjacent_in_the_order_of_their_steps():
    """Two parents of three steps: what each step added comes as [parent 0, parent 1]."""
    steps = [random_nodes(5, 2) for _ in range(3)]
    merged = merge_steps(steps, num_parents=2)
    for parent in range(2):
        for step in range(3):
            assert torch.equal(merged.z[:, 3 * parent + step], steps[step].z[:, parent])
            assert torch.equal(merged.pose[:, 3 * parent + step], steps[step].pose[:, parent])


def test_a_steps_grandchildren_stay_together():
    """One step of each of two parents adds a subtree of two nodes; the parent's subtrees follow each other."""
    steps = [random_nodes(4) for _ in range(2)]
    merged = merge_steps(steps, num_parents=2).z
    expected = [steps[0].z[:2], steps[1].z[:2], steps[0].z[2:], steps[1].z[2:]]
    assert torch.equal(merged, torch.cat(expected))


@given(parents=SMALL, num_steps=SMALL, per_step=SMALL, batch=st.lists(SMALL, max_size=2))
def test_merging_only_reorders(parents: int, num_steps: int, per_step: int, batch: list[int]):
    steps = [random_nodes(*batch, parents * per_step) for _ in range(num_steps)]
    for name, merged in tensors(merge_steps(steps, parents)).items():
        by_step = merged.unflatten(-1 - EVENT_DIMS[name], (parents, num_steps, per_step))
        for step, nodes in enumerate(steps):
            chosen = by_step.select(-2 - EVENT_DIMS[name], step)
            assert torch.equal(chosen.flatten(len(batch), len(batch) + 1), getattr(nodes, name))


@pytest.mark.thorough
@given(num_nodes=SMALL, batch=st.lists(SMALL, max_size=2))
def test_merging_one_step_changes_nothing(num_nodes: int, batch: list[int]):
    nodes = random_nodes(*batch, num_nodes)
    merged = tensors(merge_steps([nodes], num_nodes))
    assert all(torch.equal(merged[name], tensor) for name, tensor in tensors(nodes).items())


def test_merging_keeps_the_gradient():
    steps = [
        Nodes(**{name: one.requires_grad_() for name, one in tensors(random_nodes(2, 3)).items()}) for _ in range(2)
    ]
    sum(tensor.sum() for tensor in tensors(merge_steps(steps, 3)).values()).backward()
    for nodes in steps:
        for tensor in tensors(nodes).values():
            assert tensor.grad is not None
            assert torch.equal(tensor.grad, torch.ones_like(tensor))


def test_levels_are_counted_from_the_leaves():
    levels = tuple(random_nodes(2, 3**depth) for depth in (1, 2, 3))
    parse = Parse(torch.randn(2, 4), levels)
    assert parse.num_levels == 3
    assert parse.at(2) is levels[0]
    assert parse.at(0) is levels[2]


def test_a_parse_is_frozen():
    parse = Parse(torch.randn(2, 4), (random_nodes(2, 3),))
    with pytest.raises(FrozenInstanceError):
        parse.root = torch.zeros(2, 4)  # type: ignore[misc]
