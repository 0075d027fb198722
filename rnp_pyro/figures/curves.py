"""How training went: -ELBO and KL over steps and minutes."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rnp_pyro.figures.colour import part_colour
from rnp_pyro.figures.series import Rows, Series, column, in_order, robust_limits, smooth
from rnp_pyro.figures.sheet import DPI, FONT_SIZE, INK

SMOOTHING = 30
"""The running mean covers one row in so many of the run."""

TRAIN, VALIDATION = part_colour(0), part_colour(1)


def training_curves(rows: Rows) -> Figure:
    """Plot -ELBO, raw and smoothed and on the validation split, and KL, in nats per image.

    The huge losses of the first steps are cut off at the top.

    Args:
        rows: `metrics.csv`: `step`, `seconds`, `neg_elbo`, `kl` and, if any, `validation_neg_elbo`.

    Returns:
        The figure; empty axes where there is nothing to plot.
    """
    rows = in_order(rows)
    steps, neg_elbo, kl = (column(rows, name) for name in ("step", "neg_elbo", "kl"))
    validation = column(rows, "validation_neg_elbo")
    figure = Figure(figsize=(5.2, 3.6), dpi=DPI, facecolor="white", layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(2, 1))
    _curve(upper, steps, neg_elbo, "train")
    _markers(upper, steps, validation)
    _curve(lower, steps, kl, "train")
    _style(upper, "−ELBO (nats per image)", robust_limits(np.concatenate([neg_elbo, validation])))
    _style(lower, "KL (nats per image)", _from_zero(robust_limits(kl, upper=99.0)))
    lower.xaxis.set_major_locator(MaxNLocator(integer=True, steps=[1, 2, 5, 10]))
    lower.set_xlabel("step", fontsize=FONT_SIZE, color=INK)
    if len(steps) and steps[0] < steps[-1]:
        lower.set_xlim(steps[0], steps[-1])
        _minutes(upper, steps, column(rows, "seconds") / 60)
    if upper.get_legend_handles_labels()[0]:
        upper.legend(frameon=False, fontsize=FONT_SIZE, labelcolor=INK)
    return figure


def _curve(axes: Axes, steps: Series, values: Series, label: str) -> None:
    """Plot a column faintly and its running mean above it."""
    known = ~np.isnan(values)
    if not known.any():
        return
    steps, values = steps[known], values[known]
    axes.plot(steps, values, color=TRAIN, alpha=0.25, linewidth=0.6)
    axes.plot(steps, smooth(values, len(values) // SMOOTHING), color=TRAIN, linewidth=1.2, label=label)


def _markers(axes: Axes, steps: Series, values: Series) -> None:
    """Plot the validation values, if there are any."""
    known = ~np.isnan(values)
    if known.any():
        axes.plot(
            steps[known],
            values[known],
            color=VALIDATION,
            linewidth=0.6,
            marker="o",
            markersize=2.5,
            label="validation",
        )


def _from_zero(limits: tuple[float, float] | None) -> tuple[float, float] | None:
    """Begin an axis at 0, so that a collapse is seen as one."""
    return None if limits is None else (min(0.0, limits[0]), limits[1])


def _style(axes: Axes, label: str, limits: tuple[float, float] | None) -> None:
    """Set type, limits and thin frames."""
    axes.set_ylabel(label, fontsize=FONT_SIZE, color=INK)
    axes.tick_params(labelsize=FONT_SIZE, width=0.5, length=2.5, color="0.6", labelcolor=INK)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set(linewidth=0.5, color="0.6")
    if limits is not None:
        axes.set_ylim(limits)


def _minutes(axes: Axes, steps: Series, minutes: Series) -> None:
    """Add a scale of minutes on top, its round numbers where the steps had reached them.

    A resumed run's clock never runs backwards here: a value below an earlier one counts as the earlier one.
    """
    known = ~np.isnan(minutes)
    steps, minutes = steps[known], np.maximum.accumulate(minutes[known])
    if len(minutes) < 2 or minutes[0] == minutes[-1]:
        return
    ticks = MaxNLocator(nbins=7, steps=[1, 2, 5, 10]).tick_values(minutes[0], minutes[-1])
    ticks = ticks[(minutes[0] <= ticks) & (ticks <= minutes[-1])]
    top = axes.twiny()
    top.set_xlim(axes.get_xlim())
    top.set_xticks(np.interp(ticks, minutes, steps), [f"{tick:g}" for tick in ticks])
    top.set_xlabel("minutes", fontsize=FONT_SIZE, color=INK)
    top.tick_params(labelsize=FONT_SIZE, width=0.5, length=2.5, color="0.6", labelcolor=INK)
    top.spines[["left", "right", "bottom"]].set_visible(False)
    top.spines["top"].set(linewidth=0.5, color="0.6")
