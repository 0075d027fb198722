"""``metrics.csv``: rows in order, none twice, none lost; damaged, it is in nobody's way."""

import os
import resource
from pathlib import Path

import pytest

from rnp_pyro.errors import UserError
from rnp_pyro.metrics import MetricsFile, read_metrics

COLUMNS = ("step", "seconds", "loss", "validation_kl")


def steps(path: Path) -> list[tuple[str, ...]]:
    return [(*(name for name in ("loss", "validation_kl") if row[name]), row["step"]) for row in read_metrics(path)]


def test_rows_are_appended_one_by_one(tmp_path: Path):
    path = tmp_path / "metrics.csv"
    metrics = MetricsFile(path, ("step", "loss", "kl"))
    assert read_metrics(path) == []
    metrics.append({"step": 1, "loss": 0.5})
    assert read_metrics(path) == [{"step": "1", "loss": "0.5", "kl": ""}]
    metrics.append({"step": 2, "loss": 0.25, "kl": 3.0})
    assert read_metrics(path)[1] == {"step": "2", "loss": "0.25", "kl": "3.0"}


@pytest.mark.parametrize(("until", "kept"), [(None, [1, 2, 3, 4]), (4, [1, 2, 3, 4]), (2, [1, 2]), (0, [])])
def test_on_resuming_later_rows_are_dropped(tmp_path: Path, until: int | None, kept: list[int]):
    path = tmp_path / "metrics.csv"
    first = MetricsFile(path, ("step", "loss"))
    for step in (1, 2, 3, 4):
        first.append({"step": step, "loss": 0.1 * step})
    again = MetricsFile(path, ("step", "loss"), until_step=until)
    assert [int(row["step"]) for row in read_metrics(path)] == kept
    again.append({"step": 9, "loss": 1.0})
    assert [int(row["step"]) for row in read_metrics(path)] == [*kept, 9]


def test_a_new_run_has_a_header_only(tmp_path: Path):
    MetricsFile(tmp_path / "metrics.csv", ("step", "loss"))
    assert (tmp_path / "metrics.csv").read_text().splitlines() == ["step,loss"]


def a_row_without_room(metrics: MetricsFile, row: dict) -> None:
    """Append a row while no file may grow beyond three more bytes."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (metrics.path.stat().st_size + 3, most))
    try:
        with pytest.raises(UserError, match=r"cannot write to .*metrics.csv: File too large"):
            metrics.append(row)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


def test_a_row_that_finds_no_room_is_written_with_the_next_one(tmp_path: Path):
    path = tmp_path / "metrics.csv"
    metrics = MetricsFile(path, COLUMNS)
    metrics.append({"step": 1, "loss": 2.0})
    before = path.read_bytes()
    a_row_without_room(metrics, {"step": 2, "loss": 1.23456789})
    assert path.read_bytes() == before
    metrics.append({"step": 3, "loss": 1.0})
    assert [row["step"] for row in read_metrics(path)] == ["1", "2", "3"]


def test_no_row_comes_twice_and_none_out_of_order(tmp_path: Path):
    """A step has a row of training and one of validation; a run that goes on makes none of them again."""
    path = tmp_path / "metrics.csv"
    rows = [{"step": 1, "loss": 2.0}, {"step": 1, "validation_kl": 3.0}, {"step": 2, "loss": 2.0}]
    metrics = MetricsFile(path, COLUMNS)
    for row in [*rows, rows[0], rows[2]]:
        metrics.append(row)
    expected = [("loss", "1"), ("validation_kl", "1"), ("loss", "2")]
    assert steps(path) == expected
    again = MetricsFile(path, COLUMNS, until_step=2)
    again.append({"step": 2, "seconds": 9.0, "loss": 2.5})
    assert steps(path) == expected
    again.append({"step": 2, "validation_kl": 3.5})
    assert steps(path) == [*expected, ("validation_kl", "2")]


def test_a_row_that_a_crash_cut_off_is_dropped(tmp_path: Path):
    """Step 150 must not be read as step 15."""
    path = tmp_path / "metrics.csv"
    MetricsFile(path, COLUMNS).append({"step": 149, "loss": 2.0})
    whole = path.read_bytes()
    path.write_bytes(whole + b"15")
    assert [row["step"] for row in read_metrics(path)] == ["149"]
    MetricsFile(path, COLUMNS, until_step=149, tell=pytest.fail)
    assert path.read_bytes() == whole


@pytest.mark.parametrize(
    "content",
    [
        b"step,loss\n1,2.0\n1e400,x\n",
        b"step,seconds,loss,validation_kl\n2,,1.0,\n1,,1.0,\n",
        b"step,seconds,loss,validation_kl\n1,,1.0\n",
        b"step,seconds,loss,validation_kl\n1,,1.0,,,\n",
        b"loss\n1.0\n",
        b"step,foreign\n1,2\n",
        b"\xff\xfe\n",
        b"\0" * 50 + b"\n",
        b"no table\n1\n",
    ],
)
def test_a_damaged_file_is_put_aside(tmp_path: Path, content: bytes):
    path, told = tmp_path / "metrics.csv", []
    for name in ("metrics-damaged.csv", "metrics-damaged-2.csv"):
        path.write_bytes(content)
        metrics = MetricsFile(path, COLUMNS, until_step=5, tell=told.append)
        assert read_metrics(path) == []
        assert (tmp_path / name).read_bytes() == content
        assert told.pop().endswith(f"it is now {tmp_path / name}; a new one begins")
        metrics.append({"step": 6, "loss": 1.0})
    assert len(os.listdir(tmp_path)) == 3


def test_a_file_that_is_not_there_is_one_line(tmp_path: Path):
    with pytest.raises(UserError, match="cannot read"):
        read_metrics(tmp_path / "metrics.csv")
