"""The fast path: generate and run many programs in one autograd function, with its backward pass written out.

It computes what :func:`rnp_pyro.program.propose` and :func:`rnp_pyro.program.decode` compute when nothing is drawn and
nothing is fed back; tests hold the two equal. A program's generated weights are read a few times and are the largest
thing in sight (80 kB a program), so what counts is where they are. What the fast path saves:

- Programs are generated and run in chunks, which bounds what their weights' gradients take. With ``recompute`` the
  backward pass generates the weights again, and a step's memory no longer grows with them.
- Autograd would add up every generated weight's gradient once a step. Here the steps' inputs and errors are kept, and
  each weight's gradient is formed once, over all steps, by one batched product, and goes through the head at once.
- State and policy networks have layers of one shape (``rnp_pyro/fast/generated.py``): one batched product serves both.

The recurrence, with ``[x, 1]`` for a row with a one behind it, E, R, D the encoder, recurrent layer and decoder of the
state network, E', R', D' the policy's, O and O' their output layers, f the state activation:

    seen_t  = [z_{t-1}, squash(a_{t-1})]
    e_t     = elu([seen_t, 1] E)                e'_t = elu([seen_t, 1] E')
    z_t     = f([e_t, z_{t-1}, 1] R)            p_t  = elu([e'_t, p_{t-1}, 1] R')
    d_t     = elu([z_t, 1] D)                   d'_t = elu([p_t, 1] D')
    patch_t = [d_t, 1] O                        a_t  = [d'_t, 1] O'

(z_0 in seen_1 is the initial output, in [e_1, z_0, 1] the initial state: two heads.) Backward: for every layer
``y = [x, 1] W`` with the error ``e = dL/dy``, ``dL/dx = e W^T`` without its last column, and over all steps
``dL/dW = sum_t [x_t, 1]^T e_t``. With ``elu(u) = y``, ``elu'(u) = 1 + min(y, 0)``; with ``tanh(u) = y``,
``tanh'(u) = 1 - y^2``.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from rnp_pyro.affine import squash, squash_slope
from rnp_pyro.choices import StateActivation
from rnp_pyro.fast.generated import Generated, Head, add_gradients, blank, generate, no_gradient
from rnp_pyro.hypernet import Hypernet, NetworkShapes
from rnp_pyro.precision import own_precision
from rnp_pyro.program import STATE_ACTIVATIONS
from rnp_pyro.shapes import Float, Latent, Tensor, flatten_batch

CACHE = 20 * 2**20
"""Bytes of generated weights to work on at a time on a CPU: near its last cache; their gradient takes as much again."""


@dataclass(frozen=True)
class Recurrence:
    """What is fixed for the programs of one level.

    Args:
        shapes: Of the generated state and policy networks.
        num_steps: T.
        activation: Of the recurrent state network.
        gain: Of the squashed action that the encoders see.
        chunk: Programs that are generated and run side by side.
        recompute: Generate programs anew in the backward pass: less memory, one product of the heads more.
    """

    shapes: tuple[NetworkShapes, NetworkShapes]
    num_steps: int
    activation: StateActivation
    gain: float
    chunk: int
    recompute: bool


def unroll(
    state_hypernet: Hypernet, policy_hypernet: Hypernet, z: Latent, recurrence: Recurrence
) -> tuple[Float[Tensor, "*batch T Z"], Float[Tensor, "*batch T 6"], Float[Tensor, "*batch T D"]]:
    """Generate every program of a batch and run it for all its steps.

    Args:
        state_hypernet: ``H_state``.
        policy_hypernet: ``H_policy``.
        z: The programs' latents.
        recurrence: What is fixed for all of them.

    Returns:
        The children's latents, actions and decoded patches (before their activation).
    """
    flat = flatten_batch(z, 1)
    inputs: list[Tensor] = []
    for hypernet in (state_hypernet, policy_hypernet):
        inputs += [hypernet.features(flat), hypernet.heads.weight, hypernet.heads.bias]
    # The recurrence is never narrower than the weights, and the heads choose for themselves.
    with own_precision(flat):
        if torch.is_grad_enabled():
            outputs: tuple[Tensor, ...] = _Unroll.apply(recurrence, *inputs)  # type: ignore[assignment]
        else:
            outputs = _outputs([tape for _, tape in _chunks(recurrence, inputs)])
    children, action, patch = (output.reshape(*z.shape[:-1], *output.shape[1:]) for output in outputs)
    return children, action, patch


def default_chunk(z: Latent, shapes: tuple[NetworkShapes, NetworkShapes]) -> int:
    """Choose how many programs to run side by side: ``CACHE`` bytes on a CPU, on accelerators all at once."""
    if not z.is_cpu:
        return max(1, z.shape[:-1].numel())
    return max(1, CACHE // (z.element_size() * sum(shape.num_parameters for shape in shapes)))


@dataclass(frozen=True)
class Tape:
    """The layers' inputs over all steps of a chunk, the last column always one; and what they emit."""

    seen: Float[Tensor, "2 M T seen"]
    recurrent: Float[Tensor, "2 M T recurrent"]
    decoder: Float[Tensor, "2 M T state"]
    patch: Float[Tensor, "M T units"]
    action: Float[Tensor, "M T units"]
    actions: Float[Tensor, "M T 6"]
    patches: Float[Tensor, "M T D"]


