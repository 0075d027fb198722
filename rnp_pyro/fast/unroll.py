"""The fast path: generate and run many programs in one autograd function, with its backward pass written out.

It computes what :func:`rnp_pyro.program.run` and a patch decoder compute; tests hold the two equal. A program's
generated weights are read a few times and are the largest thing in sight (80 kB per program), so what counts is where
they are. What the fast path saves:

- Programs are generated and run in chunks, which bounds what their weights' gradients take. With ``recompute`` the
  backward pass generates the weights again, and a step's memory no longer grows with them.
- Autograd would add up every generated weight's gradient in every step. Here the steps' inputs and errors are kept, and
  each weight's gradient is formed once, over all steps, by one batched product, and goes through the head at once.
- State and policy networks have layers of one shape (``rnp_pyro/fast/generated.py``): one batched product serves both.

What it gains: 828 images/s of training where the plain loop with deferred gradients has 633, 1.31 times; decoding 1.45
times (two AMD EPYC cores, seed 0, 128 images: ``python -m examples.benchmark --growth false --rounds 6``).

The recurrence and its backward pass are in ``rnp_pyro/fast/recurrence.py``. The patch decoder runs after it, for all
steps of a chunk at once, with autograd's own gradient. Where the gradient itself is to be differentiated
(``create_graph``), so does everything.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from rnp_pyro.fast.generated import Generated, HeadInput, add_gradients, generate, generate_plainly, no_gradient
from rnp_pyro.fast.gradients import differentiated
from rnp_pyro.fast.recurrence import Recurrence, Step, run_backward, run_forward
from rnp_pyro.heads import NetworkShapes, as_generated
from rnp_pyro.hypernet import Hypernet
from rnp_pyro.precision import own_precision
from rnp_pyro.program import Proposal
from rnp_pyro.shapes import Float, Latent, Tensor, flatten_batch

CACHE = 20 * 2**20
"""Bytes of generated weights to work on at a time on a CPU: near its last cache; their gradient takes as much again."""


@dataclass(frozen=True)
class Execution:
    """How a tree computes; numbers depend on it by rounding only.

    Args:
        chunk: Programs that are generated and run side by side, at least 1; None: 20 MB of weights on a CPU, all
            on an accelerator.
        recompute: Generate programs again in the backward pass instead of keeping them: less memory, one product of the
            heads more.
        fused: Take this path where it can serve; else the plain loop always, as the benchmark does to compare them.
    """

    chunk: int | None = None
    recompute: bool = False
    fused: bool = True


FASTEST = Execution()
"""What the device at hand does best."""


Outputs = tuple[Tensor, Tensor, Tensor]
"""The children's latents ``[*batch T Z]``, actions ``[*batch T 6]`` and patches ``[*batch T C rows columns]``."""


def unroll(
    state_hypernet: Hypernet, policy_hypernet: Hypernet, z: Latent, num_steps: int, recurrence: Recurrence
) -> Outputs:
    """Generate every program of a batch and run it for all its steps.

    Args:
        state_hypernet: ``H_state``.
        policy_hypernet: ``H_policy``.
        z: The programs' latents.
        num_steps: T.
        recurrence: What is fixed for all of them.
    """
    flat = flatten_batch(z, 1)
    recurrence = replace(recurrence, kept_rows=(state_hypernet.kept_rows, policy_hypernet.kept_rows))
    inputs: list[Tensor] = []
    for hypernet in (state_hypernet, policy_hypernet):
        inputs += [hypernet.features(flat), hypernet.heads.weight, hypernet.heads.bias]
    # The recurrence is never narrower than the weights, and the heads choose for themselves.
    with own_precision(flat):
        if torch.is_grad_enabled():
            outputs: tuple[Tensor, ...] = _Unroll.apply(recurrence, num_steps, *inputs)  # type: ignore[assignment]
        else:
            outputs = _join(_without_gradient(recurrence, num_steps, inputs))
    children, actions, patches = (output.reshape(*z.shape[:-1], *output.shape[1:]) for output in outputs)
    return children, actions, patches


