"""Columns of `metrics.csv` as numbers that can be plotted."""

from collections.abc import Mapping, Sequence

import numpy as np

from rnp_pyro.shapes import Float

Rows = Sequence[Mapping[str, str | float | int | None]]
"""Rows of `metrics.csv`, from the file (text) or memory (numbers); a value may be missing, empty or None."""

Series = Float[np.ndarray, " rows"]
"""One number per row; nan where there is none."""


def column(rows: Rows, name: str) -> Series:
    """Read one column; what is missing, empty, None or infinite becomes nan.

    Raises:
        ValueError: A value is text that is no number.
    """
    values = [row.get(name) for row in rows]
    numbers = np.array([np.nan if value in (None, "") else float(value) for value in values], dtype=float)
    return np.where(np.isfinite(numbers), numbers, np.nan)


def in_order(rows: Rows) -> Rows:
    """Sort rows by their step, leaving out those without one; equal steps stay in order."""
    steps = column(rows, "step")
    return [rows[index] for index in np.argsort(steps, kind="stable") if not np.isnan(steps[index])]


def smooth(values: Series, window: int) -> Series:
    """Average each value with its neighbours, leaving out missing ones.

    Args:
        values: a column.
        window: how many rows to average; made odd. At the ends it is cut short.

    Returns:
        Running means; nan where the whole window is missing.
    """
    half = window // 2
    known = np.pad(~np.isnan(values), half)
    filled = np.pad(np.nan_to_num(values), half)
    weights = np.ones(2 * half + 1)
    count = np.convolve(known, weights, mode="valid")
    total = np.convolve(filled, weights, mode="valid")
    return np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)


def robust_limits(values: Series, upper: float = 90.0) -> tuple[float, float] | None:
    """Find limits of an axis that show where training went and not where it began.

    Args:
        values: a column, in order of the steps.
        upper: percentile of the values that bounds the view from above.

    Returns:
        A little more than the range from the 0.5th to the upper percentile; None if that is empty.
    """
    known = values[~np.isnan(values)]
    if len(known) == 0:
        return None
    low, high = (float(limit) for limit in np.percentile(known, (0.5, upper)))
    margin = 0.05 * (high - low)
    return (low - margin, high + margin) if margin > 0 else None