class _Unroll(torch.autograd.Function):
    """The recurrence of the module's docstring and its gradient, chunk after chunk."""

    @staticmethod
    def forward(ctx: Any, recurrence: Recurrence, *inputs: Tensor) -> tuple[Tensor, ...]:
        chunks = [(None if recurrence.recompute else made, tape) for made, tape in _chunks(recurrence, inputs)]
        # Chunks are neither inputs nor outputs: nobody can change them, they hold no cycle; plain attributes will do.
        ctx.recurrence, ctx.chunks = recurrence, chunks
        ctx.save_for_backward(*inputs)
        return _outputs([tape for _, tape in chunks])

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        recurrence, inputs = ctx.recurrence, ctx.saved_tensors
        wanted = ctx.needs_input_grad
        sums = (
            no_gradient(*inputs[1:3]) if any(wanted[2:4]) else None,
            no_gradient(*inputs[4:]) if any(wanted[5:]) else None,
        )
        state, policy = [], []
        errors = zip(*(output.split(recurrence.chunk) for output in grad_outputs), strict=True)
        with own_precision(inputs[0]):
            for heads, (made, tape), chunk_errors in zip(_heads(recurrence, inputs), ctx.chunks, errors, strict=True):
                made = generate(heads, recurrence.shapes) if made is None else made
                found = run_backward(made, tape, chunk_errors, recurrence)
                for features, gradient in zip((state, policy), add_gradients(found, heads, sums), strict=True):
                    features.append(gradient)
        weights = [(None, None) if total is None else (total.weight, total.bias) for total in sums]
        return (None, torch.cat(state), *weights[0], torch.cat(policy), *weights[1])


def _heads(recurrence: Recurrence, inputs: Any) -> list[tuple[Head, Head]]:
    """Return each chunk's heads: features chunk by chunk, weights and biases as they are."""
    state, state_weight, state_bias, policy, policy_weight, policy_bias = inputs
    return [
        (Head(one, state_weight, state_bias), Head(other, policy_weight, policy_bias))
        for one, other in zip(state.split(recurrence.chunk), policy.split(recurrence.chunk), strict=True)
    ]


def _chunks(recurrence: Recurrence, inputs: Any) -> Any:
    """Generate and run chunk after chunk."""
    for heads in _heads(recurrence, inputs):
        made = generate(heads, recurrence.shapes)
        yield made, run_forward(made, recurrence)


def _outputs(tapes: list[Tape]) -> tuple[Tensor, Tensor, Tensor]:
    return (
        torch.cat([tape.decoder[0, ..., :-1] for tape in tapes]),
        torch.cat([tape.actions for tape in tapes]),
        torch.cat([tape.patches for tape in tapes]),
    )


def run_forward(made: Generated, recurrence: Recurrence) -> Tape:
    """Run a chunk of programs for all their steps."""
    hidden, size = made.encoder.shape[-1], made.recurrent.shape[-1]
    steps, num_programs = recurrence.num_steps, made.encoder.shape[1]

    def inputs(*shape: int) -> Tensor:
        return made.encoder.new_ones(shape)

    tape = Tape(
        seen=inputs(2, num_programs, steps, made.encoder.shape[-2]),
        recurrent=inputs(2, num_programs, steps, hidden + size + 1),
        decoder=inputs(2, num_programs, steps, size + 1),
        patch=inputs(num_programs, steps, hidden + 1),
        action=inputs(num_programs, steps, hidden + 1),
        actions=inputs(num_programs, steps, made.action.shape[-1]),
        patches=inputs(num_programs, steps, made.patch.shape[-1]),
    )
    activation = STATE_ACTIVATIONS[recurrence.activation]
    estimate, states, action = made.initial_z, made.initial_state, made.initial_action
    for t in range(steps):
        tape.seen[:, :, t, :size] = estimate
        tape.seen[:, :, t, size:-1] = squash(action, recurrence.gain)
        tape.recurrent[:, :, t, :hidden] = _elu(_rows_times(tape.seen[:, :, t], made.encoder))
        tape.recurrent[:, :, t, hidden:-1] = states
        z, policy = _rows_times(tape.recurrent[:, :, t], made.recurrent)
        tape.decoder[0, :, t, :-1] = activation(z)
        tape.decoder[1, :, t, :-1] = _elu(policy)
        states = tape.decoder[:, :, t, :-1]
        estimate = states[0]
        tape.action[:, t, :-1] = _elu(_rows_times(tape.decoder[1, :, t], made.decoder[1]))
        action = tape.actions[:, t] = _rows_times(tape.action[:, t], made.action)
    # The state network's decoder has no part in the recurrence: all steps at once.
    tape.patch[..., :-1] = _elu(torch.bmm(tape.decoder[0], made.decoder[0]))
    torch.bmm(tape.patch, made.patch, out=tape.patches)
    return tape


