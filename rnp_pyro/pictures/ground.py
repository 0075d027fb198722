"""Whether pictures show dark ink on a bright ground, as paper does."""

import torch
from jaxtyping import Int16

from rnp_pyro.shapes import Bool, Tensor, UInt8

_BRIGHT = 144
"""Median of an image's border, of 255, from which its ground is bright."""

_PAPER, _SHARE = 48, 0.3
"""The same where the ground can only be black or paper, also in shadow; and the share of the light that ink takes."""

_CHUNK = 4096
"""Images at a time."""

_CLEARLY = 64
"""Difference from the ground, of 255, from which a pixel is ink."""


def dark_on_bright(images: UInt8[Tensor, "N 1 H W"], paper: bool = False) -> Bool[Tensor, "N"]:
    """Return for each image whether its ground is bright and even, and what is drawn on it dark.

    The ground is the median of the border. A fifth of the image at least must lie near it, some pixels must be clearly
    darker, and more of them darker than brighter: so a photograph with a bright border seldom counts.

    Args:
        images: Grey.
        paper: Whether grey paper, too, is a bright ground.
    """
    return torch.cat([_dark_on_bright(chunk, paper) for chunk in images.split(_CHUNK)])


def ground_of(images: UInt8[Tensor, "N 1 H W"]) -> Int16[Tensor, "N"]:
    """Return the median of each image's outermost pixels."""
    pixels = images[:, 0].to(torch.int16)
    edges = (pixels[:, 0], pixels[:, -1], pixels[:, :, 0], pixels[:, :, -1])
    return torch.cat(edges, 1).median(1).values


def _dark_on_bright(images: UInt8[Tensor, "N 1 H W"], paper: bool) -> Bool[Tensor, "N"]:
    pixels, ground = images[:, 0].to(torch.int16), ground_of(images)[:, None, None]
    clearly = (ground * _SHARE).clamp(max=_CLEARLY) if paper else torch.full_like(ground, _CLEARLY)
    darker, brighter = (ground - pixels > clearly), (pixels - ground > clearly)
    near = ((pixels - ground).abs() <= clearly // 2).float().mean((1, 2)) >= 0.2
    counts = darker.sum((1, 2)), brighter.sum((1, 2))
    return (ground[:, 0, 0] >= (_PAPER if paper else _BRIGHT)) & near & (counts[0] > counts[1])
