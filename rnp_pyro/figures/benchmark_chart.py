"""How fast training is, and how its cost grows."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import NullLocator

from rnp_pyro.figures.colour import part_colour
from rnp_pyro.figures.sheet import DPI, FONT_SIZE, INK

UNITS = {"seconds": "seconds a step", "memory": "MiB a step"}


@dataclass(frozen=True)
class Growth:
    """How a measure grows along a line of sizes: ``value = factor * size ** exponent``, fitted.

    Args:
        measure: ``seconds`` or ``memory`` of a training step (MiB).
        by: What grows.
        sizes: Where it was measured.
        values: What was measured there.
        exponent: Fitted.
        factor: Fitted.
    """

    measure: str
    by: str
    sizes: tuple[float, ...]
    values: tuple[float, ...]
    exponent: float
    factor: float


def benchmark(rates: Mapping[str, float], grown: Sequence[Growth]) -> Figure:
    """Plot training rates as bars, and beside them one row for time and one for memory, a column for each line.

    Args:
        rates: Images per second, by name.
        grown: Lines of growth; may be empty.
    """
    lines = list(dict.fromkeys(one.by for one in grown))
    figure = Figure(figsize=(1.9 + 1.7 * len(lines), 3.4), dpi=DPI, facecolor="white", layout="constrained")
    grid = figure.add_gridspec(2, 1 + len(lines))
    _bars(figure.add_subplot(grid[:, 0]), rates)
    for one in grown:
        row, place = list(UNITS).index(one.measure), 1 + lines.index(one.by)
        axes = figure.add_subplot(grid[row, place])
        _line(axes, one)
        if place == 1:
            axes.set_ylabel(UNITS[one.measure], fontsize=FONT_SIZE, color=INK)
        if row == len(UNITS) - 1:
            axes.set_xlabel(one.by.replace(" (", "\n("), fontsize=FONT_SIZE, color=INK)
    return figure


def _bars(axes: Axes, rates: Mapping[str, float]) -> None:
    names = list(rates)
    bars = axes.bar(names, list(rates.values()), color=[part_colour(0)] * len(names), width=0.6)
    axes.bar_label(bars, fmt="%.0f", fontsize=FONT_SIZE, color=INK, padding=1)
    axes.set_ylabel("training, images/s", fontsize=FONT_SIZE, color=INK)
    _style(axes)
    axes.tick_params(axis="x", labelrotation=45)


def _line(axes: Axes, one: Growth) -> None:
    """Plot what was measured as points, and the fit as a line that says its exponent; name each size and both ends."""
    sizes = np.array(one.sizes)
    axes.plot(sizes, one.factor * sizes**one.exponent, color=part_colour(1), linewidth=0.8)
    axes.plot(sizes, one.values, color=part_colour(0), marker="o", markersize=3, linestyle="none")
    axes.set(xscale="log", yscale="log")
    axes.set_xticks(sizes, [f"{size:g}" for size in sizes])
    ends = sorted({min(one.values), max(one.values)})
    axes.set_yticks(ends, [f"{value:.2g}" if value < 10 else f"{value:.0f}" for value in ends])
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_minor_locator(NullLocator())
    axes.text(0.05, 0.9, f"exponent {one.exponent:.2f}", transform=axes.transAxes, fontsize=FONT_SIZE, color=INK)
    _style(axes)


def _style(axes: Axes) -> None:
    axes.tick_params(labelsize=FONT_SIZE - 1, width=0.5, length=2.5, color="0.6", labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(linewidth=0.5, color="0.6")
