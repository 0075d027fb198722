"""A posterior predictive check: would images drawn given an image look like it?"""

from collections.abc import Callable

import numpy as np
import torch
from jaxtyping import Num
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnp_pyro.figures.colour import part_colour
from rnp_pyro.figures.printing import on_paper
from rnp_pyro.figures.sheet import DPI, FONT_SIZE, INK
from rnp_pyro.shapes import Float

SHOWN_IMAGES = 8
SHOWN_DRAWS = 5
LINE = 204
"""Grey between images."""

INTERVAL = (0.05, 0.95)

Images = Num[np.ndarray, "*batch C H W"]
Observed = Num[np.ndarray, "images C H W"]
Drawn = Num[np.ndarray, "draws images C H W"]


def ink(images: Images) -> Float[np.ndarray, "*batch"]:
    """Mean pixel, 0 to 1."""
    return images.mean((-3, -2, -1))


def outline(images: Images) -> Float[np.ndarray, "*batch"]:
    """Mean absolute difference of neighbouring pixels: rough images have a long outline for their ink."""
    wide = images.astype(np.float64)
    across, down = np.abs(np.diff(wide, axis=-1)), np.abs(np.diff(wide, axis=-2))
    return (across.mean((-3, -2, -1)) + down.mean((-3, -2, -1))) / 2


STATISTICS: dict[str, Callable[[Images], np.ndarray]] = {"ink": ink, "outline": outline}


def posterior_predictive(observed: Observed, drawn: Drawn) -> Figure:
    """Show images beside draws given them, and whether their ink and outline are what the draws' are.

    Args:
        observed: ``[images C H W]``, at least one.
        drawn: ``[draws images C H W]``, pixels drawn from the likelihood at draws of the posterior.

    Returns:
        The figure: the first images, the mean of their draws and some draws; for all of them each statistic against
        the draws' median and 5 % to 95 % interval.
    """
    figure = Figure(figsize=(8.4, 3.2), dpi=DPI, facecolor="white", layout="constrained")
    pictures, *panels = figure.subplots(1, 1 + len(STATISTICS), width_ratios=(1.5, 1, 1))
    _mosaic(pictures, observed[:SHOWN_IMAGES], drawn[:, :SHOWN_IMAGES])
    for axes, (name, statistic) in zip(panels, STATISTICS.items(), strict=True):
        _against(axes, name, statistic(observed), statistic(drawn))
    return figure


def _mosaic(axes: Axes, observed: Observed, drawn: Drawn) -> None:
    """One row per image: itself, the mean of its draws, some draws."""
    rows = np.stack([observed, drawn.mean(0), *drawn[:SHOWN_DRAWS]], axis=1).astype(np.float32)
    pixels = np.pad(on_paper(torch.from_numpy(rows)), ((0, 0), (0, 0), (0, 1), (0, 1), (0, 0)), constant_values=LINE)
    num_rows, num_columns, height, width, _ = pixels.shape
    sheet = pixels.transpose(0, 2, 1, 3, 4).reshape(num_rows * height, num_columns * width, 3)
    axes.imshow(sheet[:-1, :-1], interpolation="nearest")
    centres = width * (np.arange(num_columns) + 0.5) - 1
    axes.set_xticks([centres[0], centres[1], centres[2:].mean()], ["image", "mean", "draws given the image"])
    axes.set_yticks([])
    axes.xaxis.tick_top()
    axes.tick_params(labelsize=FONT_SIZE, length=0, labelcolor=INK)
    axes.spines[:].set_visible(False)


def _against(
    axes: Axes, name: str, seen: Float[np.ndarray, " images"], drawn: Float[np.ndarray, "draws images"]
) -> None:
    """Plot the draws' interval over what was seen; on the diagonal they agree."""
    low, high = np.quantile(drawn, INTERVAL, axis=0)
    inside = ((low <= seen) & (seen <= high)).mean()
    axes.vlines(seen, low, high, color=part_colour(0), linewidth=0.6, alpha=0.6)
    axes.scatter(seen, np.median(drawn, axis=0), s=4, color=part_colour(0), linewidths=0)
    limits = min(seen.min(), low.min()), max(seen.max(), high.max())
    axes.plot(limits, limits, color=INK, linewidth=0.6, linestyle="--")
    axes.set_title(
        f"{inside:.0%} of {len(seen)} images inside the 90 % interval", fontsize=FONT_SIZE, color=INK, loc="left"
    )
    axes.set_xlabel(f"{name} of the image", fontsize=FONT_SIZE, color=INK)
    axes.set_ylabel(f"{name} of draws given the image", fontsize=FONT_SIZE, color=INK)
    axes.tick_params(labelsize=FONT_SIZE, width=0.5, length=2.5, color="0.6", labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(linewidth=0.5, color="0.6")
