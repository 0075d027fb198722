"""Training while storage fails, the clock goes back, files are damaged or numbers run away: nothing is lost."""

import datetime
import errno
import os
import random
import re
import resource
import shlex
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from run_files import files, summary_of
from safetensors.torch import load_file

from examples import train_svi
from rnp_pyro import metrics, writing
from rnp_pyro.api.pair import Pair
from rnp_pyro.checkpoint import CHECKPOINT, CHECKPOINT_BEFORE, is_whole, load_checkpoint, read_metrics

pytestmark = pytest.mark.usefixtures("no_figures")

FLIPS = 30
FAILING = {
    "full disk": errno.ENOSPC,
    "quota": errno.EDQUOT,
    "read-only": errno.EROFS,
    "no right": errno.EACCES,
    "network share": errno.ESTALE,
    "file-size limit": None,
    "vanished folder": None,
}
"""Kinds of storage failure: the error that writes raise, or None for those that are made to happen."""


@pytest.fixture
def count(capsys: pytest.CaptureFixture[str]) -> Callable[[str], None]:
    """Print a line past pytest's capture."""

    def tell(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}")

    return tell


@pytest.fixture
def at_step(monkeypatch: pytest.MonkeyPatch) -> dict[int, Callable[[], None]]:
    """What happens in the middle of a step, once."""
    plan: dict[int, Callable[[], None]] = {}
    prepare = Pair.prepare

    def watched(pair: Pair, images: torch.Tensor, step: int) -> torch.Tensor:
        plan.pop(step, lambda: None)()
        return prepare(pair, images, step)

    monkeypatch.setattr(Pair, "prepare", watched)
    return plan


@contextmanager
def storage_that_fails(kind: str, run: Path) -> Iterator[tuple[Callable[[], None], Callable[[], None]]]:
    """Return what makes storage fail, and what mends it."""
    with pytest.MonkeyPatch.context() as patch:

        def fail() -> None:
            if kind == "vanished folder":
                run.rename(run.with_name("elsewhere"))
            elif kind == "file-size limit":
                resource.setrlimit(resource.RLIMIT_FSIZE, (100, most))
            else:
                patch.setattr(writing, "_flush", refuse)
                patch.setattr(metrics, "_write_all", refuse)

        def refuse(*arguments: object) -> None:
            number = FAILING[kind]
            assert number is not None
            raise OSError(number, os.strerror(number))

        def mend() -> None:
            patch.undo()
            resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))
            if kind == "vanished folder":
                run.with_name("elsewhere").rename(run)

        before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
        yield fail, mend


SAVING_OFTEN = "--train.checkpoint_minutes=1e-9"


def train_while_storage_fails(kind: str, train, call, at_step, tmp_path: Path, data: str, whole: Path) -> None:
    """Training goes on; one line says what and where; the summary is printed; the run goes on when there is room."""
    run = tmp_path / "run"
    with storage_that_fails(kind, run) as (fail, mend):
        at_step[2] = fail
        done = train(data, SAVING_OFTEN)
        mend()
    first, *_, last = [
        line for line in done.err.splitlines() if not line.startswith(("warning: TensorBoard", "note: "))
    ]
    assert done.status == 2, done
    assert first.startswith(f"warning: cannot write to {run}/"), done.err
    assert first.endswith(": training goes on; the checkpoint of step 2 stays")
    assert "Traceback" not in done.err
    assert last.startswith(f"error: not all of the run is kept: cannot write to {run}/")
    again = f"python -m examples.train_svi --resume {run}"
    assert last.endswith(f": make room, then continue with {again}")
    assert re.search(r"^test: -ELBO [\d.]+ nats per image", done.out, re.M), "the summary is printed all the same"
    assert load_checkpoint(run / CHECKPOINT)["step"] == 2
    assert call("train_svi", "--resume", run).status == 0
    one, other = load_file(run / "model.safetensors"), load_file(whole / "model.safetensors")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert not list(run.glob(".*"))
    rows = [row["step"] for row in read_metrics(run / "metrics.csv")]
    assert rows == [row["step"] for row in read_metrics(whole / "metrics.csv")]


