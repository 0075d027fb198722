"""The fast path: values and gradients of the plain loop."""

from collections.abc import Callable

import pytest
import torch

from rnp_pyro.draw import Context
from rnp_pyro.program import (
    STATE_ACTIVATIONS,
    ProgramState,
    StateActivation,
    decode,
    initial_state,
    network_shapes,
    propose,
    split_program,
)
from rnp_pyro.tree import Tree
from rnp_pyro.unroll import unroll

SHAPES = network_shapes(latent_size=3, hidden_size=4, patch_numel=5)
ACTIVATIONS: tuple[StateActivation, ...] = ("identity", "elu", "tanh")
TIGHT = {"rtol": 1e-10, "atol": 1e-10}

Outputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def random_flats(*batch: int) -> list[torch.Tensor]:
    return [(0.7 * torch.randn(*batch, shapes.num_parameters)).requires_grad_() for shapes in SHAPES]


def loop(flats: list[torch.Tensor], num_steps: int, activation: StateActivation, gain: float = 3.0) -> Outputs:
    """The same steps one by one, with autograd's own gradients."""
    params = split_program(*flats, SHAPES)
    state, children, actions, patches = initial_state(params), [], [], []
    for _ in range(num_steps):
        proposal = propose(params, state, STATE_ACTIVATIONS[activation], gain)
        state = ProgramState(proposal.z_loc, proposal.z_loc, proposal.policy, proposal.action_loc)
        children.append(proposal.z_loc)
        actions.append(proposal.action_loc)
        patches.append(decode(params.state_params, proposal.z_loc))
    return torch.stack(children, -2), torch.stack(actions, -2), torch.stack(patches, -2)


def fast(flats: list[torch.Tensor], num_steps: int, activation: StateActivation, gain: float = 3.0) -> Outputs:
    return unroll(*flats, SHAPES, num_steps, activation, gain)


def weighted(outputs: Outputs) -> torch.Tensor:
    """A scalar in which every number of every output has its own weight."""
    generator = torch.Generator().manual_seed(1)
    return sum(
        (output * torch.randn(output.shape, generator=generator, dtype=output.dtype)).sum() for output in outputs
    )  # type: ignore[return-value]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("num_steps", [1, 2, 5])
@pytest.mark.parametrize("gain", [1.0, 3.0])
def test_values_and_gradients_are_those_of_the_loop(num_steps: int, activation: StateActivation, gain: float):
    flats = random_flats(4)
    expected, found = loop(flats, num_steps, activation, gain), fast(flats, num_steps, activation, gain)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, **TIGHT)
    gradients = torch.autograd.grad(weighted(expected), flats)
    for one, other in zip(torch.autograd.grad(weighted(found), flats), gradients, strict=True):
        assert other.abs().max() > 0.1
        torch.testing.assert_close(one, other, **TIGHT)


@pytest.mark.parametrize("used", [0, 1, 2])
def test_an_output_that_nothing_depends_on_has_no_part_in_the_gradient(used: int):
    flats = random_flats(3)
    gradients = torch.autograd.grad(loop(flats, 3, "elu")[used].square().sum(), flats, materialize_grads=True)
    found = torch.autograd.grad(fast(flats, 3, "elu")[used].square().sum(), flats, materialize_grads=True)
    for one, other in zip(found, gradients, strict=True):
        torch.testing.assert_close(one, other, **TIGHT)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_gradients_are_those_of_finite_differences(activation: StateActivation):
    shapes = network_shapes(latent_size=2, hidden_size=2, patch_numel=2)
    flats = [(0.7 * torch.randn(2, shape.num_parameters)).requires_grad_() for shape in shapes]
    assert torch.autograd.gradcheck(lambda *flat: unroll(*flat, shapes, 3, activation, 2.0), flats)


def test_a_gradient_can_be_taken_of_one_network_alone():
    state, policy = random_flats(3)
    expected = torch.autograd.grad(weighted(loop([state, policy], 2, "tanh")), state)
    found = torch.autograd.grad(weighted(fast([state, policy.detach()], 2, "tanh")), state)
    torch.testing.assert_close(found, expected, **TIGHT)


@pytest.mark.parametrize(
    "rearrange",
    [
        lambda flat: flat.unflatten(0, (2, 3)),
        lambda flat: flat.unflatten(0, (2, 3)).transpose(0, 1),
        lambda flat: flat[::2],
        lambda flat: flat[:1].expand(4, 3, -1),
        lambda flat: torch.cat([flat, flat], dim=-1)[:, : flat.shape[-1]],
        lambda flat: flat.mT.contiguous().mT,
    ],
    ids=["two dimensions", "transposed", "every second", "expanded", "a slice", "column by column"],
)
def test_batch_dimensions_may_lie_in_memory_as_they_like(rearrange: Callable[[torch.Tensor], torch.Tensor]):
    flats = random_flats(6)
    views = [rearrange(flat) for flat in flats]
    expected, found = loop(views, 2, "elu"), fast(views, 2, "elu")
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, **TIGHT)
    gradients = torch.autograd.grad(weighted(expected), flats)
    for one, other in zip(torch.autograd.grad(weighted(found), flats), gradients, strict=True):
        torch.testing.assert_close(one, other, **TIGHT)


def test_no_programs_have_no_children():
    flats = random_flats(0)
    z, action, patch = fast(flats, 2, "identity")
    assert (z.shape, action.shape, patch.shape) == ((0, 2, 3), (0, 2, 6), (0, 2, 5))
    gradients = torch.autograd.grad(z.sum() + action.sum() + patch.sum(), flats)
    assert [gradient.shape for gradient in gradients] == [flat.shape for flat in flats]


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("num_steps", [(3,), (2, 1, 3)])
def test_a_tree_takes_the_fast_path_without_a_trace_of_it(
    make_tree: Callable[..., Tree], num_steps: tuple[int, ...], activation: StateActivation
):
    """The default draw unrolls fast, any other walks step by step; both give one image and one set of gradients."""

    def means(name: str, loc: torch.Tensor, scale: torch.Tensor | None, context: Context) -> torch.Tensor:
        return loc

    tree = make_tree(num_steps=num_steps, state_activation=activation)
    z = torch.randn(3, 6, requires_grad=True)
    weights = torch.randn(3, 1, 12, 12)
    images = [tree.fold(tree.unfold(z, *draw)) for draw in ((), (means,))]
    torch.testing.assert_close(*images, **TIGHT)
    wanted = [z, *tree.parameters()]
    found, expected = (torch.autograd.grad((image * weights).sum(), wanted) for image in images)
    assert expected[0].abs().max() > 1e-6
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, **TIGHT)
