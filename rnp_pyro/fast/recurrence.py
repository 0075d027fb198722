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
from rnp_pyro.fast.generated import Generated, Layers, blank
from rnp_pyro.heads import NetworkShapes
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
class Step:
    """What a step leaves: its layers' inputs, the last column always one."""

    encoder: Float[Tensor, "M seen"]
    recurrent: Float[Tensor, "2 M recurrent"]
    action_hidden: Float[Tensor, "M state"]
    action: Float[Tensor, "M units"]


@dataclass(frozen=True)
class StepErrors:
    """Gradients of what a step's layers put out, before their activations."""

    encoder: Float[Tensor, "2 M hidden"]
    recurrent: Float[Tensor, "2 M Z"]
    action_hidden: Float[Tensor, "M hidden"]
    action: Float[Tensor, "M 6"]


def first_state(made: Generated) -> ProgramState:
    """Return the programs' state before their first step."""
    z, policy = made.initial_state
    return ProgramState(z=z, estimate=made.initial_z, policy=policy, action=made.initial_action)


def step_forward(layers: Layers, state: ProgramState, settings: Recurrence) -> tuple[Step, Proposal]:
    """Take a step: :func:`rnp_pyro.program.propose`, both networks side by side."""
    activations, one = settings.activations, state.z.new_ones(len(state.z), 1)
    seen = torch.cat([state.estimate, squash(state.action, settings.gain), one], -1)
    encoded = _elu(_rows_times(seen.expand(2, *seen.shape), layers.encoder))
    recurrent = torch.cat([encoded, torch.stack([state.z, state.policy]), one.expand(2, *one.shape)], -1)
    z, policy = _rows_times(recurrent, layers.recurrent)
    policy = activations.policy(policy)
    hidden_input = torch.cat([policy, one], -1)
    action_input = torch.cat([_elu(_rows_times(hidden_input, layers.action_hidden)), one], -1)
    action = activations.action(_rows_times(action_input, layers.action))
    return Step(seen, recurrent, hidden_input, action_input), Proposal(activations.state(z), action, policy)


def step_backward(
    layers: Layers, step: Step, proposal: Proposal, error: Proposal, settings: Recurrence
) -> tuple[StepErrors, ProgramState]:
    """Go back through a step.

    Args:
        layers: The generated layers.
        step: What the step left.
        proposal: Its result.
        error: The result's gradients.
        settings: What is fixed.

    Returns:
        Gradients of what its layers put out, and of the state before it.
    """
    activations, (hidden, size) = settings.activations, (layers.encoder.shape[-1], layers.recurrent.shape[-1])
    action = error.action_loc * activations.action.slope(proposal.action_loc)
    action_hidden = _rows_times_transposed(action, layers.action) * elu_slope(step.action[..., :-1])
    policy = error.policy + _rows_times_transposed(action_hidden, layers.action_hidden)
    z = error.z_loc * activations.state.slope(proposal.z_loc)
    recurrent = torch.stack([z, policy * activations.policy.slope(step.action_hidden[..., :-1])])
    inputs = _rows_times_transposed(recurrent, layers.recurrent)
    encoder = inputs[..., :hidden] * elu_slope(step.recurrent[..., :hidden])
    seen = _rows_times_transposed(encoder, layers.encoder).sum(0)
    squashed = seen[..., size:] * squash_slope(step.encoder[..., size:-1], settings.gain)
    before = ProgramState(inputs[0, :, hidden:], seen[..., :size], inputs[1, :, hidden:], squashed)
    return StepErrors(encoder, recurrent, action_hidden, action), before


def fill_gradients(found: Layers, steps: Sequence[Step], errors: Sequence[StepErrors]) -> None:
    """Form each layer's gradient over all steps by one product, ``dL/dW = sum_t [x_t, 1]^T e_t``.

    Args:
        found: Where to.
        steps: What the steps left.
        errors: Theirs, in the same order.
    """
    for layer, inputs, outputs in zip(
        _in_order(found),
        zip(*map(_in_order, steps), strict=True),
        zip(*map(_in_order, errors), strict=True),
        strict=True,
    ):
        rows = torch.stack(inputs, -2)
        _sum_of_products(rows.expand(*layer.shape[:-2], *rows.shape[-2:]), torch.stack(outputs, -2), out=layer)


def _in_order(one: Layers | Step | StepErrors) -> tuple[Tensor, ...]:
    return one.encoder, one.recurrent, one.action_hidden, one.action


def fill_initial(found: Generated, first: ProgramState) -> None:
    """Fill in the gradient of the state before the first step."""
    torch.stack([first.z, first.policy], out=found.initial_state)
    found.initial_z.copy_(first.estimate)
    found.initial_action.copy_(first.action)


def run_forward(made: Generated, settings: Recurrence, num_steps: int) -> list[tuple[Step, Proposal]]:
    """Run programs for all their steps, where nothing is drawn and nothing fed back."""
    state, steps = first_state(made), list[tuple[Step, Proposal]]()
    for _ in range(num_steps):
        steps.append(step_forward(made.layers, state, settings))
        state = follow(steps[-1][1])
    return steps


def run_backward(
    made: Generated,
    steps: Sequence[tuple[Step, Proposal]],
    errors: tuple[Tensor, Tensor],
    patch: tuple[Tensor, ...],
    settings: Recurrence,
) -> Generated:
    """Form the gradients of all that was generated.

    Args:
        made: What was generated.
        steps: What the run left.
        errors: Gradients of the latents ``[M T Z]`` and the actions ``[M T 6]``.
        patch: Gradients of the patch decoder's tensors, which are passed on.
        settings: What is fixed.
    """
    z_errors, action_errors = (error.unbind(-2) for error in errors)
    after, backwards = None, list[StepErrors]()
    for (step, proposal), z, action in zip(reversed(steps), reversed(z_errors), reversed(action_errors), strict=True):
        if after is None:
            error = Proposal(z, action, torch.zeros_like(z))
        else:
            error = Proposal(z + after.z + after.estimate, action + after.action, after.policy)
        layers, after = step_backward(made.layers, step, proposal, error, settings)
        backwards.append(layers)
    assert after is not None
    found = blank(len(made.initial_z), settings.shapes, made.initial_z, patch)
    fill_gradients(found.layers, [step for step, _ in steps], backwards[::-1])
    fill_initial(found, after)
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
    return torch.maximum(preactivation, torch.exp(preactivation.clamp(max=0)) - 1)