@pytest.fixture
def whole(train, grey: Path, tmp_path: Path) -> Path:
    """A run that nothing disturbed."""
    assert train(f"--data=folder:{grey}", SAVING_OFTEN, f"--run={tmp_path / 'whole'}").status == 0
    return tmp_path / "whole"


@pytest.mark.faults
@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["full disk", "vanished folder"])
def test_storage_that_fails(kind: str, train, call, at_step, tmp_path: Path, grey: Path, whole: Path):
    train_while_storage_fails(kind, train, call, at_step, tmp_path, f"--data=folder:{grey}", whole)


@pytest.mark.faults
@pytest.mark.slow
def test_seven_kinds_of_storage_failure(train, call, at_step, tmp_path: Path, grey: Path, whole: Path, count):
    for kind in FAILING:
        train_while_storage_fails(kind, train, call, at_step, tmp_path, f"--data=folder:{grey}", whole)
        shutil.rmtree(tmp_path / "run")
    count(f"storage failures: {len(FAILING)} of {len(FAILING)} kinds, nothing lost: {', '.join(FAILING)}")


def test_a_failure_that_passes_is_told_once_and_mended(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Rows wait for room; a later checkpoint takes the place of the one that could not be written."""
    from rnp_pyro.api.observer import RunObserver

    observer = RunObserver(tmp_path)
    observer.save({"step": 0})
    with storage_that_fails("full disk", tmp_path) as (fail, mend):
        fail()
        for step in (1, 2):
            observer.row({"step": step, "seconds": 1.0, "loss": 2.0})
            observer.save({"step": step})
        mend()
    assert capsys.readouterr().err.count("training goes on; the checkpoint of step 0 stays") == 2, (
        "a line for each file"
    )
    assert observer.unwritten.keys() == {"metrics.csv", CHECKPOINT}
    observer.row({"step": 3, "seconds": 1.0, "loss": 2.0})
    observer.save({"step": 3})
    assert observer.unwritten == {}
    assert [row["step"] for row in read_metrics(tmp_path / "metrics.csv")] == ["1", "2", "3"]
    assert [load_checkpoint(tmp_path / name)["step"] for name in (CHECKPOINT, CHECKPOINT_BEFORE)] == [3, 0]


@pytest.mark.faults
@pytest.mark.slow
def test_flipped_bits(train, call, tmp_path: Path, grey: Path, whole: Path, count):
    """Each is found, told in one line, and the run goes on from the checkpoint before."""
    assert train(f"--data=folder:{grey}", SAVING_OFTEN, "--train.steps=3").status == 0
    run, generator, found = tmp_path / "run", random.Random(0), 0
    assert [load_checkpoint(run / name)["step"] for name in (CHECKPOINT, CHECKPOINT_BEFORE)] == [3, 3]
    shutil.copy(whole / CHECKPOINT, run / CHECKPOINT)  # one of step 4
    for name in ("summary.json", "model.safetensors"):
        (run / name).unlink()
    good = {path.name: path.read_bytes() for path in run.iterdir() if path.is_file()}
    for _ in range(FLIPS):
        bit = generator.randrange(8 * len(good[CHECKPOINT]))
        damaged = bytearray(good[CHECKPOINT])
        damaged[bit // 8] ^= 1 << bit % 8
        for name, content in good.items():
            (run / name).write_bytes(content)
        (run / CHECKPOINT).write_bytes(damaged)
        done = call("train_svi", "--resume", run, "--train.steps=4")
        assert done.status == 0, done
        assert done.err.startswith(f"warning: cannot load the checkpoint {run / CHECKPOINT}: "), done.err
        assert "going on from the one before, of step 3\n" in done.err
        one, other = load_file(run / "model.safetensors"), load_file(whole / "model.safetensors")
        assert all(torch.equal(one[name], other[name]) for name in one)
        found += 1
    count(f"flipped bits: {found} of {FLIPS} found, {found} recovered from the checkpoint before")


@pytest.mark.faults
@pytest.mark.thorough
def test_a_clock_that_goes_back(train, tmp_path: Path, grey: Path, whole: Path, monkeypatch: pytest.MonkeyPatch):
    now = [2e9]

    def back() -> float:
        now[0] -= 3600.0
        return now[0]

    monkeypatch.setattr(time, "time", back)
    monkeypatch.setattr(train_svi, "datetime", datetime.datetime)
    assert train(f"--data=folder:{grey}", SAVING_OFTEN).status == 0
    one, other = load_file(tmp_path / "run/model.safetensors"), load_file(whole / "model.safetensors")
    assert all(torch.equal(one[name], other[name]) for name in one)
    assert summary_of(tmp_path / "run")["seconds"] >= 0


@pytest.mark.faults
@pytest.mark.thorough
@pytest.mark.parametrize("compress", ["true", "false"])
def test_going_on_after_numbers_ran_away(train, call, tmp_path: Path, grey: Path, compress: str):
    """With the advice that is printed, from a state that is from before."""
    options = "--train.learning_rate=1e30", "--train.lr_warmup=0", f"--model.tree.compress={compress}"
    done = train(f"--data=folder:{grey}", SAVING_OFTEN, "--train.steps=20", *options)
    assert done.status == 2
    line = done.err.splitlines()[-1]
    assert "Traceback" not in done.err
    found = re.fullmatch(
        r"error: the .* is not finite .*: the checkpoint of step (\d+), from before, is kept; go on from it with "
        r"python -m examples\.(.*)",
        line,
    )
    assert found, line
    assert load_checkpoint(tmp_path / "run" / CHECKPOINT)["step"] == int(found[1])
    again = call(*shlex.split(found[2]))
    assert again.status == 0, again
    assert summary_of(tmp_path / "run")["steps"] == 20


@pytest.mark.faults
@pytest.mark.thorough
def test_damaged_metrics_are_in_nobodys_way(call, finished: Path):
    (finished / "metrics.csv").write_bytes(b"\0" * 100 + b"\n")
    done = call("train_svi", "--resume", finished, "--train.steps=6")
    assert done.status == 0
    assert f"it is now {finished / 'metrics-damaged.csv'}; a new one begins" in done.err
    assert next(row["step"] for row in read_metrics(finished / "metrics.csv")) == "6"


@pytest.mark.thorough
@pytest.mark.parametrize("ended", ["before the settings", "before the checkpoint", "at step 0"])
@pytest.mark.parametrize("resume", [False, True])
def test_a_run_that_ended_before_its_first_step(train, call, tmp_path: Path, grey: Path, ended: str, resume: bool):
    """The same command starts it, and so does --resume as soon as there are settings."""
    run, data = tmp_path / "run", f"--data=folder:{grey}"
    assert train(data).status == 0
    kept = {"before the settings": [], "before the checkpoint": ["config.yaml", "data.json"]}.get(
        ended, ["config.yaml", "data.json", "metrics.csv", CHECKPOINT]
    )
    shutil.copy(run / CHECKPOINT_BEFORE, run / CHECKPOINT)
    for name in files(run):
        if name not in kept:
            (run / name).unlink()
    (run / ".lock").touch()
    if resume and not kept:
        assert call("train_svi", "--resume", run).error.startswith("expected a run directory with a config.yaml")
        return
    done = call("train_svi", "--resume", run) if resume else train(data)
    assert done.status == 0, done
    assert summary_of(run)["steps"] == 4
    assert [row["step"] for row in read_metrics(run / "metrics.csv")] == ["2", "4", "4"]
    assert is_whole(run / CHECKPOINT)
