"""Whether pictures show dark ink on a bright ground, as paper does."""

import torch

from rnp_pyro.shapes import Bool, Tensor, UInt8

_BRIGHT = 144
"""Median of an image's border, of 255, from which its ground is bright."""

_CHUNK = 4096
"""Images at a time."""

_CLEARLY = 64
"""Difference from the ground, of 255, from which a pixel is ink."""


def dark_on_bright(images: UInt8[Tensor, "N 1 H W"]) -> Bool[Tensor, "N"]:
    """Return for each image whether its ground is bright and even, and what is drawn on it dark.

    The ground is the median of the border. A fifth of the image at least must lie near it, some pixels must be clearly
    darker, and more of them darker than brighter: so a photograph with a bright border seldom counts.
    """
    return torch.cat([_dark_on_bright(chunk) for chunk in images.split(_CHUNK)])


def _dark_on_bright(images: UInt8[Tensor, "N 1 H W"]) -> Bool[Tensor, "N"]:
    pixels = images[:, 0].to(torch.int16)
    edges = (pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1])
    ground = torch.cat(edges, 1).median(1).values[:, None, None]
    darker, brighter = (ground - pixels > _CLEARLY), (pixels - ground > _CLEARLY)
    near = ((pixels - ground).abs() <= _CLEARLY // 2).float().mean((1, 2)) >= 0.2
    counts = darker.sum((1, 2)), brighter.sum((1, 2))
    return (ground[:, 0, 0] >= _BRIGHT) & near & (counts[0] > counts[1])
