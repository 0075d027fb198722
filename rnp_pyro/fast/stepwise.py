"""Programs that stop after each step, because something is drawn or fed back there: the fast path for a walk.

A step is one autograd function, which both networks share (``rnp_pyro/fast/recurrence.py``). Its backward pass only
notes its layers' inputs and errors. Once all steps are done, the generated layers' gradients are formed over all of
them, and go through the hypernetworks' heads at once, as in ``rnp_pyro/fast/unroll.py``. Autograd itself sees to the
order: what generated the layers is an input of every step.

Where the gradient itself is to be differentiated (``create_graph``), steps hand on their layers' gradients by
operations whose derivatives autograd knows.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import torch

from rnp_pyro.fast.deferred import Notes, defer
from rnp_pyro.fast.generated import (
    Generated,
    HeadInput,
    Layers,
    add_gradients,
    blank,
    generate,
    generate_plainly,
    no_gradient,
)
from rnp_pyro.fast.gradients import differentiated
from rnp_pyro.fast.recurrence import (
    Recurrence,
    Step,
    StepErrors,
    fill_gradients,
    first_state,
    step_backward,
    step_forward,
)
from rnp_pyro.heads import NetworkShapes, as_generated
from rnp_pyro.hypernet import Hypernet
from rnp_pyro.precision import own_precision
from rnp_pyro.program import ProgramState, Proposal
from rnp_pyro.shapes import Latent, Tensor, flatten_batch

StepNotes = Notes[Step, StepErrors]
Heads = tuple[HeadInput, HeadInput]
Shapes = tuple[NetworkShapes, NetworkShapes]

NUM_LAYERS = 4
"""Layers that a step goes through; they come first among all that is generated."""

FIRST_PATCH = 7
"""Where the patch decoder's tensors begin there."""


@dataclass(frozen=True, eq=False)
class SteppedPrograms:
    """Programs of a batch, to be run step by step: :class:`~rnp_pyro.program.Programs`.

    Args:
        made: What was generated for them, flat.
        batch: The batch's shape.
        settings: What is fixed.
        notes: Filled by the backward pass.
        decoder: The patch decoder's tensors, whose gradients are formed once for all steps as well.
    """

    made: Generated
    batch: torch.Size
    settings: Recurrence
    notes: StepNotes
    decoder: tuple[Any, ...]

    @property
    def first(self) -> ProgramState:
        """Their state before the first step."""
        state = first_state(self.made)
        return ProgramState(*(self._batched(one) for one in (state.z, state.estimate, state.policy, state.action)))

    def propose(self, state: ProgramState) -> Proposal:
        """Take a step."""
        layers = self.made.layers
        flat = (flatten_batch(one, 1) for one in (state.z, state.estimate, state.policy, state.action))
        weights = (layers.encoder, layers.recurrent, layers.action_hidden, layers.action)
        outputs: Any = _Step.apply(self.notes, self.settings, *flat, *weights)
        return Proposal(*map(self._batched, outputs))

    def _batched(self, flat: Tensor) -> Tensor:
        return flat.unflatten(0, self.batch)


def generate_stepped(
    state_hypernet: Hypernet, policy_hypernet: Hypernet, z: Latent, settings: Recurrence
) -> SteppedPrograms:
    """Generate every program of a batch, to be run step by step.

    Args:
        state_hypernet: ``H_state``.
        policy_hypernet: ``H_policy``.
        z: The programs' latents, embedded where hypernetworks are to know the level.
        settings: What is fixed.
    """
    flat = flatten_batch(z, 1)
    settings = replace(settings, kept_rows=(state_hypernet.kept_rows, policy_hypernet.kept_rows))
    inputs: list[Tensor] = []
    for hypernet in (state_hypernet, policy_hypernet):
        inputs += [hypernet.features(flat), hypernet.heads.weight, hypernet.heads.bias]
    notes = StepNotes()
    with own_precision(flat):
        tensors: Any = _Generate.apply(notes, settings, *inputs)
    made, batch = _from_tensors(tensors), z.shape[:-1]
    shapes = [shape for head in settings.shapes[0].decoder for shape in head.shapes]
    decoder = [
        as_generated(one.unflatten(0, batch), shape, defer) for one, shape in zip(made.patch, shapes, strict=True)
    ]
    return SteppedPrograms(made, batch, settings, notes, tuple(decoder))


