"""Runs that go on: replayed, interrupted, continued with a larger budget, and what cannot be resumed."""

import json
import math
import signal
from pathlib import Path

import pytest
import torch
import yaml
from run_files import UNDRAWN, files, summary_of
from safetensors.torch import load_file

from rnp_pyro.api.pair import Pair
from rnp_pyro.checkpoint import read_metrics


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def same(first: Path, second: Path) -> bool:
    one, other = weights_of(first), weights_of(second)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.thorough
@pytest.mark.usefixtures("no_figures")
def test_a_minutes_run_is_replayed(train, tmp_path, grey):
    data = f"--data=folder:{grey}"
    assert train(data, "--train.steps=null", "--train.minutes=0.003").status == 0
    recorded = json.loads((tmp_path / "run/schedule.json").read_text())["progress"]
    assert len(recorded) == summary_of(tmp_path / "run")["steps"] >= 1
    done = train(
        data, f"--run={tmp_path / 'replay'}", "--train.steps=null", f"--train.schedule={tmp_path}/run/schedule.json"
    )
    assert done.status == 0
    assert same(tmp_path / "run", tmp_path / "replay")
    assert not (tmp_path / "replay/schedule.json").exists()


@pytest.fixture
def interrupts(monkeypatch) -> dict[int, int]:
    """Signals for this process by step: each is sent once, in the middle of that step, as Ctrl-C does."""
    plan: dict[int, int] = {}
    prepare = Pair.prepare

    def interrupted(pair, images, step):
        if step in plan:
            signal.raise_signal(plan.pop(step))
        return prepare(pair, images, step)

    monkeypatch.setattr(Pair, "prepare", interrupted)
    return plan


@pytest.mark.thorough
@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize(("number", "ema"), [(signal.SIGINT, 0.0), (signal.SIGTERM, 0.5)])
def test_an_interrupted_run_goes_on(train, call, interrupts, tmp_path, grey, number, ema):
    options = f"--data=folder:{grey}", f"--train.ema={ema}"
    run = tmp_path / "run"
    handler = signal.getsignal(number)
    interrupts[1] = number
    done = train(*options)
    assert done.status == 128 + number
    last = done.out.splitlines()[-1]
    assert last == f"stopped at step 2; continue with: python -m examples.train_svi --resume {run}"
    assert signal.getsignal(number) == handler
    assert files(run) == ["checkpoint.pt", "checkpoint_before.pt", "config.yaml", "data.json", "metrics.csv"]
    assert f"run directory: {run}" in call("train_svi", "--resume", run).lines
    assert files(run) == UNDRAWN
    train(*options, f"--run={tmp_path / 'whole'}")
    assert same(run, tmp_path / "whole")
    assert summary_of(run)["neg_elbo"] == summary_of(tmp_path / "whole")["neg_elbo"]
    steps = [row["step"] for row in read_metrics(run / "metrics.csv") if row["loss"]]
    assert steps == ["2", "4"]


@pytest.mark.thorough
def test_a_finished_run_is_not_resumed(call, finished):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    message = call("train_svi", "--resume", finished).error
    assert message == f"the run {finished} has used up its budget: give a larger one, such as --train.minutes 10"
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


@pytest.mark.thorough
@pytest.mark.usefixtures("no_figures")
def test_a_finished_run_goes_on_with_a_larger_budget(call, finished):
    assert call("train_svi", "--resume", finished, "--train.steps=6").status == 0
    assert summary_of(finished)["steps"] == 6
    config = yaml.safe_load((finished / "config.yaml").read_text())
    assert config["train"]["steps"] == 6


@pytest.mark.thorough
@pytest.mark.usefixtures("no_figures")
def test_a_finished_run_goes_on_with_another_kind_of_budget(call, finished):
    assert call("train_svi", "--resume", finished, "--train.epochs=3").status == 0
    assert summary_of(finished)["steps"] == math.ceil(3 * 57 / 8)  # 60 digits less 3 for validation


@pytest.mark.thorough
@pytest.mark.usefixtures("no_figures")
def test_a_run_that_was_cut_off_before_its_summary_is_reported(call, train, tmp_path, grey, monkeypatch):
    def cut_off(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("rnp_pyro.api.training.draw_figures", cut_off)
        assert train(f"--data=folder:{grey}").status == 130
    run = tmp_path / "run"
    assert "summary.json" not in files(run)
    assert call("train_svi", "--resume", run).status == 0
    assert files(run) == UNDRAWN
    assert summary_of(run)["steps"] == 4


def unchanged(run: Path, call, *arguments: object) -> str:
    """Expect one line of error and the run as it was; give the line."""
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    message = call("train_svi", "--resume", run, *arguments).error
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    return message


@pytest.mark.thorough
@pytest.mark.parametrize("change", ["--model.latent_size=5", "--model.name=vae"])
def test_resuming_with_another_model(call, finished, change):
    message = unchanged(finished, call, "--train.steps=6", change)
    assert message.startswith(f"the checkpoint in {finished} is damaged or of another model")


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_resuming_from_a_damaged_checkpoint(call, finished, content):
    checkpoint = finished / "checkpoint.pt"
    (finished / "checkpoint_before.pt").unlink()
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000] if content is None else content)
    assert unchanged(finished, call, "--train.steps=6").startswith(f"cannot load the checkpoint {checkpoint}")


@pytest.mark.thorough
def test_resuming_from_a_checkpoint_of_something_else(call, finished):
    torch.save({"something": torch.ones(2)}, finished / "checkpoint.pt")
    assert "is damaged or of another model" in unchanged(finished, call, "--train.steps=6")


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("option", ["--preset=mnist", "--run=elsewhere"])
def test_resuming_with_another_start(call, finished, option):
    message = unchanged(finished, call, "--train.steps=6", option)
    assert message.startswith(f"--resume continues {finished} with its own settings")


@pytest.mark.thorough
def test_resuming_without_a_checkpoint(call, finished):
    (finished / "checkpoint.pt").unlink()
    (finished / "checkpoint_before.pt").unlink()
    assert "found none" in unchanged(finished, call, "--train.steps=6")
