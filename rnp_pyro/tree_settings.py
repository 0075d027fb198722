"""What is fixed for a tree: the levels, how latents become pixels, and how the fast path computes."""

from collections.abc import Callable
from dataclasses import dataclass

import torch.nn.functional as F

from rnp_pyro.affine import PoseLimits
from rnp_pyro.choices import Composition, Interpolation, PatchActivation, StateActivation
from rnp_pyro.shapes import Tensor

PATCH_ACTIVATIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "sigmoid": F.sigmoid,
    "relu6": F.relu6,
    "softplus": F.softplus,
}


@dataclass(frozen=True)
class Level:
    """What is fixed for the programs of one level.

    Args:
        num_steps: Children that a program emits.
        canvas_size: Rows and columns of its canvas, in pixels.
        limits: How far its children may be transformed.
    """

    num_steps: int
    canvas_size: tuple[int, int]
    limits: PoseLimits


@dataclass(frozen=True)
class Rendering:
    """How latents become pixels.

    Args:
        patch_shape: Channels, rows and columns of every decoded patch.
        patch_activation: Of the patch decoder's output.
        state_activation: Of the recurrent state network.
        composition: How children add up.
        interpolation: Of pasting.
    """

    patch_shape: tuple[int, int, int]
    patch_activation: PatchActivation
    state_activation: StateActivation
    composition: Composition
    interpolation: Interpolation


@dataclass(frozen=True)
class Execution:
    """How the fast path computes; no number depends on it but for rounding.

    Args:
        chunk: Programs that are generated and run side by side, at least 1; None: 20 MB of weights on a CPU, all
            on an accelerator.
        recompute: Generate programs anew in the backward pass instead of keeping them.
    """

    chunk: int | None = None
    recompute: bool = False


FASTEST = Execution()
"""What the device at hand does best."""
