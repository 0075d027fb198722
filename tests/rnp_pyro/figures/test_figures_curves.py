"""Curves from rows that may lack values."""

import csv
import io
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rnp_pyro.figures import training_curves
from rnp_pyro.figures.series import column, in_order, robust_limits, smooth

NAN = float("nan")


def run(num_rows: int = 200) -> list[dict]:
    """A run that begins at 543 nats and ends at 113, a row every 10 steps and 6 seconds, validated every 50 rows."""
    return [
        {
            "step": 10 * index,
            "seconds": 6.0 * index,
            "neg_elbo": 113 + 430 * math.exp(-index / 5),
            "kl": 18 * (1 - math.exp(-index / 10)),
            "validation_neg_elbo": 120.0 if index % 50 == 49 else "",
        }
        for index in range(num_rows)
    ]


def line(axes, label: str):
    """The one line of that label: x and y."""
    (found,) = (line for line in axes.lines if line.get_label() == label)
    return found.get_data()


@pytest.mark.thorough
def test_axes_have_units_and_limits_without_the_first_losses(printed):
    figure = training_curves(run())
    printed(figure)
    upper, lower, top = figure.axes
    assert upper.get_ylabel() == "−ELBO (nats per image)"
    assert lower.get_ylabel() == "KL (nats per image)"
    assert (lower.get_xlabel(), top.get_xlabel()) == ("step", "minutes")
    assert upper.get_ylim()[0] < 113
    assert 120 < upper.get_ylim()[1] < 200
    assert lower.get_ylim()[0] <= 0
    assert lower.get_ylim()[1] > 18


def test_validation_is_marked_where_it_was_measured():
    steps, values = line(training_curves(run()).axes[0], "validation")
    assert steps.tolist() == [490, 990, 1490, 1990]
    assert values.tolist() == [120] * 4


@pytest.mark.thorough
def test_minutes_stand_at_the_steps_they_were_reached(printed):
    figure = training_curves(run(201))
    printed(figure)
    top = figure.axes[2]
    minutes = [float(label.get_text()) for label in top.get_xticklabels()]
    assert top.get_xlim() == figure.axes[0].get_xlim()
    assert top.get_xticks().tolist() == pytest.approx([100 * minute for minute in minutes])
    assert {0.0, 20.0} <= set(minutes)


@pytest.mark.thorough
def test_rows_as_read_from_a_file_are_the_same():
    rows = run(60)
    file = io.StringIO()
    writer = csv.DictWriter(file, rows[0])
    writer.writeheader()
    writer.writerows(rows)
    file.seek(0)
    for label in ("train", "validation"):
        from_file, from_memory = (line(training_curves(r).axes[0], label) for r in (list(csv.DictReader(file)), rows))
        np.testing.assert_array_equal(from_file, from_memory)
        file.seek(0)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize(
    "rows",
    [
        [],
        [{}],
        [{"step": "", "neg_elbo": "3"}],
        run(1),
        [{"step": 0, "neg_elbo": NAN}, {"step": 1, "neg_elbo": math.inf}],
        [{"step": 0, "kl": 1.0}, {"step": 5, "kl": None}, {"step": 7, "neg_elbo": 2.0, "seconds": 1}],
        [{"step": 0, "neg_elbo": 1.0, "seconds": 9}, {"step": 5, "neg_elbo": 1.0, "seconds": 3}],
        [{"step": 3, "neg_elbo": 1.0}, {"step": 3, "neg_elbo": 2.0}],
    ],
    ids=["none", "empty", "no step", "one", "not finite", "gaps", "clock runs back", "one step twice"],
)
def test_missing_values_are_left_out(rows: list[dict], printed):
    figure = training_curves(rows)
    printed(figure)
    for drawn in (line for axes in figure.axes for line in axes.lines):
        assert np.isfinite(drawn.get_data()).all()


def test_rows_are_put_in_order():
    rows = [{"step": "10"}, {"step": None}, {"step": 2.0}, {}, {"step": "1"}]
    assert [row["step"] for row in in_order(rows)] == ["1", 2.0, "10"]


def test_column_reads_text_numbers_and_gaps():
    rows = [{"kl": "1.5"}, {"kl": 2}, {"kl": ""}, {"kl": None}, {}, {"kl": "inf"}, {"kl": "nan"}]
    np.testing.assert_array_equal(column(rows, "kl"), [1.5, 2, NAN, NAN, NAN, NAN, NAN])


def test_smoothing_by_hand():
    values = np.array([1.0, 2.0, NAN, 6.0, NAN, NAN, NAN])
    np.testing.assert_allclose(smooth(values, 3), [1.5, 1.5, 4, 6, 6, NAN, NAN])


@given(st.lists(st.floats(-100, 100), min_size=1, max_size=30), st.integers(0, 80))
def test_smoothing_stays_within_the_values(numbers: list[float], window: int):
    values = np.array(numbers)
    means = smooth(values, window)
    assert means.shape == values.shape
    assert (means >= values.min() - 1e-9).all()
    assert (means <= values.max() + 1e-9).all()
    np.testing.assert_allclose(smooth(values, 1), values)


def test_limits_ignore_the_highest_tenth():
    low, high = robust_limits(np.array([1e6] * 9 + [100.0 + step for step in range(91)])) or (0, 0)
    assert 90 < low <= 101
    assert 180 < high < 220


def test_limits_need_two_values():
    assert robust_limits(np.array([NAN, 3.0])) is None
    assert robust_limits(np.array([])) is None
