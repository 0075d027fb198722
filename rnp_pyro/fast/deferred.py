"""Products with generated weights whose gradients are formed once, after all steps.

A program multiplies with its weights W in each of its steps, y_t = x_t W. Autograd would form a matrix x_t' g_t of the
size of W for every step and add them up: most of the memory traffic of a walk. Here a step's backward pass only notes
its row x_t and its gradient g_t, and

    dW = sum_t x_t' g_t = [x_1 ... x_T]' [g_1 ... g_T]

is one product at the end. Autograd calls a node only when all that depends on it is done, which says when the end is:
every product depends on one number, whose own node forms the gradient.
"""

from dataclasses import dataclass, field
from typing import Any

import torch
from torch.autograd.function import once_differentiable

from rnp_pyro.shapes import Float, Tensor


@dataclass(frozen=True, eq=False)
class Notes:
    """How many products there were, and what their backward passes left: rows, and gradients of the products."""

    products: list[None] = field(default_factory=list)
    rows: list[Tensor] = field(default_factory=list)
    errors: list[Tensor] = field(default_factory=list)


@dataclass(frozen=True, eq=False)
class Deferred:
    """Weights of many programs, to be multiplied with in many steps.

    Args:
        weight: Outside of autograd's sight.
        token: The number on which all products depend.
        notes: Filled by the backward pass.
    """

    weight: Float[Tensor, "*batch in out"]
    token: Float[Tensor, ""]
    notes: Notes

    def multiply(self, x: Float[Tensor, "*batch in"]) -> Float[Tensor, "*batch out"]:
        """Multiply each program's row with its matrix."""
        return _Multiply.apply(x, self.weight, self.token, self.notes)  # type: ignore[no-any-return]


def defer(weight: Float[Tensor, "*batch in out"]) -> Deferred:
    """Defer the gradient of weights: it is formed once."""
    notes = Notes()
    return Deferred(weight.detach(), _Gather.apply(weight, notes), notes)  # type: ignore[arg-type]


class _Gather(torch.autograd.Function):
    """From weights to the number on which their products depend."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, notes: Notes) -> Tensor:
        ctx.notes, ctx.like = notes, weight.detach()
        return weight.new_zeros(())

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, _: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        notes: Notes = ctx.notes
        if not notes.rows:
            return torch.zeros_like(ctx.like), None
        if len(notes.rows) > len(notes.products):
            raise RuntimeError(
                "expected every backward pass through a walk to reach its weights, got one before that did not: "
                "walk the tree again"
            )
        gradient = torch.stack(notes.rows, -2).mT @ torch.stack(notes.errors, -2)
        notes.rows.clear()
        notes.errors.clear()
        return gradient, None


class _Multiply(torch.autograd.Function):
    """y = x W, for each program."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, token: Tensor, notes: Notes) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.notes = notes
        notes.products.append(None)
        return (x[..., None, :] @ weight).squeeze(-2)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, error: Tensor) -> tuple[Tensor | None, ...]:  # type: ignore[override]
        x, weight = ctx.saved_tensors
        if ctx.needs_input_grad[2]:
            ctx.notes.rows.append(x)
            ctx.notes.errors.append(error)
        below = (error[..., None, :] @ weight.mT).squeeze(-2) if ctx.needs_input_grad[0] else None
        return below, None, error.new_zeros(()) if ctx.needs_input_grad[2] else None, None
