"""Products with generated weights whose gradients are formed once, after all steps.

A program multiplies with its weights W in each of its steps, y_t = x_t W. Autograd would form a matrix x_t' g_t of the
size of W for every step and add them up: most of the memory traffic of a walk. Here a step's backward pass only notes
its rows x_t and their gradients g_t, and

    dW = sum_t x_t' g_t = [x_1 ... x_T]' [g_1 ... g_T]

is one product at the end. Autograd calls a node only when all that depends on it is done, which says when the end is:
every product depends on one number, the token, whose own node forms the gradient.

Notes belong to one backward pass. A pass that never reaches the weights leaves nothing to the next.
Where the gradient itself is to be differentiated (``create_graph``), each product forms its own, as autograd does.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any, Generic, TypeVar

import torch
from torch.autograd import Variable

from rnp_pyro.shapes import Float, Tensor

Rows = TypeVar("Rows")
Errors = TypeVar("Errors")


@dataclass(frozen=True, eq=False)
class Notes(Generic[Rows, Errors]):
    """What backward passes leave: rows, and gradients of what came of them, by the number of the pass."""

    by_pass: dict[int, list[tuple[Rows, Errors]]] = field(default_factory=dict)

    def add(self, rows: Rows, errors: Errors) -> None:
        """Note what the backward pass that is going on came by; with its end the notes go."""
        number = torch._C._current_graph_task_id()
        if number not in self.by_pass:
            self.by_pass[number] = []
            Variable._execution_engine.queue_callback(partial(self._drop, number))
        self.by_pass[number].append((rows, errors))

    def _drop(self, number: int) -> None:
        self.by_pass.pop(number, None)

    def take(self) -> list[tuple[Rows, Errors]]:
        """Take what this backward pass has noted."""
        return self.by_pass.pop(torch._C._current_graph_task_id(), [])


@dataclass(frozen=True, eq=False)
class Deferred:
    """Weights of many programs, to be multiplied with in many steps.

    Args:
        weight: As it was generated.
        token: The number on which all products depend.
        notes: Filled by the backward pass.
    """

    weight: Float[Tensor, "*batch in out"]
    token: Float[Tensor, ""]
    notes: Notes[Tensor, Tensor]

    def multiply(self, rows: Float[Tensor, "*batch T in"]) -> Float[Tensor, "*batch T out"]:
        """Multiply each program's rows with its matrix."""
        return _Multiply.apply(rows, self.weight, self.token, self.notes)  # type: ignore[no-any-return]


def defer(weight: Float[Tensor, "*batch in out"]) -> Deferred:
    """Defer the gradient of weights: it is formed once."""
    notes = Notes[Tensor, Tensor]()
    return Deferred(weight, _Gather.apply(weight, notes), notes)  # type: ignore[arg-type]


class _Gather(torch.autograd.Function):
    """From weights to the number on which their products depend."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, notes: Notes[Tensor, Tensor]) -> Tensor:
        ctx.notes, ctx.shape = notes, weight.shape
        return weight.new_zeros(())

    @staticmethod
    def backward(ctx: Any, error: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        noted = ctx.notes.take()
        if not noted:
            return error.new_zeros(()).expand(ctx.shape), None
        rows, errors = (torch.cat(tensors, -2) for tensors in zip(*noted, strict=True))
        return rows.mT @ errors, None


class _Multiply(torch.autograd.Function):
    """y = x W, for each program."""

    @staticmethod
    def forward(ctx: Any, rows: Tensor, weight: Tensor, token: Tensor, notes: Notes[Tensor, Tensor]) -> Tensor:
        ctx.save_for_backward(rows, weight)
        ctx.notes = notes
        return rows @ weight

    @staticmethod
    def backward(ctx: Any, error: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        rows, weight = ctx.saved_tensors
        below = error @ weight.mT if ctx.needs_input_grad[0] else None
        if not ctx.needs_input_grad[1]:
            return below, None, None, None
        if torch.is_grad_enabled():  # create_graph: autograd has to see how each weight's gradient comes about
            return below, rows.mT @ error, None, None
        ctx.notes.add(rows, error)
        return below, None, error.new_zeros(()), None
