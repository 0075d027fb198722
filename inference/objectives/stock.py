"""What Pyro's stock ``pyro.infer.SVI`` asks of an objective: it calls ``loss`` and ``loss_and_grads``.

An objective that defines ``differentiable_loss`` alone would train as our loop does and otherwise under SVI.
"""

from rnp_pyro.shapes import Tensor


def leave_gradient(loss: Tensor) -> float:
    """Leave a loss's gradient in the parameters, and return its value."""
    if loss.requires_grad:
        loss.backward()
    return loss.item()
