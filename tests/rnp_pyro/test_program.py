"""One step of a program, against the same step written with loops."""

from dataclasses import fields
from math import asinh, exp, tanh
from typing import Any

import pytest
import torch

from rnp_pyro.activations import recurrence_activations
from rnp_pyro.choices import StateActivation
from rnp_pyro.heads import Head, Matrix, NetworkParams
from rnp_pyro.program import (
    ProgramParams,
    ProgramState,
    decode,
    decoder_heads,
    initial_state,
    network_shapes,
    propose,
    split_program,
)

SHAPES = network_shapes(latent_size=3, hidden_size=4, patch_heads=decoder_heads(3, 4, 5))
ACTIVATIONS: tuple[StateActivation, ...] = ("identity", "elu", "tanh")


def random_params(*batch: int) -> ProgramParams:
    flats = (torch.randn(*batch, shapes.num_parameters) for shapes in SHAPES)
    return split_program(*flats, SHAPES)


def random_state(*batch: int) -> ProgramState:
    z, estimate, policy, action = torch.randn(*batch, 15).split([3, 3, 3, 6], dim=-1)
    return ProgramState(z, estimate, policy, action)


def at(params: ProgramParams, index: int) -> ProgramParams:
    """One program of a batch."""

    def take(value: Any) -> Any:
        if isinstance(value, tuple):
            return tuple(take(one) for one in value)
        return Matrix(value.weight[index]) if isinstance(value, Matrix) else value[index]

    networks = (
        NetworkParams(**{field.name: take(getattr(network, field.name)) for field in fields(NetworkParams)})
        for network in (params.state_params, params.policy_params)
    )
    return ProgramParams(*networks)


def elu(values: list[float]) -> list[float]:
    return [value if value > 0 else exp(value) - 1 for value in values]


def layer(weight: Any, bias: torch.Tensor, x: list[float]) -> list[float]:
    """x W + b, number by number."""
    rows = weight.weight.tolist()
    return [b + sum(x[i] * rows[i][o] for i in range(len(x))) for o, b in enumerate(bias.tolist())]


def plus(one: list[float], other: list[float]) -> list[float]:
    return [a + b for a, b in zip(one, other, strict=True)]


def recur_by_hand(params: NetworkParams, seen: list[float], hidden: list[float]) -> list[float]:
    encoded = elu(layer(params.encoder_weight, params.encoder_bias, seen))
    zero = torch.zeros_like(params.bias)
    return plus(layer(params.input_weight, params.bias, encoded), layer(params.recurrent_weight, zero, hidden))


def decode_by_hand(params: NetworkParams, hidden: list[float]) -> list[float]:
    weight, bias, output_weight, output_bias = params.decoder
    return layer(output_weight, output_bias, elu(layer(weight, bias, hidden)))


@pytest.mark.parametrize("gain", [1.0, 3.0])
@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("compress", [False, True])
def test_a_step_is_two_recurrent_networks_behind_their_encoders(
    activation: StateActivation, gain: float, compress: bool
):
    def bounded(values: list[float], usual: float) -> list[float]:
        return [usual * asinh(value / usual) for value in values] if compress else values

    params, state = random_params(), random_state()
    seen = state.estimate.tolist() + [tanh(gain * number) for number in state.action.tolist()]
    preactivation = recur_by_hand(params.state_params, seen, state.z.tolist())
    z = {"identity": preactivation, "elu": elu(preactivation), "tanh": [tanh(u) for u in preactivation]}[activation]
    policy = bounded(elu(recur_by_hand(params.policy_params, seen, state.policy.tolist())), 10)
    action = bounded(decode_by_hand(params.policy_params, policy), 2)

    proposal = propose(params, state, recurrence_activations(activation, compress), gain)
    torch.testing.assert_close(proposal.z_loc, torch.tensor(bounded(z, 10)))
    torch.testing.assert_close(proposal.policy, torch.tensor(policy))
    torch.testing.assert_close(proposal.action_loc, torch.tensor(action))


def test_the_decoder_has_one_hidden_layer():
    params, z = random_params().state_params, torch.randn(2, 3)
    by_hand = [decode_by_hand(params, row) for row in z.tolist()]
    torch.testing.assert_close(decode(params.decoder, z), torch.tensor(by_hand))


def test_a_program_starts_from_its_heads():
    params = random_params(2)
    state = initial_state(params)
    assert state.z is params.state_params.initial_state
    assert state.estimate is params.state_params.initial_output
    assert state.policy is params.policy_params.initial_state
    assert state.action is params.policy_params.initial_output


def test_a_step_sees_the_estimate_and_remembers_the_state():
    """With feedback the two differ: neither may stand in for the other."""
    params, state = random_params(), random_state()
    proposal = propose(params, state, recurrence_activations("identity", compress=False))
    for name in ("z", "estimate", "policy", "action"):
        moved = ProgramState(**{**vars(state), name: getattr(state, name) + 0.1})
        other = propose(params, moved, recurrence_activations("identity", compress=False))
        assert (other.z_loc != proposal.z_loc).any() == (name != "policy")
        assert (other.action_loc != proposal.action_loc).any() == (name != "z")


def test_a_step_mutates_nothing():
    params, state = random_params(2), random_state(2)
    before = [tensor.clone() for tensor in vars(state).values()]
    propose(params, state, recurrence_activations("elu", compress=True))
    assert all(torch.equal(one, other) for one, other in zip(before, vars(state).values(), strict=True))


def test_programs_of_a_batch_are_independent():
    params, state = random_params(5), random_state(5)
    batched = propose(params, state, recurrence_activations("tanh", compress=True))
    for index in range(5):
        alone = ProgramState(*(tensor[index] for tensor in vars(state).values()))
        proposal = propose(at(params, index), alone, recurrence_activations("tanh", compress=True))
        torch.testing.assert_close(proposal.z_loc, batched.z_loc[index])
        torch.testing.assert_close(proposal.action_loc, batched.action_loc[index])
        torch.testing.assert_close(proposal.policy, batched.policy[index])


def test_networks_of_the_appendix_have_its_shapes():
    state, policy = network_shapes(latent_size=32, hidden_size=64, patch_heads=decoder_heads(32, 64, 64))
    assert (state.input_size, policy.input_size) == (38, 38)
    assert (state.state_size, policy.state_size) == (32, 32)
    assert (state.initial_size, policy.initial_size) == (32, 6)
    assert state.decoder == (Head(32, ((32, 64), (64,))), Head(64, ((64, 64), (64,))))
    assert policy.decoder == (Head(32, ((32, 64), (64,))), Head(64, ((64, 6), (6,))))
