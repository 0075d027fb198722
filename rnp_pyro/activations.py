"""Activations of generated networks by name: one table for recurrent states, one for decoded patches."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F

from rnp_pyro.shapes import Tensor

StateActivation = Literal["identity", "elu", "tanh"]
PatchActivation = Literal["sigmoid", "relu6", "softplus"]


@dataclass(frozen=True)
class Activation:
    """An elementwise function whose derivative follows from its value, as the fast path's backward pass needs it.

    Args:
        function: From preactivation to value.
        slope: From value to derivative.
    """

    function: Callable[[Tensor], Tensor]
    slope: Callable[[Tensor], Tensor]

    def __call__(self, preactivation: Tensor) -> Tensor:
        """Apply the function."""
        return self.function(preactivation)


def elu_slope(value: Tensor) -> Tensor:
    """Return ``elu'(u) = 1 + min(elu(u), 0)``."""
    return value.clamp(max=0).add_(1)


STATE_ACTIVATIONS: dict[str, Activation] = {
    "identity": Activation(lambda preactivation: preactivation, torch.ones_like),
    "elu": Activation(F.elu, elu_slope),
    "tanh": Activation(F.tanh, lambda value: 1 - value * value),
}
"""Of the recurrent state network."""

PATCH_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": F.sigmoid,
    "relu6": F.relu6,
    "softplus": F.softplus,
}
"""Of what a patch decoder paints."""
