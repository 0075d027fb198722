"""The fast path: all steps of many programs in one autograd function, with its backward pass written out.

It computes what :func:`rnp_pyro.program.propose` and :func:`rnp_pyro.program.decode` compute when nothing is drawn and
nothing is fed back; tests hold the two equal. What it saves: autograd would add up every generated weight's gradient
once a step, each time over as many numbers as were generated. Here the steps' inputs and errors are kept, and each
weight's gradient is formed once, over all steps, by one batched product.

A layer ``y = [x, 1] W`` has its bias as the last row of W; the hypernetworks' output holds W so, row after row.
For every layer, with the error ``e = dL/dy``: ``dL/dx = e W^T`` and, over all steps, ``dL/dW = sum_t [x_t, 1]^T e_t``.

    seen_t   = [z_{t-1}, squash(a_{t-1})]
    e_t      = elu([seen_t, 1] E)                       E, R, D, O: the state network's encoder, recurrent layer, and
    z_t      = f([e_t, z_{t-1}, 1] R)                   two decoder layers; f: the state activation
    patch_t  = [elu([z_t, 1] D), 1] O
    e'_t     = elu([seen_t, 1] E')                      E', R', D', O': the policy network's
    p_t      = elu([e'_t, p_{t-1}, 1] R')
    a_t      = [elu([p_t, 1] D'), 1] O'

With ``elu(u) = y``, ``elu'(u) = 1 + min(y, 0)``; with ``tanh(u) = y``, ``tanh'(u) = 1 - y^2``.
"""

from dataclasses import dataclass, fields
from math import prod
from typing import Any

import torch
import torch.nn.functional as F
from torch.autograd.function import once_differentiable

from rnp_pyro.affine import squash, squash_slope
from rnp_pyro.hypernet import NetworkShapes
from rnp_pyro.program import STATE_ACTIVATIONS, StateActivation
from rnp_pyro.shapes import Float, Tensor, flatten_batch


def unroll(
    flat_state: Float[Tensor, "*batch P"],
    flat_policy: Float[Tensor, "*batch Q"],
    shapes: tuple[NetworkShapes, NetworkShapes],
    num_steps: int,
    activation: StateActivation,
    gain: float = 1.0,
) -> tuple[Float[Tensor, "*batch T Z"], Float[Tensor, "*batch T 6"], Float[Tensor, "*batch T output"]]:
    """Run every program of a batch for all its steps.

    Args:
        flat_state: What the state hypernetwork generated.
        flat_policy: What the policy hypernetwork generated.
        shapes: Of the two generated networks.
        num_steps: T.
        activation: Of the recurrent state network.
        gain: Of the squashed action that the encoders see.

    Returns:
        The children's latents, actions and decoded patches (before their activation).
    """
    batch = flat_state.shape[:-1]
    flats = flatten_batch(flat_state, 1), flatten_batch(flat_policy, 1)
    outputs: tuple[Tensor, ...] = _Unroll.apply(*flats, shapes, num_steps, activation, gain)  # type: ignore[assignment]
    z, action, patch = (output.reshape(*batch, *output.shape[1:]) for output in outputs)
    return z, action, patch


@dataclass(frozen=True)
class _Layers:
    """One network's generated layers as matrices ``[M, in + 1, out]``, and its two initial values."""

    encoder: Tensor
    recurrent: Tensor
    initial_state: Tensor
    decoder: Tensor
    output: Tensor
    initial_output: Tensor


def _layer_shapes(shapes: NetworkShapes) -> tuple[tuple[int, ...], ...]:
    """Shapes of :class:`_Layers`: the heads' tensors, side by side in memory, joined into one matrix a layer."""
    hidden, state = shapes.hidden_size, shapes.state_size
    return (
        (shapes.input_size + 1, hidden),
        (hidden + state + 1, state),
        (state,),
        (state + 1, hidden),
        (hidden + 1, shapes.output_size),
        (shapes.initial_size,),
    )


