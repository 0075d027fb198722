"""The recurrence of a chunk of programs, and its backward pass written out.

The recurrence, with ``[x, 1]`` for a row with a one behind it, E and R the encoder and recurrent layer of the state
network, E' and R' the policy's, D' and O' the policy's decoder, f, f' and h the activations of both states and of
actions (elu and the identity, where nothing is compressed):

    seen_t  = [z_{t-1}, squash(a_{t-1})]
    e_t     = elu([seen_t, 1] E)                e'_t = elu([seen_t, 1] E')
    z_t     = f([e_t, z_{t-1}, 1] R)            p_t  = f'([e'_t, p_{t-1}, 1] R')
                                                a_t  = h([elu([p_t, 1] D'), 1] O')

(z_0 in seen_1 is the initial output, in [e_1, z_0, 1] the initial state: two heads.) Backward: for every layer
``y = [x, 1] W`` with the error ``e = dL/dy``, ``dL/dx = e W^T`` without its last column, and over all steps
``dL/dW = sum_t [x_t, 1]^T e_t``. Activations are known by their values, and so are their slopes; with ``elu(u) = y``,
``elu'(u) = 1 + min(y, 0)``.
"""

from dataclasses import dataclass

import torch

from rnp_pyro.activations import Activations, elu_slope
from rnp_pyro.affine import squash, squash_slope
from rnp_pyro.fast.generated import Generated, blank
from rnp_pyro.hypernet import NetworkShapes
from rnp_pyro.patch import PatchDecoder
from rnp_pyro.shapes import Float, Tensor


@dataclass(frozen=True)
class Recurrence:
    """What is fixed for the programs of one level.

    Args:
        shapes: Of the generated state and policy networks.
        patch_decoder: From the children's latents to their patches.
        activations: Of both recurrent networks and of the policy's decoder.
        gain: Of the squashed action that the encoders see.
        chunk: Programs that are generated and run side by side.
        recompute: See :class:`Execution`.
        kept_rows: Of each hypernetwork's heads, state and policy, the rows that need no gradient.
    """

    shapes: tuple[NetworkShapes, NetworkShapes]
    patch_decoder: PatchDecoder
    activations: Activations
    gain: float
    chunk: int
    recompute: bool
    kept_rows: tuple[tuple[slice, ...], tuple[slice, ...]] = ((), ())


@dataclass(frozen=True)
class Tape:
    """The recurrent layers' inputs over all steps of a chunk, the last column always one; and the actions."""

    seen: Float[Tensor, "2 M T seen"]
    recurrent: Float[Tensor, "2 M T recurrent"]
    states: Float[Tensor, "2 M T state"]
    action: Float[Tensor, "M T units"]
    actions: Float[Tensor, "M T 6"]

    @property
    def latents(self) -> Float[Tensor, "M T Z"]:
        """The children's latents."""
        return self.states[0, ..., :-1]


def run_forward(made: Generated, settings: Recurrence, num_steps: int) -> Tape:
    """Run a chunk of programs for all their steps."""
    hidden, size = made.encoder.shape[-1], made.recurrent.shape[-1]
    num_programs = made.encoder.shape[1]

    def inputs(*shape: int) -> Tensor:
        return made.encoder.new_ones(shape)

    tape = Tape(
        seen=inputs(2, num_programs, num_steps, made.encoder.shape[-2]),
        recurrent=inputs(2, num_programs, num_steps, hidden + size + 1),
        states=inputs(2, num_programs, num_steps, size + 1),
        action=inputs(num_programs, num_steps, hidden + 1),
        actions=inputs(num_programs, num_steps, made.action.shape[-1]),
    )
    activations = settings.activations
    estimate, states, action = made.initial_z, made.initial_state, made.initial_action
    for t in range(num_steps):
        tape.seen[:, :, t, :size] = estimate
        tape.seen[:, :, t, size:-1] = squash(action, settings.gain)
        tape.recurrent[:, :, t, :hidden] = _elu(_rows_times(tape.seen[:, :, t], made.encoder))
        tape.recurrent[:, :, t, hidden:-1] = states
        z, policy = _rows_times(tape.recurrent[:, :, t], made.recurrent)
        tape.states[0, :, t, :-1] = activations.state(z)
        tape.states[1, :, t, :-1] = activations.policy(policy)
        states = tape.states[:, :, t, :-1]
        estimate = states[0]
        tape.action[:, t, :-1] = _elu(_rows_times(tape.states[1, :, t], made.action_hidden))
        action = tape.actions[:, t] = activations.action(_rows_times(tape.action[:, t], made.action))
    return tape


