"""Transposed convolutions whose kernels the hypernetwork generates, as in the authors' decoder of ETH-80's objects.

    |z| -> side x side x 16 -> elu -> 2 side x 2 side x 8 -> elu -> ... -> rows x columns x channels

Each layer doubles the side, with kernels of 4x4 and stride 2. A kernel serves all places, so that a colour patch takes
far fewer generated numbers than two dense layers: 7,200 in place of 30,200 for 12x12x3 with |z| = 32.
"""

from dataclasses import dataclass
from itertools import pairwise
from math import ceil, log2
from typing import Any

import torch.nn.functional as F

from rnp_pyro.activations import Paint
from rnp_pyro.config import TreeConfig
from rnp_pyro.heads import Head, Weight, layer
from rnp_pyro.program import linear
from rnp_pyro.shapes import Float, Tensor, flatten_batch

KERNEL, STRIDE, PADDING = 4, 2, 1
CHANNELS = (16, 8)
"""Of the first map, and of all between it and the patch."""

LARGEST_START = 3
"""Rows that the first map has at most."""


@dataclass(frozen=True)
class Conv:
    """A generated dense layer to a small map, and generated transposed convolutions up to the patch.

    Args:
        patch_shape: Channels, rows and columns of a patch; a map that is larger is cut to it in the middle.
        latent_size: |z|.
        paint: What makes pixels of its output.
    """

    patch_shape: tuple[int, int, int]
    latent_size: int
    paint: Paint
    draws_wholes: bool = True

    @property
    def num_doublings(self) -> int:
        """Transposed convolutions, at least one."""
        return max(1, ceil(log2(max(self.patch_shape[1:]) / LARGEST_START)))

    @property
    def side(self) -> int:
        """Rows and columns of the first map."""
        return ceil(max(self.patch_shape[1:]) / 2**self.num_doublings)

    @property
    def channels(self) -> tuple[int, ...]:
        """Channels of the first map, of those between, and of the patch."""
        return (CHANNELS[0], *(CHANNELS[1:] * (self.num_doublings - 1)), self.patch_shape[0])

    @property
    def heads(self) -> tuple[Head, ...]:
        """The dense layer, then kernels as ``(in, out x 16)``; four of a kernel's 16 places meet in each pixel."""
        fan = (KERNEL // STRIDE) ** 2
        shapes = [(fan * one, ((one, other * KERNEL**2), (other,))) for one, other in pairwise(self.channels)]
        return (
            layer(self.latent_size, self.channels[0] * self.side**2),
            *(Head(*shape) for shape in shapes[:-1]),
            Head(*shapes[-1], self.paint.start),
        )

    def __call__(self, generated: tuple[Any, ...], z: Float[Tensor, "*batch T Z"]) -> Float[Tensor, "*batch T C p p"]:
        """See :class:`~rnp_pyro.patch.PatchDecoder`."""
        weight, bias, *kernels = generated
        maps = F.elu(linear(weight, bias, z)).unflatten(-1, (self.side, self.side, self.channels[0])).movedim(-1, -3)
        for number, (kernel, bias) in enumerate(zip(kernels[::2], kernels[1::2], strict=True)):
            maps = double(maps if number == 0 else F.elu(maps), kernel, bias)
        (_, rows, columns), side = self.patch_shape, maps.shape[-1]
        top, left = (side - rows) // 2, (side - columns) // 2
        return self.paint(maps[..., top : top + rows, left : left + columns])


def double(
    maps: Float[Tensor, "*batch T channels h w"], kernel: Weight, bias: Float[Tensor, "*batch out"]
) -> Float[Tensor, "*batch T out rows columns"]:
    """Convolve with stride 1/2: each pixel paints 4x4 pixels of a map twice as large, and these are added up.

    Written as one product per program and a sum of overlapping blocks, for every program has kernels of its own.
    """
    *batch, steps, channels, rows, columns = maps.shape
    pixels = maps.flatten(-2).mT.reshape(*batch, steps * rows * columns, channels)
    blocks = kernel.multiply(pixels).unflatten(-2, (steps, rows * columns)).mT
    size = (STRIDE * rows, STRIDE * columns)
    painted = F.fold(flatten_batch(blocks, 2), size, KERNEL, padding=PADDING, stride=STRIDE)
    return painted.reshape(*batch, steps, *painted.shape[1:]) + bias[..., None, :, None, None]


def build(config: TreeConfig, latent_size: int, channels: int) -> Conv:
    """Build the decoder."""
    return Conv(
        (channels, config.patch_size, config.patch_size),
        latent_size,
        Paint(config.patch_activation, config.compress, config.ink),
    )