def _layers(flat: Tensor, shapes: NetworkShapes) -> _Layers:
    layer_shapes = _layer_shapes(shapes)
    pieces = flat.split([prod(shape) for shape in layer_shapes], dim=-1)
    return _Layers(*(piece.unflatten(-1, shape) for piece, shape in zip(pieces, layer_shapes, strict=True)))


def _apply(x: Tensor, matrix: Tensor) -> Tensor:
    """``x W`` for one row per program, ``[M, in] [M, in, out]``."""
    return torch.bmm(x[:, None], matrix)[:, 0]


def _apply_transposed(error: Tensor, matrix: Tensor) -> Tensor:
    """``e W^T`` without its last column, the bias's. Multiplied out: a batched product reads W against its order."""
    return (matrix[:, :-1] * error[:, None]).sum(-1)


def _elu_slope(output: Tensor) -> Tensor:
    return output.clamp(max=0) + 1


_SLOPES = {"identity": torch.ones_like, "elu": _elu_slope, "tanh": lambda output: 1 - output * output}


@dataclass(frozen=True)
class _Tape:
    """One network's inputs to its layers over all steps, ``[M, T, in + 1]``; the last column is one."""

    recurrent: Tensor
    decoder: Tensor
    output: Tensor


def _blank_tape(like: Tensor, num_steps: int, shapes: NetworkShapes) -> _Tape:
    sizes = (shapes.hidden_size + shapes.state_size, shapes.state_size, shapes.hidden_size)
    return _Tape(*(like.new_ones(like.shape[0], num_steps, size + 1) for size in sizes))


