"""The fast path of a walk: values and gradients of the plain loop, once and twice."""

from collections.abc import Callable
from dataclasses import dataclass, replace

import pytest
import torch

from rnp_pyro.draw import Context
from rnp_pyro.parse import Parse
from rnp_pyro.tree import Tree

MakeTree = Callable[..., Tree]
TIGHT = {"rtol": 1e-10, "atol": 1e-10}
SETTINGS = [
    {"num_steps": (2, 3)},
    {"num_steps": (2, 3), "feedback": True},
    {"num_steps": (3,), "state_activation": "elu"},
    {"num_steps": (2, 2), "compress": False, "state_activation": "tanh"},
    {"num_steps": (2, 1, 2), "hypernets": "per_level"},
    {"num_steps": (2, 2), "hypernets": "level_embedding"},
]


@dataclass
class Moved:
    """A draw that moves each node by noise of its own, and may look at the canvas."""

    looks: bool = True

    def __call__(self, name: str, loc: torch.Tensor, scale: torch.Tensor | None, context: Context) -> torch.Tensor:
        generator = torch.Generator().manual_seed(len(name) + sum(name.encode()))
        moved = loc + 0.3 * torch.randn(loc.shape, generator=generator, dtype=loc.dtype)
        if not self.looks:
            return moved
        return moved + 0.1 * context.canvas.mean((-3, -2, -1))[..., None]


def plain(tree: Tree) -> Tree:
    tree.execution = replace(tree.execution, fused=False)
    return tree


def fast(tree: Tree) -> Tree:
    tree.execution = replace(tree.execution, fused=True)
    return tree


def numbers(tree: Tree, parse: Parse) -> torch.Tensor:
    """A scalar in which all that a walk made has a part."""
    made = [tensor for nodes in parse.levels for tensor in vars(nodes).values()]
    return sum((tensor * torch.linspace(0.5, 1, tensor.shape[-1])).sum() for tensor in [*made, tree.fold(parse)])  # type: ignore[return-value]


@pytest.mark.parametrize("settings", SETTINGS, ids=str)
@pytest.mark.parametrize("looks", [False, True])
def test_a_walk_has_the_plain_loops_values_and_gradients(make_tree: MakeTree, settings: dict, looks: bool):
    tree, z = make_tree(**settings), torch.randn(2, 3, 6, requires_grad=True)
    found = []
    for how in (plain, fast):
        value = numbers(tree, how(tree).unfold(z, Moved(looks)))
        found.append([value, *torch.autograd.grad(value, [z, *tree.parameters()], materialize_grads=True)])
    assert found[0][1].abs().max() > 1e-3
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, **TIGHT)


def test_a_gradient_of_a_walks_gradient_is_the_plain_loops(make_tree: MakeTree):
    """With respect to latents and parameters alike, of a sum of squared gradients of both."""
    tree, z = make_tree(num_steps=(2, 2), state_activation="tanh"), torch.randn(2, 6, requires_grad=True)
    wanted = [z, *tree.parameters()]
    found = []
    for how in (plain, fast):
        value = numbers(tree, how(tree).unfold(z, Moved()))
        first = torch.autograd.grad(value, wanted, create_graph=True, materialize_grads=True)
        squared = sum(one.square().sum() for one in first)
        found.append(torch.autograd.grad(squared, wanted, materialize_grads=True))  # type: ignore[arg-type]
    assert found[0][0].abs().max() > 1e-3
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


def test_the_unrolled_paths_gradient_of_a_gradient_is_the_plain_loops(make_tree: MakeTree):
    """The lower level's features come of the upper one's weights, and both are inputs of one function."""
    tree, z = make_tree(num_steps=(2, 2), state_activation="tanh"), torch.randn(2, 6, requires_grad=True)
    wanted = [z, *tree.parameters()]
    found = []
    for how in (plain, fast):
        first = torch.autograd.grad(
            numbers(tree, how(tree).unfold(z)), wanted, create_graph=True, materialize_grads=True
        )
        squared = sum(one.square().sum() for one in first)
        found.append(torch.autograd.grad(squared, wanted, materialize_grads=True))  # type: ignore[arg-type]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-8, atol=1e-8)


def test_a_pass_to_the_latents_alone_leaves_nothing_to_the_next(make_tree: MakeTree):
    tree, z = make_tree(num_steps=(2, 2)), torch.randn(2, 6, requires_grad=True)
    parameters = list(tree.parameters())
    value = numbers(tree, tree.unfold(z, Moved()))
    torch.autograd.grad(value, z, retain_graph=True)
    once = torch.autograd.grad(value, parameters, retain_graph=True, materialize_grads=True)
    again = torch.autograd.grad(value, parameters, materialize_grads=True)
    expected = torch.autograd.grad(numbers(tree, plain(tree).unfold(z, Moved())), parameters, materialize_grads=True)
    for one, two, three in zip(once, again, expected, strict=True):
        torch.testing.assert_close(one, two, rtol=0, atol=0)
        torch.testing.assert_close(one, three, **TIGHT)
