"""A program: two recurrent networks that emit parts and their poses, step by step (section 2, fig. 2b).

Everything here works on generated parameters, one set per program. A step takes a state and returns the means of the
next action and of the next part's latent; whoever walks the tree decides what is drawn, and makes the next state.
"""

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
import torch.nn.functional as F

from rnp_pyro.activations import Activations
from rnp_pyro.affine import squash
from rnp_pyro.heads import Head, NetworkParams, NetworkShapes, Weight, layer, split_params
from rnp_pyro.precision import own_precision
from rnp_pyro.shapes import Action, Float, Latent, Tensor

ACTION_SIZE = 6


def network_shapes(
    latent_size: int, hidden_size: int, patch_heads: tuple[Head, ...]
) -> tuple[NetworkShapes, NetworkShapes]:
    """Return the shapes of the state network and of the policy network of a program.

    Args:
        latent_size: |z|; also the hidden size of both recurrent networks.
        hidden_size: Units of encoders and of the policy's decoder (64 in the appendix).
        patch_heads: What the patch decoder needs.
    """
    input_size = latent_size + ACTION_SIZE
    state = NetworkShapes(input_size, hidden_size, latent_size, initial_size=latent_size, decoder=patch_heads)
    actions = decoder_heads(latent_size, hidden_size, ACTION_SIZE)
    policy = NetworkShapes(input_size, hidden_size, latent_size, initial_size=ACTION_SIZE, decoder=actions)
    return state, policy


def decoder_heads(latent_size: int, hidden_size: int, output_size: int, start: float = 0.0) -> tuple[Head, ...]:
    """Return the two layers of :func:`decode`; the last bias starts around ``start``."""
    return layer(latent_size, hidden_size), layer(hidden_size, output_size, start)


@dataclass(frozen=True)
class ProgramParams:
    """The generated networks of every program of a batch."""

    state_params: NetworkParams
    policy_params: NetworkParams


def split_program(
    flat_state: Float[Tensor, "*batch P"],
    flat_policy: Float[Tensor, "*batch Q"],
    shapes: tuple[NetworkShapes, NetworkShapes],
) -> ProgramParams:
    """Cut what the two hypernetworks generated into the parameters of each program's networks."""
    return ProgramParams(split_params(flat_state, shapes[0]), split_params(flat_policy, shapes[1]))


@dataclass(frozen=True)
class ProgramState:
    """Where a program stands between two steps.

    Args:
        z: Hidden state of f_state, which is the last part's latent, ``z_t``.
        estimate: What both encoders are told of the last part: ``z_t``, or with feedback the last part's canvas.
        policy: Hidden state of f_policy.
        action: The last part's action, ``a_t``.
    """

    z: Latent
    estimate: Latent
    policy: Latent
    action: Action


@dataclass(frozen=True)
class Proposal:
    """What a program emits in a step, before anything is drawn: the means of z and action, and f_policy's state."""

    z_loc: Latent
    action_loc: Action
    policy: Latent


def follow(proposal: Proposal) -> ProgramState:
    """Return the state after a step in which nothing is drawn and nothing fed back."""
    return ProgramState(proposal.z_loc, proposal.z_loc, proposal.policy, proposal.action_loc)


def initial_state(params: ProgramParams) -> ProgramState:
    """Return a program's state before its first step, from its hypernetworks' heads: h_0, z_0 and a_0."""
    return ProgramState(
        z=params.state_params.initial_state,
        estimate=params.state_params.initial_output,
        policy=params.policy_params.initial_state,
        action=params.policy_params.initial_output,
    )


def propose(params: ProgramParams, state: ProgramState, activations: Activations, gain: float = 1.0) -> Proposal:
    """Run one step: ``z_{t+1} = f_state(z_t, a_t)``, ``a_{t+1} = f_policy(z_t, a_t)`` (lines 6 and 7 of Algorithm 1).

    Departure: the encoders see the action bounded to (-1, 1), as the pose does.

    Each f is a vanilla recurrent network behind a one-layer encoder; the policy's output passes through its decoder.

    Args:
        params: The generated networks.
        state: The program's state after the last step.
        activations: Of both recurrent networks and of the policy's decoder.
        gain: Of the squashed action that the encoders see.
    """
    seen = torch.cat([state.estimate, squash(state.action, gain)], dim=-1)
    z_loc = activations.state(_recur(params.state_params, seen, state.z))
    policy = activations.policy(_recur(params.policy_params, seen, state.policy))
    action_loc = activations.action(decode(params.policy_params.decoder, policy[..., None, :]).squeeze(-2))
    return Proposal(z_loc=z_loc, action_loc=action_loc, policy=policy)


@runtime_checkable
class Programs(Protocol):
    """Programs of a batch, generated and ready to run, step by step."""

    @property
    def first(self) -> ProgramState:
        """Their state before the first step."""
        ...

    def propose(self, state: ProgramState) -> Proposal:
        """Take a step; see :func:`propose`."""
        ...

    @property
    def decoder(self) -> tuple[Any, ...]:
        """What was generated for the patch decoder, ``dec_state``."""
        ...


@dataclass(frozen=True)
class PlainPrograms:
    """Programs that compute as they are written here, with autograd's own gradients.

    Args:
        params: The generated networks.
        activations: See :func:`propose`.
        gain: See :func:`propose`.
    """

    params: ProgramParams
    activations: Activations
    gain: float = 1.0

    @property
    def first(self) -> ProgramState:
        """See :class:`Programs`."""
        return initial_state(self.params)

    def propose(self, state: ProgramState) -> Proposal:
        """See :class:`Programs`."""
        with own_precision(state.z):
            return propose(self.params, state, self.activations, self.gain)

    @property
    def decoder(self) -> tuple[Any, ...]:
        """See :class:`Programs`."""
        return self.params.state_params.decoder


def run(programs: Programs, num_steps: int) -> tuple[Float[Tensor, "*batch T Z"], Float[Tensor, "*batch T 6"]]:
    """Run programs to their end where nothing is drawn and nothing fed back: the children's latents and actions."""
    state, steps = programs.first, []
    for _ in range(num_steps):
        state = follow(programs.propose(state))
        steps.append((state.z, state.action))
    latents, actions = zip(*steps, strict=True)
    return torch.stack(latents, -2), torch.stack(actions, -2)


def decode(generated: tuple[Any, ...], states: Float[Tensor, "*batch T Z"]) -> Float[Tensor, "*batch T output"]:
    """Decode recurrent states with two generated layers: the policy's into actions, ``dec_policy``.

    Args:
        generated: Weights and bias of the hidden layer, then of the output layer; see :func:`decoder_heads`.
        states: T states of each program.
    """
    weight, bias, output_weight, output_bias = generated
    return linear(output_weight, output_bias, F.elu(linear(weight, bias, states)))


def linear(
    weight: Weight, bias: Float[Tensor, "*batch out"], rows: Float[Tensor, "*batch T in"]
) -> Float[Tensor, "*batch T out"]:
    """Apply a generated layer to T rows of each program."""
    return weight.multiply(rows) + bias[..., None, :]


def _recur(params: NetworkParams, seen: Float[Tensor, "*batch input"], state: Latent) -> Latent:
    """Encode what is seen and take the recurrent network's step, up to its activation."""
    encoded = F.elu(linear(params.encoder_weight, params.encoder_bias, seen[..., None, :]))
    remembered = params.recurrent_weight.multiply(state[..., None, :])
    return (linear(params.input_weight, params.bias, encoded) + remembered).squeeze(-2)