class _Unroll(torch.autograd.Function):
    """The recurrence of the module's docstring and its gradient, for M programs.

    Both are longer than a function should be: each is one recurrence whose lines share all their variables.
    """

    @staticmethod
    def forward(
        ctx: Any,
        flat_state: Tensor,
        flat_policy: Tensor,
        shapes: tuple[NetworkShapes, NetworkShapes],
        num_steps: int,
        activation: StateActivation,
        gain: float,
    ) -> tuple[Tensor, Tensor, Tensor]:
        state, policy = _layers(flat_state, shapes[0]), _layers(flat_policy, shapes[1])
        hidden, latent = shapes[0].hidden_size, shapes[0].state_size
        seen = flat_state.new_ones(flat_state.shape[0], num_steps, shapes[0].input_size + 1)
        state_tape, policy_tape = (_blank_tape(flat_state, num_steps, shape) for shape in shapes)
        actions = []
        estimate, z, p, action = state.initial_output, state.initial_state, policy.initial_state, policy.initial_output
        for t in range(num_steps):
            seen[:, t, :latent] = estimate
            seen[:, t, latent:-1] = squash(action, gain)
            for network, tape, last in ((state, state_tape, z), (policy, policy_tape, p)):
                tape.recurrent[:, t, :hidden] = F.elu(_apply(seen[:, t], network.encoder))
                tape.recurrent[:, t, hidden:-1] = last
            z = STATE_ACTIVATIONS[activation](_apply(state_tape.recurrent[:, t], state.recurrent))
            p = F.elu(_apply(policy_tape.recurrent[:, t], policy.recurrent))
            policy_tape.decoder[:, t, :-1] = p
            policy_tape.output[:, t, :-1] = F.elu(_apply(policy_tape.decoder[:, t], policy.decoder))
            action = _apply(policy_tape.output[:, t], policy.output)
            state_tape.decoder[:, t, :-1] = estimate = z
            actions.append(action)
        state_tape.output[..., :-1] = F.elu(torch.bmm(state_tape.decoder, state.decoder))
        patch = torch.bmm(state_tape.output, state.output)
        ctx.shapes, ctx.activation, ctx.gain = shapes, activation, gain
        tapes = [getattr(tape, field.name) for tape in (state_tape, policy_tape) for field in fields(_Tape)]
        ctx.save_for_backward(flat_state, flat_policy, seen, *tapes)
        return state_tape.decoder[..., :-1].contiguous(), torch.stack(actions, dim=-2), patch

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, *grad_outputs: Any) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        z_error, action_error, patch_error = grad_outputs
        flat_state, flat_policy, seen, *tapes = ctx.saved_tensors
        state, policy = _layers(flat_state, ctx.shapes[0]), _layers(flat_policy, ctx.shapes[1])
        state_tape, policy_tape = _Tape(*tapes[:3]), _Tape(*tapes[3:])
        hidden, latent = ctx.shapes[0].hidden_size, ctx.shapes[0].state_size
        slope = _SLOPES[ctx.activation]

        # The state network's decoder has no part in the recurrence: all steps at once.
        decoder_error = torch.bmm(patch_error, state.output[:, :-1].mT) * _elu_slope(state_tape.output[..., :-1])
        z_error = z_error + torch.bmm(decoder_error, state.decoder[:, :-1].mT)

        reversed_errors: list[tuple[Tensor, ...]] = []
        z_carry = p_carry = estimate_carry = action_carry = torch.zeros((), dtype=seen.dtype, device=seen.device)
        for t in reversed(range(seen.shape[1])):
            action = action_error[:, t] + action_carry
            output = _apply_transposed(action, policy.output) * _elu_slope(policy_tape.output[:, t, :-1])
            p = _apply_transposed(output, policy.decoder) + p_carry
            p = p * _elu_slope(policy_tape.decoder[:, t, :-1])
            z = (z_error[:, t] + z_carry + estimate_carry) * slope(state_tape.decoder[:, t, :-1])
            z_inputs = _apply_transposed(z, state.recurrent)
            p_inputs = _apply_transposed(p, policy.recurrent)
            z_encoder = z_inputs[:, :hidden] * _elu_slope(state_tape.recurrent[:, t, :hidden])
            p_encoder = p_inputs[:, :hidden] * _elu_slope(policy_tape.recurrent[:, t, :hidden])
            seen_error = _apply_transposed(z_encoder, state.encoder) + _apply_transposed(p_encoder, policy.encoder)
            z_carry, p_carry = z_inputs[:, hidden:], p_inputs[:, hidden:]
            estimate_carry = seen_error[:, :latent]
            action_carry = seen_error[:, latent:] * squash_slope(seen[:, t, latent:-1], ctx.gain)
            reversed_errors.append((z_encoder, z, p_encoder, p, output, action))
        z_encoder, z, p_encoder, p, output, action = (
            torch.stack(errors[::-1], dim=1) for errors in zip(*reversed_errors, strict=True)
        )
        state_gradient = _write(
            torch.empty_like(flat_state),
            ctx.shapes[0],
            encoder=(seen, z_encoder),
            recurrent=(state_tape.recurrent, z),
            decoder=(state_tape.decoder, decoder_error),
            output=(state_tape.output, patch_error),
            initial_state=z_carry,
            initial_output=estimate_carry,
        )
        policy_gradient = _write(
            torch.empty_like(flat_policy),
            ctx.shapes[1],
            encoder=(seen, p_encoder),
            recurrent=(policy_tape.recurrent, p),
            decoder=(policy_tape.decoder, output),
            output=(policy_tape.output, action),
            initial_state=p_carry,
            initial_output=action_carry,
        )
        return state_gradient, policy_gradient, None, None, None, None


def _write(flat: Tensor, shapes: NetworkShapes, **gradients: Tensor | tuple[Tensor, Tensor]) -> Tensor:
    """Fill ``flat`` with the gradients: of a layer from its inputs and errors over all steps, of a value as it is."""
    layers = _layers(flat, shapes)
    for name, gradient in gradients.items():
        value = torch.bmm(gradient[0].mT, gradient[1]) if isinstance(gradient, tuple) else gradient
        getattr(layers, name).copy_(value)
    return flat
