"""The fast path: values and gradients of the plain loop, its operations counted."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from rnp_pyro.activations import Paint, recurrence_activations
from rnp_pyro.choices import StateActivation
from rnp_pyro.draw import Context
from rnp_pyro.fast.recurrence import Recurrence
from rnp_pyro.fast.unroll import CACHE, _Unroll, default_chunk, unroll
from rnp_pyro.hypernet import Hypernet
from rnp_pyro.patches.dense import Dense
from rnp_pyro.program import PlainPrograms, network_shapes, run, split_program
from rnp_pyro.tree import Tree

PATCH = Dense((5, 1, 1), latent_size=3, hidden_size=4, paint=Paint("sigmoid"))
SHAPES = network_shapes(latent_size=3, hidden_size=4, patch_heads=PATCH.heads)
ACTIVATIONS: tuple[StateActivation, ...] = ("identity", "elu", "tanh")
TIGHT = {"rtol": 1e-10, "atol": 1e-10}
STEPS = 3
PLAIN = Recurrence(SHAPES, PATCH, recurrence_activations("elu", compress=True), gain=3.0, chunk=100, recompute=False)

Outputs = tuple[torch.Tensor, torch.Tensor, torch.Tensor]
Pair = tuple[Hypernet, Hypernet]


@pytest.fixture
def hypernets() -> Pair:
    """Two hypernetworks whose programs differ much from each other."""
    pair = tuple(Hypernet(3, shapes, num_layers=3, hidden_size=6) for shapes in SHAPES)
    with torch.no_grad():
        for hypernet in pair:
            hypernet.heads.weight.normal_(std=0.7)
    return pair  # type: ignore[return-value]


def programs(*batch: int) -> torch.Tensor:
    return torch.randn(*batch, 3).requires_grad_()


def parameters(hypernets: Pair) -> list[torch.nn.Parameter]:
    return [parameter for hypernet in hypernets for parameter in hypernet.parameters()]


def loop(hypernets: Pair, z: torch.Tensor, recurrence: Recurrence, num_steps: int = STEPS) -> Outputs:
    """The same steps one by one, with autograd's own gradients."""
    params = split_program(*(hypernet(z) for hypernet in hypernets), recurrence.shapes)
    programs = PlainPrograms(params, recurrence.activations, recurrence.gain)
    children, actions = run(programs, num_steps)
    return children, actions, recurrence.patch_decoder(programs.decoder, children)


def weighted(outputs: Outputs) -> torch.Tensor:
    """A scalar in which every number of every output has its own weight."""
    generator = torch.Generator().manual_seed(1)
    return sum(
        (output * torch.randn(output.shape, generator=generator, dtype=output.dtype)).sum() for output in outputs
    )  # type: ignore[return-value]


def assert_same_as_the_loop(
    hypernets: Pair, z: torch.Tensor, recurrence: Recurrence, leaf: torch.Tensor, num_steps: int = STEPS
) -> None:
    """Values, and gradients of the latents and of every parameter."""
    expected, found = loop(hypernets, z, recurrence, num_steps), unroll(*hypernets, z, num_steps, recurrence)
    torch.testing.assert_close(found, expected, **TIGHT)
    wanted = [leaf, *parameters(hypernets)]
    gradients = torch.autograd.grad(weighted(expected), wanted)
    for one, other in zip(torch.autograd.grad(weighted(found), wanted), gradients, strict=True):
        assert other.abs().max() > 1e-3
        torch.testing.assert_close(one, other, **TIGHT)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("num_steps", [1, 2, 5])
@pytest.mark.parametrize(("gain", "compress"), [(1.0, True), (3.0, True), (3.0, False)])
def test_values_and_gradients_are_those_of_the_loop(
    hypernets: Pair, num_steps: int, activation: StateActivation, gain: float, compress: bool
):
    z = programs(4)
    recurrence = replace(PLAIN, activations=recurrence_activations(activation, compress), gain=gain)
    assert_same_as_the_loop(hypernets, z, recurrence, z, num_steps)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("recompute", [False, True])
@pytest.mark.parametrize("chunk", [1, 2, 3, 7, 8])
def test_chunks_change_nothing(hypernets: Pair, chunk: int, recompute: bool):
    z = programs(7)
    assert_same_as_the_loop(hypernets, z, replace(PLAIN, chunk=chunk, recompute=recompute), z)


def test_without_gradients_the_values_are_the_same(hypernets: Pair):
    z = programs(7)
    with torch.no_grad():
        found = unroll(*hypernets, z, STEPS, replace(PLAIN, chunk=2))
    assert not any(output.requires_grad for output in found)
    torch.testing.assert_close(found, tuple(output.detach() for output in loop(hypernets, z, PLAIN)), **TIGHT)


