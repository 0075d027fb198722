"""Pareto k-hat of each image's importance weights: where the guide is to be trusted."""

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rnp_pyro.figures.colour import part_colour
from rnp_pyro.figures.sheet import DPI, FONT_SIZE, INK
from rnp_pyro.shapes import Float

TRUSTED = 0.7
"""Above it importance sampling is not to be trusted (Vehtari et al. 2024)."""

BINS = 15
"""Above the threshold, which is an edge of one."""

GOOD, BAD = part_colour(0), part_colour(1)


def khat(values: Float[np.ndarray, " images"], num_particles: int) -> Figure:
    """Plot k-hat image by image, and how it is distributed.

    Infinite values stand at the top edge as triangles; images without a k-hat (nan) are left out and counted.

    Args:
        values: k-hat of each image.
        num_particles: How many weights each was computed from.

    Returns:
        The figure.
    """
    figure = Figure(figsize=(5.2, 2.6), dpi=DPI, facecolor="white", layout="constrained")
    left, right = figure.subplots(1, 2, sharey=True, width_ratios=(3, 1))
    index, known = np.arange(len(values)), ~np.isnan(values)
    finite = np.isfinite(values)
    top = max(1.1, values[finite].max(initial=0.0) + 0.1)
    for chosen, colour in ((values <= TRUSTED, GOOD), (values > TRUSTED, BAD)):
        left.scatter(index[chosen & finite], values[chosen & finite], s=6, color=colour, linewidths=0)
    endless = known & ~finite
    left.scatter(index[endless], np.full(endless.sum(), top), s=8, marker="^", color=BAD, linewidths=0, clip_on=False)
    width = max(top - TRUSTED, 0.1) / BINS
    bins = TRUSTED + width * np.arange(
        np.floor((min(0.0, values[finite].min(initial=0.0)) - TRUSTED) / width), BINS + 1
    )
    halves = [values[chosen & finite] for chosen in (values <= TRUSTED, values > TRUSTED)]
    right.hist(halves, bins=list(bins), color=[GOOD, BAD], stacked=True, orientation="horizontal")
    above = int((values > TRUSTED).sum())
    missing = "" if known.all() else f"; {len(values) - known.sum()} without a k-hat"
    left.set_title(
        f"{above} of {known.sum()} images above {TRUSTED}{missing}; {num_particles} particles",
        fontsize=FONT_SIZE,
        color=INK,
        loc="left",
    )
    left.set_xlabel("image", fontsize=FONT_SIZE, color=INK)
    left.set_ylabel("Pareto k-hat", fontsize=FONT_SIZE, color=INK)
    right.set_xlabel("images", fontsize=FONT_SIZE, color=INK)
    left.set_ylim(bins[0], top)
    for axis in (left.xaxis, right.xaxis):
        axis.set_major_locator(MaxNLocator(integer=True, nbins=5))
    for axes in (left, right):
        axes.axhline(TRUSTED, color=INK, linewidth=0.6, linestyle="--")
        axes.tick_params(labelsize=FONT_SIZE, width=0.5, length=2.5, color="0.6", labelcolor=INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set(linewidth=0.5, color="0.6")
    return figure
