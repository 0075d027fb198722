"""Whether an image's parts are a parse: several of them carry ink, and no two are the same."""

from itertools import combinations

import torch

from rnp_pyro.shapes import Bool, Canvas, Float, Tensor

MIN_PARTS = 3
"""Parts that must each explain their share of the ink."""

MIN_SHARE = 0.08
"""Share of the image's ink that a part must explain to count."""

MAX_OVERLAP = 0.5
"""Soft intersection over union at which two parts are one part drawn twice."""


def distinct_parts(images: Canvas, parts: Float[Tensor, "*batch T C H W"]) -> Bool[Tensor, "*batch"]:
    """Decide which images are parsed into distinct parts.

    At least three parts explain 8 % of the ink each, and no two have a soft intersection over union of 0.5
    or more. Ink outside [0, 1] is clamped. An image without ink has no distinct parts, nor has one of fewer
    than three.

    Args:
        images: ink in [0, 1].
        parts: the root's parts, pasted on the image canvas, ink in [0, 1].

    Returns:
        True where the parse is distinct.
    """
    enough = (explained_shares(images, parts) >= MIN_SHARE).sum(-1) >= MIN_PARTS
    return enough & (largest_overlap(parts) < MAX_OVERLAP)


def explained_shares(images: Canvas, parts: Float[Tensor, "*batch T C H W"]) -> Float[Tensor, "*batch T"]:
    """Measure the share of the image's ink that each part explains: sum(min(part, image)) / sum(image).

    Returns:
        Shares in [0, 1]; 0 for an image without ink.
    """
    explained = _ink(torch.minimum(parts.clamp(0, 1), images.clamp(0, 1).unsqueeze(-4)))
    return _ratio(explained, _ink(images.clamp(0, 1)).unsqueeze(-1))


def soft_iou(one: Canvas, other: Canvas) -> Float[Tensor, "*batch"]:
    """Soft intersection over union of two canvases: sum of minima over sum of maxima.

    Returns:
        A number in [0, 1]; 0 for two canvases without ink.
    """
    one, other = one.clamp(0, 1), other.clamp(0, 1)
    return _ratio(_ink(torch.minimum(one, other)), _ink(torch.maximum(one, other)))


def largest_overlap(parts: Float[Tensor, "*batch T C H W"]) -> Float[Tensor, "*batch"]:
    """Find the largest soft intersection over union of any two parts; 0 if there is only one part.

    One pair at a time: all pairs at once would need T times the memory of the parts.
    """
    each = parts.unbind(-4)
    overlaps = [soft_iou(one, other) for one, other in combinations(each, 2)]
    return torch.stack(overlaps).amax(0) if overlaps else torch.zeros_like(_ink(each[0]))


def _ink(canvas: Canvas) -> Float[Tensor, "*batch"]:
    """Sum over channels, rows and columns, in float32 or wider."""
    return canvas.sum((-3, -2, -1), dtype=torch.promote_types(canvas.dtype, torch.float32))


def _ratio(numerator: Float[Tensor, "*batch"], denominator: Float[Tensor, "*#batch"]) -> Float[Tensor, "*batch"]:
    """Divide; 0 where the denominator is 0."""
    positive = denominator > 0
    return torch.where(positive, numerator / torch.where(positive, denominator, 1), 0)