def test_a_gradient_can_be_taken_twice_from_one_graph(hypernets: Pair):
    z = programs(3)
    loss = weighted(unroll(*hypernets, z, STEPS, PLAIN))
    first = torch.autograd.grad(loss, z, retain_graph=True)
    torch.testing.assert_close(torch.autograd.grad(loss, z), first, rtol=0, atol=0)


@pytest.mark.thorough_after(2)
@pytest.mark.parametrize("used", [0, 1, 2])
def test_an_output_that_nothing_depends_on_has_no_part_in_the_gradient(hypernets: Pair, used: int):
    z = programs(3)
    wanted = [z, *parameters(hypernets)]
    gradients, found = (
        torch.autograd.grad(run(z)[used].square().sum(), wanted, materialize_grads=True)
        for run in (lambda z: loop(hypernets, z, PLAIN), lambda z: unroll(*hypernets, z, STEPS, PLAIN))
    )
    for one, other in zip(found, gradients, strict=True):
        torch.testing.assert_close(one, other, **TIGHT)


@pytest.mark.parametrize(
    "activation",
    [pytest.param(one, marks=pytest.mark.slow if at else pytest.mark.thorough) for at, one in enumerate(ACTIVATIONS)],
)
def test_gradients_are_those_of_finite_differences(activation: StateActivation):
    patch = Dense((2, 1, 1), latent_size=2, hidden_size=2, paint=Paint("softplus"))
    shapes = network_shapes(latent_size=2, hidden_size=2, patch_heads=patch.heads)
    activations = recurrence_activations(activation, compress=True)
    recurrence = replace(PLAIN, shapes=shapes, patch_decoder=patch, activations=activations, gain=2.0, chunk=2)
    inputs = []
    for shape in shapes:
        inputs += [torch.randn(3, 2), 0.7 * torch.randn(shape.num_parameters, 2), torch.randn(shape.num_parameters)]
    assert torch.autograd.gradcheck(
        lambda *inputs: _Unroll.apply(recurrence, STEPS, *inputs), [value.requires_grad_() for value in inputs]
    )


def test_a_gradient_can_be_taken_with_frozen_hypernetworks(hypernets: Pair):
    z = programs(3)
    expected = torch.autograd.grad(weighted(loop(hypernets, z, PLAIN)), z)
    for parameter in parameters(hypernets):
        parameter.requires_grad_(False)
    torch.testing.assert_close(torch.autograd.grad(weighted(unroll(*hypernets, z, STEPS, PLAIN)), z), expected, **TIGHT)


@pytest.mark.thorough_after(2)
@pytest.mark.parametrize(
    "rearrange",
    [
        lambda z: z.unflatten(0, (2, 3)),
        lambda z: z.unflatten(0, (2, 3)).transpose(0, 1),
        lambda z: z[::2],
        lambda z: z[:1].expand(4, 3, -1),
        lambda z: torch.cat([z, z], dim=-1)[:, : z.shape[-1]],
        lambda z: z.mT.contiguous().mT,
    ],
    ids=["two dimensions", "transposed", "every second", "expanded", "a slice", "column by column"],
)
def test_batch_dimensions_may_lie_in_memory_as_they_like(
    hypernets: Pair, rearrange: Callable[[torch.Tensor], torch.Tensor]
):
    z = programs(6)
    assert_same_as_the_loop(hypernets, rearrange(z), PLAIN, z)


def test_no_programs_have_no_children(hypernets: Pair):
    z = programs(0)
    children, action, patch = unroll(*hypernets, z, 2, PLAIN)
    assert (children.shape, action.shape, patch.shape) == ((0, 2, 3), (0, 2, 6), (0, 2, 5, 1, 1))
    (gradient,) = torch.autograd.grad(children.sum() + action.sum() + patch.sum(), z)
    assert gradient.shape == z.shape


def test_in_bfloat16_only_the_hypernetworks_are_narrow(hypernets: Pair):
    for hypernet in hypernets:
        hypernet.float().heads.weight.data.mul_(0.3)
    z = programs(5).detach().float().requires_grad_()
    exact = unroll(*hypernets, z, STEPS, PLAIN)
    with torch.autocast("cpu", torch.bfloat16):
        found = unroll(*hypernets, z, STEPS, PLAIN)
    wanted = [z, *parameters(hypernets)]
    gradients, narrow = (torch.autograd.grad(weighted(outputs), wanted) for outputs in (exact, found))
    for one, other in zip([*found, *narrow], [*exact, *gradients], strict=True):
        assert one.dtype == torch.float32
        assert 0 < (one - other).norm() / other.norm() < 0.05


def test_a_chunk_fits_the_cache_and_an_accelerator_takes_all():
    bytes_each = 8 * sum(shapes.num_parameters for shapes in SHAPES)
    chunk = default_chunk(torch.zeros(3), SHAPES)
    assert chunk * bytes_each <= CACHE < (chunk + 1) * bytes_each
    assert default_chunk(torch.zeros(5, 7, 3, device="meta"), SHAPES) == 35


