"""Whether an ablation's ranking is still changing when its time is up.

A minute shows who starts fast, not who ends well. So each two neighbours in the ranking are compared by what they
gained in the second half of their time. Where the lower one gained so much more that at this rate it would pass the
higher one within half as much time again, the ranking is not to be trusted yet.
"""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import mean

import numpy as np

Curve = tuple[Sequence[float], Sequence[float]]
"""Seconds of training, and the validation -ELBO there, nats per image."""


def ranking_lines(curves: Mapping[str, Sequence[Curve]]) -> list[str]:
    """Return a line for each two neighbours in the ranking that would change places soon, or one that none would.

    Args:
        curves: For each variant its runs' curves. Runs of fewer than three validations are left out.
    """
    halves = {name: [_halves(one) for one in runs if len(one[0]) > 2] for name, runs in curves.items()}
    known = {name: (mean(m for m, _ in found), mean(e for _, e in found)) for name, found in halves.items() if found}
    if len(known) < 2:
        return []
    ranked = sorted(known, key=lambda name: known[name][1])
    lines = []
    for better, worse in pairwise(ranked):
        (middle, end), (worse_middle, worse_end) = known[better], known[worse]
        gap, gained = worse_end - end, (worse_middle - worse_end) - (middle - end)
        if gained > gap:
            lines.append(
                f"the ranking is still changing: {worse} is {gap:.1f} nats behind {better}, and gained {gained:.1f} "
                "nats on it in the second half of the time: train longer before choosing between them"
            )
    settled = (
        "the ranking is settled: at the rates of the second half nobody passes the next within half as much time again"
    )
    return lines or [settled]


def _halves(curve: Curve) -> tuple[float, float]:
    """Return a curve's value at half its time and at its end."""
    seconds, values = (np.asarray(one, float) for one in curve)
    return float(np.interp(seconds[-1] / 2, seconds, values)), float(values[-1])
