"""Support for Pyro's stock ``pyro.infer.SVI``, which calls an objective's ``loss`` and ``loss_and_grads``.

Our loop calls ``differentiable_loss`` alone. An objective must define all three, or SVI would train something else.
"""

from rnp_pyro.shapes import Tensor


def leave_gradient(loss: Tensor) -> float:
    """Leave a loss's gradient in the parameters, and return its value."""
    if loss.requires_grad:
        loss.backward()
    return loss.item()
