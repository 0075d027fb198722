"""Whether images are really coloured, and grey ones from those that are not."""

import torch

from rnp_pyro.shapes import Tensor, UInt8

_CHANNEL_GAP = 16
"""Difference of two channels, of 255, up to which a pixel counts as grey: JPEG noise and tinted paper stay below."""

_COLOURED_SHARE = 0.01
"""Share of coloured pixels from which an image counts as coloured."""


def any_colour(images: UInt8[Tensor, "N 3 H W"]) -> bool:
    """Whether at least one RGB image is coloured: 1 % of its pixels, or more, have channels that differ clearly."""
    gap = images.amax(-3).short() - images.amin(-3).short()
    share = (gap > _CHANNEL_GAP).float().mean((-2, -1))
    return bool((share >= _COLOURED_SHARE).any())


def to_grey(images: UInt8[Tensor, "N 3 H W"]) -> UInt8[Tensor, "N 1 H W"]:
    """RGB as one channel of brightness (Rec. 601); three equal channels give exactly their value."""
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    return (images * weights).sum(-3, keepdim=True).round().to(torch.uint8)
