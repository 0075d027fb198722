"""Activations of generated networks, and the compression that keeps their numbers within reach.

Departure: numbers far beyond what is usual are compressed to their logarithm, ``usual asinh(x / usual)``. A generated
recurrence has no bound of its own; where parts are dark nothing holds it, and it ran away to 1e37 in twenty steps. The
authors' later code has elu and sin here, and complains of exploding losses. The slope falls with 1 / x only, so that a
program that strayed can come back: tanh or clamping has no slope out there. Near 0 it is the identity.
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import log, sinh

import torch
import torch.nn.functional as F

from rnp_pyro.choices import PatchActivation, StateActivation
from rnp_pyro.shapes import Tensor

USUAL_STATE = 10.0
"""Of a recurrent state: a trained one's units stay within 5."""

USUAL_ACTION = 2.0
"""Of an action: at the usual gain of 3 its pose is at the end of its range there."""

USUAL_PATCH = 4.0
"""Of a patch before its activation: sigmoid(4) = 0.98."""


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


def identity(preactivation: Tensor) -> Tensor:
    """Return what comes."""
    return preactivation


def tanh_slope(value: Tensor) -> Tensor:
    """Return ``tanh'(u) = 1 - tanh(u)^2``."""
    return 1 - value * value


IDENTITY = Activation(identity, torch.ones_like)
ELU = Activation(F.elu, elu_slope)

STATE_ACTIVATIONS: dict[str, Activation] = {
    "identity": IDENTITY,
    "elu": ELU,
    "tanh": Activation(F.tanh, tanh_slope),
}
"""Of the recurrent state network."""

PATCH_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": F.sigmoid,
    "relu6": F.relu6,
    "softplus": F.softplus,
}
"""Of what a patch decoder paints."""

USUAL_INK = 0.1
"""Mean brightness that patches start with where the images' own is not known."""

FAINTEST, BRIGHTEST = 1e-3, 0.95
"""Between these patches can start: a sigmoid has hardly a slope beyond."""


def ink_start(ink: float | None, compress: bool) -> float:
    """Return where the bias before a sigmoid starts, so that patches are as bright as the images are on average.

    Departure: the authors' patches start grey. On sparse images grey patches are all wrong at once: they go dark
    together within ten steps, and past that point nothing brings them back. As bright as the images, no
    step pushes all of them one way.

    Args:
        ink: Mean brightness, 0 to 1; None: it is not known.
        compress: Whether what the bias adds to is compressed.
    """
    share = min(max(USUAL_INK if ink is None else ink, FAINTEST), BRIGHTEST)
    logit = log(share / (1 - share))
    return USUAL_PATCH * sinh(logit / USUAL_PATCH) if compress else logit


def compress(x: Tensor, usual: float) -> Tensor:
    """Compress numbers beyond what is usual to their logarithm: ``usual asinh(x / usual)``, the identity near 0."""
    return usual * torch.asinh(x / usual)


@dataclass(frozen=True)
class Compressed:
    """An activation, as :class:`Activation`, whose value is compressed.

    With ``y = usual asinh(v / usual)`` and ``v = f(u)``: ``dy/du = f'(u) / cosh(y / usual)``.

    Args:
        activation: f.
        usual: Where compression sets in.
    """

    activation: Activation
    usual: float

    def __call__(self, preactivation: Tensor) -> Tensor:
        """Apply the activation, and compress."""
        return compress(self.activation(preactivation), self.usual)

    def slope(self, value: Tensor) -> Tensor:
        """Return the derivative from the value."""
        grown = torch.exp(value / self.usual)
        shrunk = grown.reciprocal()
        return self.activation.slope(0.5 * self.usual * (grown - shrunk)) / (0.5 * (grown + shrunk))


@dataclass(frozen=True)
class Activations:
    """Of a program's recurrence.

    Args:
        state: Of the recurrent state network.
        policy: Of the recurrent policy network.
        action: Of the policy's decoder.
    """

    state: Activation | Compressed
    policy: Activation | Compressed = ELU
    action: Activation | Compressed = IDENTITY


def recurrence_activations(state: StateActivation, compress: bool) -> Activations:
    """Choose a program's activations.

    Args:
        state: Of the recurrent state network.
        compress: Whether numbers far beyond what is usual are compressed.
    """
    if not compress:
        return Activations(STATE_ACTIVATIONS[state])
    return Activations(
        Compressed(STATE_ACTIVATIONS[state], USUAL_STATE),
        Compressed(ELU, USUAL_STATE),
        Compressed(IDENTITY, USUAL_ACTION),
    )


@dataclass(frozen=True)
class Paint:
    """From what a patch decoder computes to pixels.

    Args:
        activation: By name.
        compress: Whether numbers far beyond what is usual are compressed.
        ink: Mean brightness, 0 to 1, that patches start with; None: it is not known.
    """

    activation: PatchActivation = "sigmoid"
    compress: bool = True
    ink: float | None = None

    def __call__(self, preactivation: Tensor) -> Tensor:
        """Make pixels."""
        bounded = compress(preactivation, USUAL_PATCH) if self.compress else preactivation
        return PATCH_ACTIVATIONS[self.activation](bounded)

    @property
    def start(self) -> float:
        """Where the decoder's last bias starts: at the images' brightness, where the activation is a sigmoid."""
        return ink_start(self.ink, self.compress) if self.activation == "sigmoid" else 0.0
