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

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from rnp_pyro.activations import Activations, elu_slope
from rnp_pyro.affine import squash, squash_slope
from rnp_pyro.fast.generated import Generated, blank
from rnp_pyro.hypernet import NetworkShapes
from rnp_pyro.patch import PatchDecoder
from rnp_pyro.program import ProgramState, Proposal, follow
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
    """

    shapes: tuple[NetworkShapes, NetworkShapes]
    patch_decoder: PatchDecoder
    activations: Activations
    gain: float
    chunk: int
    recompute: bool


@dataclass(frozen=True)
class Step:
    """What a step leaves: the layers' inputs, the last column always one, and what came of them.

    Args:
        seen: The encoders' input.
        recurrent: The recurrent layers' input.
        policy: The policy's state, input of its decoder.
        action_hidden: Input of the decoder's second layer.
        proposal: The result.
    """

    seen: Float[Tensor, "M seen"]
    recurrent: Float[Tensor, "2 M recurrent"]
    policy: Float[Tensor, "M state"]
    action_hidden: Float[Tensor, "M units"]
    proposal: Proposal


@dataclass(frozen=True)
class StepErrors:
    """Gradients of a step's four layers' outputs, before their activations."""

    encoder: Float[Tensor, "2 M hidden"]
    recurrent: Float[Tensor, "2 M Z"]
    action_hidden: Float[Tensor, "M hidden"]
    action: Float[Tensor, "M 6"]


def first_state(made: Generated) -> ProgramState:
    """Return the programs' state before their first step."""
    z, policy = made.initial_state
    return ProgramState(z=z, estimate=made.initial_z, policy=policy, action=made.initial_action)


def step_forward(made: Generated, state: ProgramState, settings: Recurrence) -> Step:
    """Take a step: :func:`rnp_pyro.program.propose`, both networks side by side."""
    activations, one = settings.activations, made.encoder.new_ones(len(state.z), 1)
    seen = torch.cat([state.estimate, squash(state.action, settings.gain), one], -1)
    encoded = _elu(_rows_times(seen.expand(2, *seen.shape), made.encoder))
    states = torch.stack([state.z, state.policy])
    recurrent = torch.cat([encoded, states, one.expand(2, *one.shape)], -1)
    z, policy = _rows_times(recurrent, made.recurrent)
    policy = activations.policy(policy)
    policy_one = torch.cat([policy, one], -1)
    action_hidden = torch.cat([_elu(_rows_times(policy_one, made.action_hidden)), one], -1)
    action = activations.action(_rows_times(action_hidden, made.action))
    return Step(seen, recurrent, policy_one, action_hidden, Proposal(activations.state(z), action, policy))


def step_backward(
    made: Generated, step: Step, error: Proposal, settings: Recurrence
) -> tuple[StepErrors, ProgramState]:
    """Go back through a step.

    Args:
        made: The generated layers.
        step: What the step left.
        error: Gradients of its result.
        settings: What is fixed.

    Returns:
        Gradients of its layers' outputs, and of the state before it.
    """
    activations, (hidden, size) = settings.activations, (made.encoder.shape[-1], made.recurrent.shape[-1])
    action = error.action_loc * activations.action.slope(step.proposal.action_loc)
    action_hidden = _rows_times_transposed(action, made.action) * elu_slope(step.action_hidden[..., :-1])
    policy = error.policy + _rows_times_transposed(action_hidden, made.action_hidden)
    z = error.z_loc * activations.state.slope(step.proposal.z_loc)
    recurrent = torch.stack([z, policy * activations.policy.slope(step.proposal.policy)])
    inputs = _rows_times_transposed(recurrent, made.recurrent)
    encoder = inputs[..., :hidden] * elu_slope(step.recurrent[..., :hidden])
    seen = _rows_times_transposed(encoder, made.encoder).sum(0)
    squashed = seen[..., size:] * squash_slope(step.seen[..., size:-1], settings.gain)
    before = ProgramState(inputs[0, :, hidden:], seen[..., :size], inputs[1, :, hidden:], squashed)
    return StepErrors(encoder, recurrent, action_hidden, action), before


def layer_gradients(
    steps: Sequence[Step], errors: Sequence[StepErrors], first: ProgramState, found: Generated
) -> Generated:
    """Form each layer's gradient over all steps by one product, ``dL/dW = sum_t [x_t, 1]^T e_t``.

    Args:
        steps: What the steps left.
        errors: Theirs, in the same order.
        first: The gradient of the state before the first step.
        found: Room for the result; the patch decoder's are there already.
    """
    seen = torch.stack([step.seen for step in steps], -2)
    for layer, inputs, outputs in (
        (found.encoder, seen.expand(2, *seen.shape), [error.encoder for error in errors]),
        (found.recurrent, torch.stack([step.recurrent for step in steps], -2), [error.recurrent for error in errors]),
        (
            found.action_hidden,
            torch.stack([step.policy for step in steps], -2),
            [error.action_hidden for error in errors],
        ),
        (found.action, torch.stack([step.action_hidden for step in steps], -2), [error.action for error in errors]),
    ):
        _sum_of_products(inputs, torch.stack(outputs, -2), out=layer)
    torch.stack([first.z, first.policy], out=found.initial_state)
    found.initial_z.copy_(first.estimate)
    found.initial_action.copy_(first.action)
    return found


def run_forward(made: Generated, settings: Recurrence, num_steps: int) -> list[Step]:
    """Run programs for all their steps, where nothing is drawn and nothing fed back."""
    state, steps = first_state(made), list[Step]()
    for _ in range(num_steps):
        steps.append(step_forward(made, state, settings))
        state = follow(steps[-1].proposal)
    return steps


def run_backward(
    made: Generated,
    steps: Sequence[Step],
    errors: tuple[Tensor, Tensor],
    patch: tuple[Tensor, ...],
    settings: Recurrence,
) -> Generated:
    """Form the gradients of a chunk's layers.

    Args:
        made: The chunk's generated layers.
        steps: What the recurrence left.
        errors: Gradients of the latents ``[M T Z]`` and the actions ``[M T 6]``.
        patch: Gradients of the patch decoder's tensors, which are passed on.
        settings: What is fixed.
    """
    z_error, action_error = (error.unbind(-2) for error in errors)
    after, found = None, list[StepErrors]()
    for step, z, action in zip(reversed(steps), reversed(z_error), reversed(action_error), strict=True):
        if after is None:
            error = Proposal(z, action, torch.zeros_like(z))
        else:
            error = Proposal(z + after.z + after.estimate, action + after.action, after.policy)
        layers, after = step_backward(made, step, error, settings)
        found.append(layers)
    assert after is not None
    room = blank(made.encoder.shape[1], settings.shapes, made.encoder, patch)
    return layer_gradients(steps, found[::-1], after, room)


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