def run_backward(
    made: Generated, tape: Tape, errors: tuple[Tensor, Tensor, Tensor], recurrence: Recurrence
) -> Generated:
    """Form the gradients of a chunk's generated layers; longer than it should be: its lines share all variables."""
    z_error, action_error, patch_error = errors
    hidden, size = made.encoder.shape[-1], made.recurrent.shape[-1]
    encoder_slope = _elu_slope(tape.recurrent[..., :hidden])
    state_slope = _SLOPES[recurrence.activation](tape.decoder[0, ..., :-1])
    policy_slope = _elu_slope(tape.decoder[1, ..., :-1])
    action_slope = _elu_slope(tape.action[..., :-1])
    seen_slope = squash_slope(tape.seen[0, ..., size:-1], recurrence.gain)

    encoder = torch.empty_like(tape.recurrent[..., :hidden])
    recurrent = torch.empty_like(tape.decoder[..., :-1])
    decoder = torch.empty_like(encoder)
    action = torch.empty_like(tape.actions)
    # The state network's decoder: all steps at once.
    decoder[0] = torch.bmm(patch_error, made.patch[:, :-1].mT) * _elu_slope(tape.patch[..., :-1])
    z_error = z_error + torch.bmm(decoder[0], made.decoder[0, :, :-1].mT)
    estimate, squashed, states = torch.zeros_like(made.initial_z), torch.zeros_like(made.initial_action), None
    for t in reversed(range(recurrence.num_steps)):
        action[:, t] = action_error[:, t] + squashed
        decoder[1, :, t] = _rows_times_transposed(action[:, t], made.action) * action_slope[:, t]
        z = z_error[:, t] + estimate
        policy = _rows_times_transposed(decoder[1, :, t], made.decoder[1])
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
    found = blank(made.encoder.shape[1], recurrence.shapes, made.encoder)
    for layer, layer_inputs, layer_errors in (
        (found.encoder, tape.seen, encoder),
        (found.recurrent, tape.recurrent, recurrent),
        (found.decoder, tape.decoder, decoder),
        (found.patch, tape.patch, patch_error),
        (found.action, tape.action, action),
    ):
        _sum_of_products(layer_inputs, layer_errors, out=layer)
    assert states is not None
    found.initial_state.copy_(states)
    found.initial_z.copy_(estimate)
    found.initial_action.copy_(squashed)
    return found


def _rows_times(rows: Tensor, matrices: Tensor) -> Tensor:
    """``x W`` for one row a program: ``[*nets M in] [*nets M in out]``."""
    *batch, size = rows.shape
    return torch.bmm(rows.reshape(-1, 1, size), matrices.flatten(0, -3)).view(*batch, matrices.shape[-1])


def _rows_times_transposed(errors: Tensor, matrices: Tensor) -> Tensor:
    """``e W^T`` without its last column, the bias's."""
    *batch, size = errors.shape
    transposed = matrices.flatten(0, -3)[:, :-1].mT
    return torch.bmm(errors.reshape(-1, 1, size), transposed).view(*batch, transposed.shape[-1])


def _sum_of_products(inputs: Tensor, errors: Tensor, out: Tensor) -> None:
    """``sum_t [x_t, 1]^T e_t`` for each program, ``[*nets M T in] [*nets M T out]``."""
    torch.bmm(inputs.flatten(0, -3).mT, errors.flatten(0, -3), out=out.flatten(0, -3))


def _elu(preactivation: Tensor) -> Tensor:
    """``elu``; exp(u) - 1 is as good as expm1 next to the other terms of a layer, and several times as fast."""
    return torch.maximum(preactivation, preactivation.clamp(max=0).exp_().sub_(1))


def _elu_slope(output: Tensor) -> Tensor:
    return output.clamp(max=0).add_(1)


_SLOPES = {"identity": torch.ones_like, "elu": _elu_slope, "tanh": lambda output: 1 - output * output}
