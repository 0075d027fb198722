"""Ordinary networks: the encoder that guides share, and the flat decoder of the baseline.

No batch statistics anywhere: an image's code must not depend on the batch that it comes in.
"""

from itertools import pairwise
from math import prod

import torch
import torch.nn.functional as F
from torch import nn

from rnp_pyro.programs import FAR, check_images
from rnp_pyro.shapes import Canvas, Float, Latent, Tensor, flatten_batch
from rnp_pyro.sites import root_site

CHANNELS = 32
"""Channels of every ResNet block (appendix)."""

BLOCK_STRIDES = (2, 1, 2, 1, 1)
"""Of the five blocks: two of them halve rows and columns."""

NUM_LINEAR = 4
LINEAR_SIZE = 64
"""Fully connected layers, and units of each (appendix)."""


class ResNetBlock(nn.Module):
    """Two 3x3 convolutions and a skip connection (He et al. 2016), without batch normalisation.

    Departure: the second convolution starts at zero, so that the block starts as its skip connection; this replaces the
    batch normalisation that a ResNet would have.

    Args:
        in_channels: Channels of the input.
        out_channels: Channels of the output.
        stride: 2 halves rows and columns, rounding up.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.first = nn.Conv2d(in_channels, out_channels, 3, stride=stride, padding=1)
        self.second = nn.Conv2d(out_channels, out_channels, 3, padding=1)
        same = stride == 1 and in_channels == out_channels
        self.skip = nn.Identity() if same else nn.Conv2d(in_channels, out_channels, 1, stride=stride)
        for layer in (self.first, self.skip):
            keep_variance(layer)
        nn.init.zeros_(self.second.weight)

    def forward(self, image: Float[Tensor, "B C H W"]) -> Float[Tensor, "B D h w"]:
        """Map features to features."""
        hidden = self.second(F.relu(self.first(image)))
        return F.relu(self.skip(image) + hidden)


class ResNetEncoder(nn.Module):
    """The appendix's encoder: five ResNet blocks of 32 channels and four fully connected layers of 64 units.

    The blocks' strides are 2, 1, 2, 1, 1 (the appendix does not say).

    Args:
        image_shape: Channels, rows and columns of the images.
    """

    out_size = LINEAR_SIZE

    def __init__(self, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.image_shape = image_shape
        channels, height, width = image_shape
        blocks = []
        for stride in BLOCK_STRIDES:
            blocks.append(ResNetBlock(channels, CHANNELS, stride))
            channels = CHANNELS
        self.blocks = nn.Sequential(*blocks)
        features = CHANNELS * reduced(height) * reduced(width)
        self.linear = _linear_stack([features] + [LINEAR_SIZE] * NUM_LINEAR)

    def forward(self, image: Canvas) -> Float[Tensor, "*batch 64"]:
        """Map images to features.

        Raises:
            UserError: If the images are of another shape, type or range.
        """
        check_images(image, self.image_shape, batched=False, slack=FAR)
        features = self.linear(self.blocks(flatten_batch(image, 3)).flatten(-3))
        return features.reshape(*image.shape[:-3], self.out_size)


class ConvDecoder(nn.Module):
    """The flat baseline's decoder: the encoder's mirror image, layer for layer.

    Four fully connected layers, five ResNet blocks of 32 channels with nearest-neighbour doubling where the encoder
    halves, and a 3x3 convolution to the pixels. For one 28x28 grey image the forward pass takes
    20.5 million floating-point operations, the encoder's 16.7 million: its first convolution is on the image's one
    channel (a test counts them).

    Args:
        latent_size: |z|.
        image_shape: Channels, rows and columns of the images.
    """

    num_levels = 0

    def __init__(self, latent_size: int, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.latent_size, self.image_shape = latent_size, image_shape
        channels, *size = image_shape
        self.small = (CHANNELS, *(reduced(length) for length in size))
        features = prod(self.small)
        self.linear = _linear_stack([latent_size] + [LINEAR_SIZE] * (NUM_LINEAR - 1) + [features])
        self.blocks = nn.ModuleList(ResNetBlock(CHANNELS, CHANNELS) for _ in BLOCK_STRIDES)
        self.to_pixels = nn.Conv2d(CHANNELS, channels, 3, padding=1)

    @property
    def root_site(self) -> str:
        """Name of the latent's sample site."""
        return root_site(self.num_levels)

    def forward(self, z: Latent) -> Canvas:
        """Map latents to pixels before any activation."""
        features = self.linear(flatten_batch(z, 1)).unflatten(-1, self.small)
        _, height, width = self.image_shape
        for block, stride in zip(self.blocks, reversed(BLOCK_STRIDES), strict=True):
            features = block(features)
            if stride == 2:
                features = F.interpolate(features, scale_factor=2.0, mode="nearest")
        return self.to_pixels(features)[..., :height, :width].reshape(*z.shape[:-1], *self.image_shape)


class StampDecoder(nn.Module):
    """A flat decoder that can only stamp fixed images, the baseline of figure 1b: how much of each, and where.

        ink = 1 - exp(-sum_k map_k * stamp_k - leak),  maps from a :class:`ConvDecoder`, above 0

    Stamps add up like rare drops of ink, so that pixels stay within [0, 1]. They are neither turned nor scaled: the
    recursive program places the same images by any pose.

    Args:
        latent_size: |z|.
        image_shape: Channels, rows and columns of the images.
        stamps: What may be stamped, in [0, 1]; saved with the weights.
    """

    stamps: Tensor
    num_levels = 0

    def __init__(self, latent_size: int, image_shape: tuple[int, int, int], stamps: Float[Tensor, "K C p p"]) -> None:
        super().__init__()
        self.latent_size, self.image_shape = latent_size, image_shape
        self.maps = ConvDecoder(latent_size, (len(stamps), *image_shape[1:]))
        self.register_buffer("stamps", stamps)

    @property
    def root_site(self) -> str:
        """Name of the latent's sample site."""
        return root_site(self.num_levels)

    def forward(self, z: Latent) -> Canvas:
        """Map latents to pixels before a sigmoid."""
        maps = F.softplus(flatten_batch(self.maps(z), 3) - STAMP_START)
        _, rows, columns = self.image_shape
        side = self.stamps.shape[-1]
        drops = F.conv_transpose2d(maps, self.stamps)[..., side // 2 :, side // 2 :][..., :rows, :columns]
        ink = (drops + STAMP_LEAK).clamp(max=STAMP_MOST)
        return torch.log(torch.expm1(ink)).reshape(*z.shape[:-1], *self.image_shape)


STAMP_START, STAMP_LEAK, STAMP_MOST = 4.0, 1e-4, 20.0
"""Maps start at 0.02; ink that is nowhere has a gradient; and no pixel's logit overflows."""


def keep_variance(layer: nn.Module) -> nn.Module:
    """Initialise a layer for relu (He et al. 2015): with PyTorch's default four layers lose 97 % of their signal."""
    if isinstance(layer, nn.Linear | nn.Conv2d):
        nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)
    return layer


def reduced(length: int) -> int:
    """Rows or columns that the encoder's blocks leave of ``length`` pixels."""
    for stride in BLOCK_STRIDES:
        length = -(-length // stride)
    return length


def _linear_stack(sizes: list[int]) -> nn.Sequential:
    layers: list[nn.Module] = []
    for size, next_size in pairwise(sizes):
        layers += [keep_variance(nn.Linear(size, next_size)), nn.ReLU()]
    return nn.Sequential(*layers)
