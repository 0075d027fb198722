"""Gradients that can be differentiated again, for backward passes that are written out otherwise."""

from collections.abc import Callable, Sequence

import torch

from rnp_pyro.shapes import Tensor


def differentiated(
    function: Callable[..., tuple[Tensor, ...]], inputs: Sequence[Tensor], errors: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """Carry errors back through a function by operations whose derivatives autograd knows.

    Args:
        function: Of the inputs; computes again what the forward pass computed.
        inputs: The very inputs of the forward pass.
        errors: Gradients of the function's outputs; None where there are none.

    Returns:
        A gradient for each input that wants one, which can be differentiated again; else None.
    """
    # One input may have been computed from another; a view of each keeps such paths out of the gradient.
    views = [one.view_as(one) for one in inputs]
    outputs = function(*views)
    used = [(output, error) for output, error in zip(outputs, errors, strict=True) if error is not None]
    asked = [view for view in views if view.requires_grad]
    gradients = torch.autograd.grad(
        [output for output, _ in used], asked, [error for _, error in used], create_graph=True, materialize_grads=True
    )
    found = iter(gradients)
    return [next(found) if view.requires_grad else None for view in views]
