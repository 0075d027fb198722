"""Canvases: paste parts into their parent's frame, crop them out again, and compose what was pasted."""

import torch
import torch.nn.functional as F

from rnp_pyro.affine import invert
from rnp_pyro.choices import Composition, Interpolation
from rnp_pyro.shapes import Canvas, Float, Pose, Tensor, flatten_batch

Resized = Float[Tensor, "*batch C rows columns"]
"""An image on a grid of another size than the one that it came from."""

MOST_INK = 1 - 1e-6
"""Largest value of a part under ``noisy_or``: its logarithm of staying dark must be finite."""


def paste(part: Canvas, pose: Pose, size: tuple[int, int], interpolation: Interpolation = "bilinear") -> Resized:
    """Place a part into its parent's reference frame: ``g(x, a)`` of eq. (1).

    Args:
        part: The part's own image.
        pose: The part's pose in the parent's frame.
        size: Rows and columns of the parent's canvas, in pixels.
        interpolation: ``bilinear`` (the paper), or ``bicubic``, whose derivative is continuous (section 4 asks for
            smoother than bilinear); it overshoots at sharp edges, by up to a quarter of a step there.

    Returns:
        The part on an otherwise dark canvas of that size.
    """
    return _sample(part, invert(pose), size, interpolation)


def crop(canvas: Canvas, pose: Pose, size: tuple[int, int], interpolation: Interpolation = "bilinear") -> Resized:
    """Zoom in on the part at ``pose``: ``g`` with the inverse transform, ``x^patch`` of eq. (1).

    Arguments are those of :func:`paste`; ``size`` is the part's.
    """
    return _sample(canvas, pose, size, interpolation)


def compose_canvases(
    pasted: Float[Tensor, "*batch T C H W"],
    composition: Composition,
    leak: Float[Tensor, "*#leak"] | None = None,
) -> Canvas:
    """Compose a program's pasted children into its canvas.

    ``sum`` is the paper's: the sum over steps. ``noisy_or`` is ``1 - (1 - leak) prod_t (1 - part_t)``, in log space.
    Departure: ``noisy_or`` keeps ink within [0, 1], as a Bernoulli needs; the leak gives ink that no part covers a
    gradient.

    Args:
        pasted: Children on their parent's canvas; for ``noisy_or`` they are clamped to [0, 1).
        composition: How children add up.
        leak: Probability that a pixel is bright without any part, in (0, 1), broadcast against ``C H W``; ``noisy_or``
            only.
    """
    return show(addend(pasted, composition).sum(dim=-4), composition, leak)


def addend(pasted: Canvas, composition: Composition) -> Canvas:
    """Return what a pasted part adds to its parent's canvas, in the form in which parts add up.

    For ``sum`` that is its ink, for ``noisy_or`` the logarithm of the probability that it leaves a pixel dark.
    """
    return pasted if composition == "sum" else torch.log1p(-pasted.clamp(0, MOST_INK))


def show(total: Canvas, composition: Composition, leak: Float[Tensor, "*#leak"] | None = None) -> Canvas:
    """Return the canvas that has this sum of addends; arguments are those of :func:`compose_canvases`."""
    if composition == "sum":
        return total
    return -torch.expm1(total if leak is None else total + torch.log1p(-leak))


def _sample(image: Canvas, to_image: Pose, size: tuple[int, int], interpolation: Interpolation) -> Resized:
    """Read ``image`` at the places to which ``to_image`` maps the pixels of a grid of ``size``; zero outside."""
    batch = image.shape[:-3]
    flat_image, flat_pose = flatten_batch(image, 3), flatten_batch(to_image, 2)
    grid = _places(flat_pose, size)
    sampled = F.grid_sample(flat_image, grid, mode=interpolation, padding_mode="zeros", align_corners=False)
    return sampled.reshape(*batch, *sampled.shape[1:])


def _places(to_image: Pose, size: tuple[int, int]) -> Float[Tensor, "*batch rows columns 2"]:
    """Map the pixel centres of a grid of ``size``: ``L (x, y) + t``, a sum of a row's and a column's share.

    ``F.affine_grid`` multiplies it out point by point, which took longer than the interpolation itself.
    """
    y, x = (
        torch.arange(1 - length, length, 2, dtype=to_image.dtype, device=to_image.device) / length for length in size
    )
    by_column = to_image[..., 0:1] * x
    by_row = to_image[..., 1:2] * y + to_image[..., 2:3]
    return (by_column[..., None, :] + by_row[..., None]).movedim(-3, -1)
