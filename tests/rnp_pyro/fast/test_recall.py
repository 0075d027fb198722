"""A walk that is known is not walked again, as long as the very same latents are drawn."""

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
import torch

from rnp_pyro.draw import Context
from rnp_pyro.fast.recall import remembering
from rnp_pyro.parse import Parse
from rnp_pyro.tree import Tree

MakeTree = Callable[..., Tree]


@dataclass
class Answers:
    """A draw that moves each node by a constant, the same tensor whenever it is asked, and counts."""

    known: dict[str, torch.Tensor] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def __call__(self, name: str, loc: torch.Tensor, scale: torch.Tensor | None, context: Context) -> torch.Tensor:
        self.asked.append(name)
        return self.known.setdefault(name, loc + 0.1)

    def but(self, name: str) -> "Answers":
        """The same answers, except for one site and what comes after it in the order of the walk."""
        places = list(self.known)
        return Answers({one: self.known[one] for one in places[: places.index(name)]})


def nodes_of(parse: Parse) -> list[torch.Tensor]:
    return [tensor for nodes in parse.levels for tensor in vars(nodes).values()]


@pytest.fixture
def count_steps(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """One number for each time the engine computed something."""
    calls: list[int] = []
    for name in ("generate", "decode_patch", "place"):
        original = getattr(Tree, name)

        def counted(self: Tree, *arguments: object, original: Callable = original) -> object:
            calls.append(len(arguments))
            return original(self, *arguments)

        monkeypatch.setattr(Tree, name, counted)
    return calls


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("feedback", [False, True])
def test_a_second_walk_computes_nothing(make_tree: MakeTree, count_steps: list[int], feedback: bool):
    tree, answers, z = make_tree(feedback=feedback), Answers(), torch.randn(3, 6)
    with remembering(tree):
        first = tree.unfold(z, answers)
        before = len(count_steps)
        second = tree.unfold(z, answers)
    assert len(count_steps) == before > 0
    assert second is first
    assert answers.asked == 2 * answers.asked[: len(answers.asked) // 2]
    assert tree.memory is None


@pytest.mark.thorough
@pytest.mark.parametrize("feedback", [False, True])
@pytest.mark.parametrize("changed", ["first", "last"])
def test_another_answer_makes_another_walk(make_tree: MakeTree, feedback: bool, changed: str):
    """As it would be without a memory; each node is asked for once, and the known walk stays known."""
    tree, z = make_tree(feedback=feedback, num_steps=(2, 3)), torch.randn(3, 6)
    answers = Answers()
    with remembering(tree):
        first = tree.unfold(z, answers)
        names = list(answers.known)
        other = answers.but(names[0] if changed == "first" else names[-1])
        found = tree.unfold(z, other)
        assert other.asked == names
        assert tree.unfold(z, other) is found
        assert tree.unfold(z, answers) is first
    expected = tree.unfold(z, other)
    for one, another in zip(nodes_of(found), nodes_of(expected), strict=True):
        torch.testing.assert_close(one, another)


def test_equal_latents_are_not_the_same(make_tree: MakeTree, count_steps: list[int]):
    """Gradients must be those of the very same latents."""
    tree, answers, z = make_tree(), Answers(), torch.randn(3, 6)
    with remembering(tree):
        first = tree.unfold(z, answers)
        before = len(count_steps)
        assert tree.unfold(z.clone(), answers) is not first
    assert len(count_steps) == 2 * before


def test_a_walk_without_gradients_is_not_taken_for_one_with(make_tree: MakeTree):
    tree, z = make_tree(), torch.randn(3, 6, requires_grad=True)
    with remembering(tree):
        with torch.no_grad():
            tree.unfold(z, lambda name, loc, scale, context: loc)
        assert tree.unfold(z, lambda name, loc, scale, context: loc).at(0).z.requires_grad


@pytest.mark.thorough
def test_gradients_of_two_walks_add_up(make_tree: MakeTree):
    tree, z = make_tree(), torch.randn(3, 6, requires_grad=True)

    def value() -> torch.Tensor:
        answers = Answers()
        images = [tree.fold(tree.unfold(z, answers)) for _ in range(2)]
        return images[0].sum() + 2 * images[1].sum()

    expected = torch.autograd.grad(value(), [z, *tree.parameters()])
    with remembering(tree):
        found = torch.autograd.grad(value(), [z, *tree.parameters()])
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other)


def test_inside_of_another_one_it_starts_from_nothing_if_asked(make_tree: MakeTree):
    tree = make_tree()
    with remembering(tree):
        outer = tree.memory
        with remembering(tree):
            assert tree.memory is outer
        with remembering(tree, separate=True):
            assert tree.memory is not outer
        assert tree.memory is outer
    with remembering(torch.nn.Linear(2, 2)):
        pass
