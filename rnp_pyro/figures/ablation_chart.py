"""Bounds over the time that training took."""

from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from rnp_pyro.figures.colour import part_colour
from rnp_pyro.figures.sheet import DPI, FONT_SIZE

Curve = tuple[Sequence[float], Sequence[float]]
"""Seconds, and the validation -ELBO there, nats per image."""


def ablation(curves: Mapping[str, Sequence[Curve]]) -> Figure:
    """Plot each variant's runs, one line a seed, one colour a variant.

    Args:
        curves: For each variant, in the legend's order, its runs' curves.
    """
    figure = Figure(figsize=(7, 4), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    lows, highs = [], []
    for index, (name, runs) in enumerate(curves.items()):
        for number, (seconds, values) in enumerate(runs):
            dashes = ("-", "--", ":")[index // 4 % 3]
            label = name if number == 0 else None
            axes.plot(seconds, values, dashes, color=part_colour(index % 4), label=label, linewidth=1.2)
            if len(values):
                lows.append(min(values))
                highs.append(sorted(values)[len(values) // 2])
    if lows:
        room = max(max(highs) - min(lows), 1.0)
        axes.set_ylim(min(lows) - 0.1 * room, max(highs) + 0.8 * room)
    axes.set_xlabel("seconds of training", fontsize=FONT_SIZE)
    axes.set_ylabel("validation -ELBO, nats per image", fontsize=FONT_SIZE)
    axes.tick_params(labelsize=FONT_SIZE)
    axes.legend(fontsize=FONT_SIZE, frameon=False)
    return figure