def run_backward(
    made: Generated,
    tape: Tape,
    errors: tuple[Tensor, Tensor],
    patch: tuple[Tensor, ...],
    settings: Recurrence,
) -> Generated:
    """Form the gradients of a chunk's recurrent layers; longer than it should be: its lines share all variables.

    Args:
        made: The chunk's generated layers.
        tape: What the recurrence left.
        errors: Gradients of the latents and the actions.
        patch: Gradients of the patch decoder's tensors, which are passed on.
        settings: What is fixed.
    """
    z_error, action_error = errors
    hidden, size = made.encoder.shape[-1], made.recurrent.shape[-1]
    encoder_slope = elu_slope(tape.recurrent[..., :hidden])
    state_slope = settings.activations.state.slope(tape.latents)
    policy_slope = settings.activations.policy.slope(tape.states[1, ..., :-1])
    hidden_slope = elu_slope(tape.action[..., :-1])
    action_slope = settings.activations.action.slope(tape.actions)
    seen_slope = squash_slope(tape.seen[0, ..., size:-1], settings.gain)

    encoder = torch.empty_like(tape.recurrent[..., :hidden])
    recurrent = torch.empty_like(tape.states[..., :-1])
    action_hidden = torch.empty_like(tape.action[..., :-1])
    action = torch.empty_like(tape.actions)
    estimate, squashed, states = torch.zeros_like(made.initial_z), torch.zeros_like(made.initial_action), None
    for t in reversed(range(tape.actions.shape[-2])):
        action[:, t] = (action_error[:, t] + squashed) * action_slope[:, t]
        action_hidden[:, t] = _rows_times_transposed(action[:, t], made.action) * hidden_slope[:, t]
        z = z_error[:, t] + estimate
        policy = _rows_times_transposed(action_hidden[:, t], made.action_hidden)
        if states is not None:
            z, policy = z + states[0], policy + states[1]
        recurrent[0, :, t] = z * state_slope[:, t]
        recurrent[1, :, t] = policy * policy_slope[:, t]
        inputs = _rows_times_transposed(recurrent[:, :, t], made.recurrent)
        states = inputs[..., hidden:]
        encoder[:, :, t] = inputs[..., :hidden] * encoder_slope[:, :, t]
        seen = _rows_times_transposed(encoder[:, :, t], made.encoder).sum(0)
        estimate = seen[:, :size]
        squashed = seen[:, size:] * seen_slope[:, t]
    found = blank(made.encoder.shape[1], settings.shapes, made.encoder, patch)
    for layer, layer_inputs, layer_errors in (
        (found.encoder, tape.seen, encoder),
        (found.recurrent, tape.recurrent, recurrent),
        (found.action_hidden, tape.states[1], action_hidden),
        (found.action, tape.action, action),
    ):
        _sum_of_products(layer_inputs, layer_errors, out=layer)
    assert states is not None
    found.initial_state.copy_(states)
    found.initial_z.copy_(estimate)
    found.initial_action.copy_(squashed)
    return found


def _rows_times(rows: Tensor, matrices: Tensor) -> Tensor:
    """Compute ``x W`` for one row per program: ``[*nets M in] [*nets M in out]``."""
    *batch, size = rows.shape
    return torch.bmm(rows.reshape(-1, 1, size), matrices.flatten(0, -3)).view(*batch, matrices.shape[-1])


def _rows_times_transposed(errors: Tensor, matrices: Tensor) -> Tensor:
    """Compute ``e W^T`` without its last column, the bias's."""
    *batch, size = errors.shape
    transposed = matrices.flatten(0, -3)[:, :-1].mT
    return torch.bmm(errors.reshape(-1, 1, size), transposed).view(*batch, transposed.shape[-1])


def _sum_of_products(inputs: Tensor, errors: Tensor, out: Tensor) -> None:
    """Compute ``sum_t [x_t, 1]^T e_t`` for each program, ``[*nets M T in] [*nets M T out]``."""
    torch.bmm(inputs.flatten(0, -3).mT, errors.flatten(0, -3), out=out.flatten(0, -3))


def _elu(preactivation: Tensor) -> Tensor:
    """Compute ``elu``; exp(u) - 1 is as good as expm1 next to the other terms of a layer, and several times as fast."""
    return torch.maximum(preactivation, preactivation.clamp(max=0).exp_().sub_(1))
