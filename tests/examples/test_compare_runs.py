"""Paired differences between runs."""

import json
from pathlib import Path

import pytest

from examples.compare_runs import NUMBERS, Difference, difference


def write_run(path: Path, seed: int, **numbers: float) -> Path:
    path.mkdir()
    (path / "config.yaml").write_text(f"seed: {seed}\n")
    values = dict.fromkeys(NUMBERS, 1.0) | {"data": "digits", "seed": seed, "test_images": 3} | numbers
    (path / "summary.json").write_text(json.dumps(values))
    return path


def test_the_standard_error_is_of_differences_not_of_runs():
    assert difference([(1.0, 2.0), (100.0, 101.0), (50.0, 51.0)]) == Difference(1.0, 0.0)
    found = difference([(0.0, 1.0), (0.0, 3.0)])
    assert (found.mean, found.standard_error) == (2.0, pytest.approx(1.0))


@pytest.mark.thorough
def test_pairs_are_printed_with_their_difference(call, tmp_path):
    first = [write_run(tmp_path / f"a{seed}", seed, neg_elbo=100 + seed) for seed in range(3)]
    second = [write_run(tmp_path / f"b{seed}", seed, neg_elbo=101 + seed) for seed in range(3)]
    lines = call("compare_runs", "--first", *first, "--second", *second).lines
    assert lines[0] == "-ELBO, nats per image: 100 and 101, 101 and 102, 102 and 103"
    assert lines[1] == "  mean difference +1 +- 0 (standard error)"


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1]", "expected names and values in"),
        ("null", "expected names and values in"),
        ('{"neg_elbo": 1}', "expected kl in"),
        (None, "expected a number as kl in"),
    ],
)
def test_a_damaged_summary_is_refused(call, tmp_path, content, message):
    runs = [write_run(tmp_path / str(seed), seed) for seed in range(4)]
    file = runs[1] / "summary.json"
    file.write_text(content or file.read_text().replace('"kl": 1.0', '"kl": "much"'))
    refusal = call("compare_runs", "--first", *runs[:2], "--second", *runs[2:]).error
    assert message in refusal
    assert str(file) in refusal


@pytest.mark.thorough
def test_runs_that_are_no_pairs_are_refused(call, tmp_path):
    one, other = write_run(tmp_path / "a", 0), write_run(tmp_path / "b", 1)
    assert "two or more runs with --first, got 1" in call("compare_runs", "--first", one, "--second", other).error
    assert "got 2 and 3" in call("compare_runs", "--first", one, other, "--second", one, other, one).error
    assert "expected partners with one seed, got 0 and 1" in (
        call("compare_runs", "--first", one, other, "--second", other, one).error
    )
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "config.yaml").write_text("seed: 3\nguide:\n  name: flow\n")
    assert (
        "got guide.name resnet in" in call("compare_runs", "--first", one, tmp_path / "d", "--second", one, other).error
    )
    assert "expected another run with --second as the partner of" in (
        call("compare_runs", "--first", one, other, "--second", one, other).error
    )
    assert "different seeds with --second, got [0, 0]" in (
        call("compare_runs", "--first", one, other, "--second", one, one).error
    )