def default_chunk(z: Latent, shapes: tuple[NetworkShapes, NetworkShapes]) -> int:
    """Choose how many programs to run side by side: ``CACHE`` bytes on a CPU, on accelerators all at once."""
    if not z.is_cpu:
        return max(1, z.shape[:-1].numel())
    return max(1, CACHE // (z.element_size() * sum(shape.num_parameters for shape in shapes)))


@dataclass(frozen=True)
class Decoded:
    """A chunk's patches, with autograd's small graph behind them.

    Args:
        inputs: The children's latents, and the tensors that were generated for the decoder.
        patches: What they became.
    """

    inputs: tuple[Tensor, ...]
    patches: Float[Tensor, "M T C rows columns"]


@dataclass(frozen=True)
class Chunk:
    """Programs that ran side by side.

    Args:
        steps: What the recurrence left.
        made: The generated layers; None where the backward pass generates them again.
        decoded: The patches with what is behind them; None where the backward pass decodes again.
    """

    steps: list[tuple[Step, Proposal]]
    made: Generated | None
    decoded: Decoded | None


class _Unroll(torch.autograd.Function):
    """All programs' runs and their gradient, chunk after chunk."""

    @staticmethod
    def forward(ctx: Any, recurrence: Recurrence, num_steps: int, *inputs: Tensor) -> tuple[Tensor, ...]:
        chunks, outputs = [], []
        for heads in _heads(recurrence, inputs):
            made = generate(heads, recurrence.shapes)
            steps = run_forward(made, recurrence, num_steps)
            latents, actions = joined(steps)
            decoded = decode_patches(made, latents, recurrence, differentiable=not recurrence.recompute)
            outputs.append((latents, actions, decoded.patches))
            chunks.append(Chunk(steps, None, None) if recurrence.recompute else Chunk(steps, made, decoded))
        # Chunks are neither inputs nor outputs: they do not change and hold no cycle. Plain attributes will do.
        ctx.recurrence, ctx.num_steps, ctx.chunks = recurrence, num_steps, chunks
        ctx.save_for_backward(*inputs)
        return _join(outputs)

    @staticmethod
    def backward(ctx: Any, *errors: Any) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        recurrence, inputs, wanted = ctx.recurrence, ctx.saved_tensors, ctx.needs_input_grad[2:]
        with own_precision(inputs[0]):
            if torch.is_grad_enabled():  # create_graph
                return (None, None, *differentiated(partial(_plainly, recurrence, ctx.num_steps), inputs, errors))
            sums = (
                no_gradient(inputs[1], inputs[2], recurrence.kept_rows[0]) if any(wanted[1:3]) else None,
                no_gradient(inputs[4], inputs[5], recurrence.kept_rows[1]) if any(wanted[4:]) else None,
            )
            state, policy = [], []
            by_chunk = zip(*(error.split(recurrence.chunk) for error in errors), strict=True)
            for heads, chunk, chunk_errors in zip(_heads(recurrence, inputs), ctx.chunks, by_chunk, strict=True):
                found = chunk_gradients(heads, chunk, chunk_errors, recurrence)
                for features, gradient in zip(
                    (state, policy), add_gradients(found, heads, sums, (wanted[0], wanted[3])), strict=True
                ):
                    features.append(gradient)
        weights = [(None, None) if total is None else (total.weight, total.bias) for total in sums]
        return (None, None, torch.cat(state), *weights[0], torch.cat(policy), *weights[1])


def _heads(recurrence: Recurrence, inputs: Any) -> list[tuple[HeadInput, HeadInput]]:
    """Return each chunk's heads: features chunk by chunk, weights and biases as they are."""
    state, state_weight, state_bias, policy, policy_weight, policy_bias = inputs
    return [
        (HeadInput(one, state_weight, state_bias), HeadInput(other, policy_weight, policy_bias))
        for one, other in zip(state.split(recurrence.chunk), policy.split(recurrence.chunk), strict=True)
    ]


def _without_gradient(recurrence: Recurrence, num_steps: int, inputs: Any) -> Iterator[Outputs]:
    """Generate, run and decode chunk after chunk, and keep nothing else."""
    for heads in _heads(recurrence, inputs):
        made = generate(heads, recurrence.shapes)
        latents, actions = joined(run_forward(made, recurrence, num_steps))
        yield latents, actions, decode_patches(made, latents, recurrence, differentiable=False).patches


def _join(outputs: Iterable[Outputs]) -> Outputs:
    """Join the outputs of all chunks."""
    latents, actions, patches = zip(*outputs, strict=True)
    return torch.cat(latents), torch.cat(actions), torch.cat(patches)


def _plainly(recurrence: Recurrence, num_steps: int, *inputs: Tensor) -> Outputs:
    """Compute all programs at once, by operations whose derivatives autograd knows."""
    made = generate_plainly((HeadInput(*inputs[:3]), HeadInput(*inputs[3:])), recurrence.shapes)
    latents, actions = joined(run_forward(made, recurrence, num_steps))
    return latents, actions, recurrence.patch_decoder(_as_generated(recurrence, made.patch), latents)


def chunk_gradients(
    heads: tuple[HeadInput, HeadInput], chunk: Chunk, errors: Outputs, recurrence: Recurrence
) -> Generated:
    """Form the gradients of a chunk's generated layers from those of its outputs."""
    z_error, action_error, patch_error = errors
    made = generate(heads, recurrence.shapes) if chunk.made is None else chunk.made
    decoded = chunk.decoded or decode_patches(made, joined(chunk.steps)[0], recurrence, differentiable=True)
    latents, *patch = torch.autograd.grad(
        decoded.patches, decoded.inputs, patch_error, retain_graph=True, materialize_grads=True
    )
    return run_backward(made, chunk.steps, (z_error + latents, action_error), tuple(patch), recurrence)


def joined(steps: Sequence[tuple[Step, Proposal]]) -> tuple[Float[Tensor, "M T Z"], Float[Tensor, "M T 6"]]:
    """Join the latents and the actions of all steps."""
    latents, actions = zip(*((proposal.z_loc, proposal.action_loc) for _, proposal in steps), strict=True)
    return torch.stack(latents, -2), torch.stack(actions, -2)


def decode_patches(
    made: Generated, latents: Float[Tensor, "M T Z"], recurrence: Recurrence, differentiable: bool
) -> Decoded:
    """Decode the patches of a chunk, for all steps at once.

    Args:
        made: The chunk's generated layers.
        latents: The children's.
        recurrence: What is fixed.
        differentiable: Keep autograd's graph of the decoder, and of it alone.
    """
    with torch.set_grad_enabled(differentiable):
        inputs = tuple(tensor.detach().requires_grad_(differentiable) for tensor in (latents, *made.patch))
        return Decoded(inputs, recurrence.patch_decoder(_as_generated(recurrence, inputs[1:]), inputs[0]))


def _as_generated(recurrence: Recurrence, tensors: tuple[Tensor, ...]) -> tuple[Any, ...]:
    """Return the patch decoder's tensors as it uses them."""
    shapes = [shape for head in recurrence.shapes[0].decoder for shape in head.shapes]
    return tuple(as_generated(tensor, shape) for tensor, shape in zip(tensors, shapes, strict=True))
