"""Two runs complete the same images."""

import json

import pytest

QUICK = ("--images=2", "--particles=16", "--rounds=1")


@pytest.fixture(scope="module")
def baseline(train_run, mnist):
    """The flat baseline on the same digits as ``digits_run``."""
    return train_run("flat", "--data=mnist", f"--data_dir={mnist}", "--model.name=vae")


@pytest.mark.thorough
def test_numbers_are_printed_and_written(call, digits_run, baseline, tmp_path):
    done = call("compare_completions", digits_run[0], baseline[0], *QUICK, "--json", tmp_path / "a.json")
    numbers = json.loads((tmp_path / "a.json").read_text())
    assert 0 <= numbers["share_better"] <= 1
    assert (numbers["mask"], numbers["particles"], numbers["seed"], numbers["data"]) == ("bottom", 16, 0, "mnist")
    assert numbers["run_khat"] is None, "16 particles have no k-hat, and JSON has no nan"
    again = call("compare_completions", digits_run[0], baseline[0], *QUICK, "--json", tmp_path / "a.json")
    assert "replace it with --overwrite true" in again.error
    assert numbers["black_squared_error"] > 0
    for name in ("run", "baseline"):
        assert numbers[f"{name}_squared_error"] >= numbers[f"{name}_hidden_squared_error"] > 0
    assert "(rnp): squared error" in done.lines[0]
    assert "(vae): squared error" in done.lines[1]
    assert done.lines[2].startswith("2 test images, bottom hidden: ")


@pytest.mark.thorough
def test_a_run_is_not_better_than_itself(call, digits_run, tmp_path):
    done = call("compare_completions", digits_run[0], digits_run[0], *QUICK)
    assert done.lines[2].count("in 0 % of them, by 0.00 +- 0.00 in squared error on average")
    assert done.lines[0] == done.lines[1]


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--images=0"], "--images must be within 1"),
        (["--images=13"], "--first and --images must stay within the 12 test images"),
        (["--first=12", "--images=1"], "within the 12 test images"),
        (["--first=-1"], "--first must be at least 0, got -1"),
    ],
)
def test_what_does_not_fit(call, digits_run, options, expected):
    assert expected in call("compare_completions", digits_run[0], digits_run[0], *options).error


@pytest.mark.thorough
def test_runs_on_other_data(call, digits_run, grey_run):
    assert "with the same test images" in call("compare_completions", digits_run[0], grey_run[0], *QUICK).error
    assert "got one: RUN BASELINE" in call("compare_completions", digits_run[0]).error
