"""A guide's posterior against a reference, dimension by dimension, one row for each image."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnp_pyro.figures.colour import part_colour
from rnp_pyro.figures.printing import on_paper
from rnp_pyro.figures.sheet import DPI, FONT_SIZE, GREY, INK
from rnp_pyro.shapes import Float, Tensor

ROW_HEIGHT = 1.15
"""Inches."""

WIDTH = 7.0
HEAD = 0.45
"""Inches for the legend and the axis below."""

REFERENCE, GUIDE = part_colour(0), part_colour(1)
SHIFT = 0.17
"""Of the two intervals of a dimension to either side, in dimensions."""


@dataclass(frozen=True)
class Moments:
    """Means and standard deviations of images' posteriors.

    Args:
        loc: Means.
        scale: Standard deviations.
    """

    loc: Float[Tensor, "n Z"]
    scale: Float[Tensor, "n Z"]


def posterior_intervals(
    images: Float[Tensor, "n C H W"], reference: Moments, guide: Moments, captions: Sequence[str]
) -> Figure:
    """Show mean and standard deviation of each latent dimension under the reference and under the guide.

    In each row dimensions stand in the order of the reference's standard deviation, the best determined first; a band
    shows the prior's mean and standard deviation.

    Args:
        images: ink or colour in [0, 1], as the likelihood saw them.
        reference: moments that are taken for true.
        guide: the guide's moments.
        captions: what to write above each row.

    Returns:
        The figure.

    Raises:
        ValueError: No image.
    """
    if len(images) == 0:
        raise ValueError("expected at least one image to show, got 0")
    figure = Figure(figsize=(WIDTH, ROW_HEIGHT * len(images) + HEAD), dpi=DPI, facecolor="white", layout="constrained")
    grid = figure.subplots(len(images), 2, squeeze=False, width_ratios=(1, 7))
    pixels = on_paper(images)
    for row, (picture, axes) in enumerate(grid):
        picture.imshow(pixels[row], interpolation="nearest", origin="upper", aspect="equal")
        picture.set(xticks=[], yticks=[])
        picture.spines[:].set(color=GREY, linewidth=0.5)
        _intervals(axes, row, reference, guide)
        axes.set_title(captions[row], fontsize=FONT_SIZE, color=INK, loc="left", pad=3)
    bottom = grid[-1, 1]
    bottom.set_xlabel("latent dimension, the best determined first", fontsize=FONT_SIZE, color=INK)
    handles, labels = bottom.get_legend_handles_labels()
    figure.legend(
        handles, labels, loc="outside upper right", ncols=3, frameon=False, fontsize=FONT_SIZE, labelcolor=INK
    )
    return figure


def _intervals(axes: Axes, row: int, reference: Moments, guide: Moments) -> None:
    """Plot one image's intervals of one standard deviation to either side."""
    order = torch.argsort(reference.scale[row])
    axes.axhspan(-1, 1, color="0.93", linewidth=0, label="prior")
    for shift, moments, colour, label in ((-SHIFT, reference, REFERENCE, "NUTS"), (SHIFT, guide, GUIDE, "guide")):
        axes.errorbar(
            torch.arange(len(order)).numpy() + shift,
            moments.loc[row, order].numpy(),
            yerr=moments.scale[row, order].numpy(),
            fmt="o",
            markersize=1.8,
            linewidth=0.9,
            color=colour,
            label=label,
        )
    axes.set_xlim(-0.7, len(order) - 0.3)
    axes.set_xticks(range(len(order)), [str(int(dimension)) for dimension in order])
    axes.tick_params(labelsize=0.75 * FONT_SIZE, width=0.5, length=2, color="0.6", labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(linewidth=0.5, color="0.6")
    axes.set_ylabel("z", fontsize=FONT_SIZE, color=INK)