class _Generate(torch.autograd.Function):
    """From what the heads are given to all that they generate."""

    @staticmethod
    def forward(ctx: Any, notes: StepNotes, settings: Recurrence, *inputs: Tensor) -> tuple[Tensor, ...]:
        ctx.notes, ctx.settings = notes, settings
        ctx.save_for_backward(*inputs)
        ctx.set_materialize_grads(False)
        return _to_tensors(generate(_heads(inputs), settings.shapes))

    @staticmethod
    def backward(ctx: Any, *errors: Tensor | None) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        inputs, wanted, shapes = ctx.saved_tensors, ctx.needs_input_grad[2:], ctx.settings.shapes
        with own_precision(inputs[0]):
            if torch.is_grad_enabled():  # create_graph
                return (None, None, *differentiated(partial(_generated_plainly, shapes), inputs, errors))
            heads = _heads(inputs)
            sums = (
                no_gradient(inputs[1], inputs[2], ctx.settings.kept_rows[0]) if any(wanted[1:3]) else None,
                no_gradient(inputs[4], inputs[5], ctx.settings.kept_rows[1]) if any(wanted[4:]) else None,
            )
            found = _all_gradients(ctx.notes, heads, shapes, errors)
            state, policy = add_gradients(found, heads, sums, (wanted[0], wanted[3]))
        weights = [(None, None) if total is None else (total.weight, total.bias) for total in sums]
        return (None, None, state, *weights[0], policy, *weights[1])


class _Step(torch.autograd.Function):
    """From a state to what is proposed next."""

    @staticmethod
    def forward(ctx: Any, notes: StepNotes, settings: Recurrence, *inputs: Tensor) -> tuple[Tensor, ...]:
        state, layers = _split(inputs)
        with own_precision(state.z):
            step, proposal = step_forward(layers, state, settings)
        ctx.notes, ctx.settings, ctx.step = notes, settings, step
        outputs = _in_order(proposal)
        ctx.save_for_backward(*inputs, *outputs)
        return outputs

    @staticmethod
    def backward(ctx: Any, *errors: Tensor) -> tuple[Tensor | None, ...]:  # pyright: ignore[reportIncompatibleMethodOverride]
        inputs, outputs = ctx.saved_tensors[:-3], ctx.saved_tensors[-3:]
        state, layers = _split(inputs)
        with own_precision(state.z):
            if torch.is_grad_enabled():  # create_graph
                return (None, None, *differentiated(partial(_outputs, ctx.settings), inputs, errors))
            found, before = step_backward(layers, ctx.step, Proposal(*outputs), Proposal(*errors), ctx.settings)
        if any(ctx.needs_input_grad[-NUM_LAYERS:]):
            ctx.notes.add(ctx.step, found)
        return (None, None, before.z, before.estimate, before.policy, before.action, *[None] * NUM_LAYERS)


def _all_gradients(notes: StepNotes, heads: Heads, shapes: Shapes, errors: tuple[Tensor | None, ...]) -> Generated:
    """Form the gradient of all that was generated: of layers from the steps' notes, all else is autograd's."""
    like, num_programs = heads[0].weight, len(heads[0].features)
    tensors = [shape for head in shapes[0].decoder for shape in head.shapes]
    patch = tuple(
        like.new_zeros(num_programs, *shape) if error is None else error
        for shape, error in zip(tensors, errors[FIRST_PATCH:], strict=True)
    )
    found, noted = blank(num_programs, shapes, like, patch), notes.take()
    if noted:
        fill_gradients(found.layers, *zip(*noted, strict=True))
    for number, (room, error) in enumerate(zip(_to_tensors(found)[:FIRST_PATCH], errors, strict=False)):
        if not noted or number >= NUM_LAYERS:
            room.zero_()
        if error is not None:  # of a layer: from gradients that were differentiated
            room.add_(error)
    return found


def _generated_plainly(shapes: Shapes, *inputs: Tensor) -> tuple[Tensor, ...]:
    return _to_tensors(generate_plainly(_heads(inputs), shapes))


def _outputs(settings: Recurrence, *inputs: Tensor) -> tuple[Tensor, ...]:
    state, layers = _split(inputs)
    _, proposal = step_forward(layers, state, settings)
    return _in_order(proposal)


def _in_order(proposal: Proposal) -> tuple[Tensor, Tensor, Tensor]:
    return proposal.z_loc, proposal.action_loc, proposal.policy


def _heads(inputs: tuple[Tensor, ...]) -> Heads:
    return HeadInput(*inputs[:3]), HeadInput(*inputs[3:])


def _split(inputs: tuple[Tensor, ...]) -> tuple[ProgramState, Layers]:
    return ProgramState(*inputs[:-NUM_LAYERS]), Layers(*inputs[-NUM_LAYERS:])


def _to_tensors(made: Generated) -> tuple[Tensor, ...]:
    layers = made.layers
    weights = (layers.encoder, layers.recurrent, layers.action_hidden, layers.action)
    return (*weights, made.initial_state, made.initial_z, made.initial_action, *made.patch)


def _from_tensors(tensors: tuple[Tensor, ...]) -> Generated:
    return Generated(Layers(*tensors[:NUM_LAYERS]), *tensors[NUM_LAYERS:FIRST_PATCH], patch=tensors[FIRST_PATCH:])
