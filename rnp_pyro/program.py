"""A program: two recurrent networks that emit parts and their poses, step by step (section 2, fig. 2b).

Everything here works on generated parameters, one set per program. A step takes a state and returns the means of the
next action and of the next part's latent; whoever walks the tree decides what is drawn, and makes the next state.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from rnp_pyro.affine import squash
from rnp_pyro.hypernet import NetworkParams, NetworkShapes, defer_weights, split_params
from rnp_pyro.shapes import Action, Float, Latent, Tensor

ACTION_SIZE = 6

STATE_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "identity": lambda preactivation: preactivation,
    "elu": F.elu,
    "tanh": F.tanh,
}


def network_shapes(latent_size: int, hidden_size: int, patch_numel: int) -> tuple[NetworkShapes, NetworkShapes]:
    """Return the shapes of the state network and of the policy network of a program.

    Args:
        latent_size: |z|; also the hidden size of both recurrent networks.
        hidden_size: Units of encoders and decoders (64 in the appendix).
        patch_numel: Numbers in a decoded patch: channels x rows x columns.
    """
    input_size = latent_size + ACTION_SIZE
    state = NetworkShapes(input_size, hidden_size, latent_size, initial_size=latent_size, output_size=patch_numel)
    policy = NetworkShapes(input_size, hidden_size, latent_size, initial_size=ACTION_SIZE, output_size=ACTION_SIZE)
    return state, policy


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


def defer_program(params: ProgramParams) -> ProgramParams:
    """Make the gradients of both networks' weights be formed once, after all steps."""
    return ProgramParams(defer_weights(params.state_params), defer_weights(params.policy_params))


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


def initial_state(params: ProgramParams) -> ProgramState:
    """Return a program's state before its first step, from its hypernetworks' heads: h_0, z_0 and a_0."""
    return ProgramState(
        z=params.state_params.initial_state,
        estimate=params.state_params.initial_output,
        policy=params.policy_params.initial_state,
        action=params.policy_params.initial_output,
    )


def propose(
    params: ProgramParams, state: ProgramState, activation: Callable[[Tensor], Tensor], gain: float = 1.0
) -> Proposal:
    """Run one step: ``z_{t+1} = f_state(z_t, a_t)``, ``a_{t+1} = f_policy(z_t, a_t)`` (lines 6 and 7 of Algorithm 1).

    Departure: the encoders see the action bounded to (-1, 1), as the pose does.

    Each f is a vanilla recurrent network behind a one-layer encoder; the policy's output passes through its decoder.

    Args:
        params: The generated networks.
        state: The program's state after the last step.
        activation: Of the recurrent state network; the recurrent policy network's is elu.
        gain: Of the squashed action that the encoders see.
    """
    seen = torch.cat([state.estimate, squash(state.action, gain)], dim=-1)
    z_loc = activation(_recur(params.state_params, seen, state.z))
    policy = F.elu(_recur(params.policy_params, seen, state.policy))
    return Proposal(z_loc=z_loc, action_loc=decode(params.policy_params, policy), policy=policy)


def decode(params: NetworkParams, state: Latent) -> Float[Tensor, "*batch output"]:
    """Decode a recurrent state: the state network's into a patch (before its activation), the policy's an action."""
    hidden = F.elu(_multiply(params, "decoder_weight", state) + params.decoder_bias)
    return _multiply(params, "output_weight", hidden) + params.output_bias


def _recur(params: NetworkParams, seen: Float[Tensor, "*batch input"], state: Latent) -> Latent:
    """Encode what is seen and take the recurrent network's step, up to its activation."""
    encoded = F.elu(_multiply(params, "encoder_weight", seen) + params.encoder_bias)
    return _multiply(params, "input_weight", encoded) + params.bias + _multiply(params, "recurrent_weight", state)


def _multiply(params: NetworkParams, name: str, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
    """Multiply each program's row with its matrix of that name."""
    if name in params.deferred:
        return params.deferred[name].multiply(x)
    return (x[..., None, :] @ getattr(params, name)).squeeze(-2)
