"""The benchmark's figure: a bar for each rate, a panel for each line of growth, and what they say."""

import numpy as np
import pytest

from rnp_pyro import figures
from rnp_pyro.figures.benchmark_chart import Growth

RATES = {"rnp": 800.0, "vae": 1000.0}
LINES = [
    Growth(measure, by, (2.0, 4.0, 8.0), values, exponent, factor)
    for by in ("nodes", "batch")
    for measure, values, exponent, factor in (
        ("seconds", (0.1, 0.2, 0.4), 1.0, 0.05),
        ("memory", (10.0, 20.0, 40.0), 1.0, 5.0),
    )
]


def test_bars_are_the_rates():
    bars, *_ = figures.benchmark(RATES, LINES).axes
    assert [bar.get_height() for bar in bars.patches] == [800.0, 1000.0]
    assert [label.get_text() for label in bars.get_xticklabels()] == ["rnp", "vae"]
    assert {text.get_text() for text in bars.texts} == {"800", "1000"}


def test_points_are_what_was_measured_and_the_line_is_the_fit():
    _, *panels = figures.benchmark(RATES, LINES).axes
    assert len(panels) == len(LINES)
    for axes, one in zip(panels, LINES, strict=True):
        fit, points = axes.get_lines()
        assert np.array_equal(points.get_xydata(), np.stack([one.sizes, one.values], -1))
        assert np.allclose(fit.get_ydata(), one.factor * np.array(one.sizes) ** one.exponent)
        assert axes.texts[0].get_text() == "exponent 1.00"
        assert (axes.get_xscale(), axes.get_yscale()) == ("log", "log")


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("lines", [[], LINES[:1], LINES])
def test_it_prints_with_any_number_of_lines(printed, lines: list[Growth]):
    assert (printed(figures.benchmark(RATES, lines)) < 128).any()