def nodes_behind(loss: torch.Tensor) -> int:
    """Autograd nodes that a loss depends on."""
    seen, queue = set(), [loss.grad_fn]
    while queue:
        node = queue.pop()
        if node is not None and node not in seen:
            seen.add(node)
            queue += [other for other, _ in node.next_functions]
    return len(seen)


@pytest.mark.parametrize("num_steps", [2, 6])
def test_autograd_sees_one_node_however_many_steps(hypernets: Pair, num_steps: int):
    z = programs(3)
    found = nodes_behind(weighted(unroll(*hypernets, z, num_steps, PLAIN)))
    assert found == nodes_behind(weighted(unroll(*hypernets, z, STEPS, PLAIN)))
    assert found < 50 < nodes_behind(weighted(loop(hypernets, z, PLAIN)))


@pytest.mark.thorough
@pytest.mark.parametrize("recompute", [False, True])
def test_each_product_is_taken_once(recompute: bool):
    """A guard of speed that no clock can blur: the operations of both passes, counted and derived."""
    num_programs, latent, units, steps = 6, 3, 5, 4
    hypernets = tuple(Hypernet(latent, shapes, num_layers=2, hidden_size=units) for shapes in SHAPES)
    z = programs(num_programs)
    recurrence = replace(PLAIN, chunk=4, recompute=recompute)

    def count(total: torch.Size, left: torch.Size, right: torch.Size, **_: Any) -> int:
        return 2 * left.numel() * right[-1]

    counter = FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: count})
    with counter:
        weighted(unroll(*hypernets, z, steps, recurrence)).backward()
    generated = sum(shapes.num_parameters for shapes in SHAPES)
    values = sum(shapes.state_size + shapes.initial_size for shapes in SHAPES)
    trunk = 3 * 2 * (2 * num_programs * latent * units)
    heads = (4 if recompute else 3) * 2 * num_programs * units * generated
    biases = 2 * (4 + latent) + 4 + 6  # of E and R twice, D' and O': on the way back to inputs they are left out
    patch = 4 + 5  # the patch decoder's biases are no part of a product
    recurrences = 2 * num_programs * steps * (3 * (generated - values - patch) - biases)
    again = 2 * num_programs * steps * sum(4 * size for size in (latent, 5)) if recompute else 0
    assert counter.get_total_flops() == trunk + heads + recurrences + again


@pytest.mark.thorough_after(1)
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


@pytest.mark.parametrize("recompute", [False, True])
def test_fixed_hypernets_cost_no_gradient_of_their_own(
    hypernets: Pair, recompute: bool, monkeypatch: pytest.MonkeyPatch
):
    """And leave the latents' as it is: samplers of latents want no other."""
    recurrence, z = replace(PLAIN, recompute=recompute), programs(4)
    (expected,) = torch.autograd.grad(weighted(unroll(*hypernets, z, STEPS, recurrence)), z)

    def refuse(*weights: torch.Tensor) -> None:
        raise AssertionError("no gradient of the weights is wanted")

    monkeypatch.setattr("rnp_pyro.fast.unroll.no_gradient", refuse)
    for hypernet in hypernets:
        hypernet.requires_grad_(False)
    (found,) = torch.autograd.grad(weighted(unroll(*hypernets, z, STEPS, recurrence)), z)
    torch.testing.assert_close(found, expected, **TIGHT)


def test_one_fixed_hypernet_leaves_the_others_gradient(hypernets: Pair):
    z, (state, policy) = programs(4), hypernets
    wanted = [z, *policy.parameters()]
    expected = torch.autograd.grad(weighted(unroll(*hypernets, z, STEPS, PLAIN)), wanted)
    state.requires_grad_(False)
    found = torch.autograd.grad(weighted(unroll(*hypernets, z, STEPS, PLAIN)), wanted)
    torch.testing.assert_close(found, expected, **TIGHT)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.accelerator.is_available(), reason="needs an accelerator")
def test_an_accelerator_gives_the_same(hypernets: Pair):
    """In float32, which every accelerator has."""
    device = torch.accelerator.current_accelerator()
    assert device is not None
    z = programs(7).detach().float()
    found = []
    for place in (torch.device("cpu"), device):
        pair = tuple(hypernet.float().to(place) for hypernet in hypernets)
        leaf = z.to(place).requires_grad_()
        outputs = unroll(*pair, leaf, STEPS, PLAIN)
        loss = sum(output.square().sum() for output in outputs)
        found.append([*outputs, *torch.autograd.grad(loss, [leaf, *parameters(pair)])])  # type: ignore[arg-type]
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other.cpu(), rtol=1e-4, atol=1e-4)
