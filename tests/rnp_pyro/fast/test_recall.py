"""Calls that were made before are not made again, for the very same arguments only."""

from collections.abc import Callable

import pytest
import torch

from rnp_pyro.draw import Context
from rnp_pyro.fast.recall import Memory, remembering
from rnp_pyro.tree import Tree

MakeTree = Callable[..., Tree]


def test_the_same_arguments_and_no_equal_ones():
    memory, calls = Memory(), []

    def double(x: torch.Tensor) -> torch.Tensor:
        calls.append(x)
        return 2 * x

    one, equal = torch.ones(2), torch.ones(2)
    assert memory.call(double, one) is memory.call(double, one)
    assert memory.call(double, equal) is not memory.call(double, one)
    assert len(calls) == 2


class Scaled:
    def __init__(self, factor: float) -> None:
        self.factor = factor

    def times(self, x: torch.Tensor) -> torch.Tensor:
        return self.factor * x


def test_a_method_is_told_from_that_of_another_object():
    memory, x, one, other = Memory(), torch.ones(2), Scaled(2.0), Scaled(3.0)
    assert memory.call(one.times, x) is memory.call(one.times, x)
    assert memory.call(other.times, x)[0] == 3


def test_a_result_without_gradients_is_not_taken_for_one_with():
    memory, x = Memory(), torch.ones(2, requires_grad=True)
    with torch.no_grad():
        memory.call(torch.exp, x)
    assert memory.call(torch.exp, x).requires_grad


def test_arguments_are_kept_alive():
    """Or another tensor could get a known one's identity."""
    memory = Memory()
    results = [memory.call(torch.exp, torch.full((1,), float(number))) for number in range(50)]
    assert [result.log().round().item() for result in results] == list(range(50))


@pytest.mark.parametrize("feedback", [False, True])
def test_a_second_walk_makes_no_call(make_tree: MakeTree, monkeypatch: pytest.MonkeyPatch, feedback: bool):
    tree, drawn = make_tree(feedback=feedback), dict[str, torch.Tensor]()
    calls = dict.fromkeys(("propose", "decode", "pose_from_action", "initial_state", "merge_steps"), 0)
    for name in calls:
        original = getattr(__import__("rnp_pyro.tree", fromlist=[name]), name)

        def counted(*arguments: object, name: str = name, original: Callable = original, **options: object) -> object:
            calls[name] += 1
            return original(*arguments, **options)

        monkeypatch.setattr(f"rnp_pyro.tree.{name}", counted)

    def draw(name: str, loc: torch.Tensor, scale: torch.Tensor | None, context: Context) -> torch.Tensor:
        return drawn.setdefault(name, loc + 0.1)

    z = torch.randn(3, 6)
    with remembering(tree):
        first = tree.unfold(z, draw)
        before = dict(calls)
        second = tree.unfold(z, draw)
        assert calls == before
        assert all(count > 0 for count in calls.values())
    assert all(one is other for one, other in zip(first.levels, second.levels, strict=True))
    assert tree.memory is None


def test_inside_of_another_one_begins_afresh_if_asked(make_tree: MakeTree):
    tree = make_tree()
    with remembering(tree):
        outer = tree.memory
        with remembering(tree):
            assert tree.memory is outer
        with remembering(tree, afresh=True):
            assert tree.memory is not outer
        assert tree.memory is outer
    with remembering(torch.nn.Linear(2, 2)):
        pass
