"""Runs that are killed, interrupted, written to twice: nothing is lost, and they go on bit for bit.

``pytest -m faults`` runs these and prints how many of each kind there were.
"""

import os
import random
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import load_file
from trained_apart import TINY, Command, start

from examples.train_svi import new_run_name
from rnp_pyro.checkpoint import CHECKPOINT, CHECKPOINT_BEFORE, METRICS, WEIGHTS, is_whole, read_metrics
from rnp_pyro.lock import LOCK

ROOT = Path(__file__).resolve().parents[1]
STEPS = 40
MANY_STEPS = 150
KILLS = 20
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)

Count = Callable[[str], None]


@pytest.fixture
def count(capsys: pytest.CaptureFixture[str]) -> Count:
    """Print a line past pytest's capture."""

    def tell(line: str) -> None:
        with capsys.disabled():
            print(f"\n{line}")

    return tell


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 40 pictures of noise."""
    folder, generator = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for index in range(40):
        Image.fromarray(generator.integers(0, 255, (12, 12), dtype=np.uint8)).save(folder / f"{index:02d}.png")
    return folder


def options(pictures: Path, run: Path, steps: int = STEPS) -> list[str]:
    return [*TINY, f"--data=folder:{pictures}", f"--run={run}", f"--train.steps={steps}"]


@pytest.fixture(scope="module")
def whole(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted."""
    return uninterrupted(pictures, tmp_path_factory.mktemp("whole"), STEPS)


def uninterrupted(pictures: Path, folder: Path, steps: int) -> Path:
    done = start(folder / "whole.txt", "train_svi", *options(pictures, folder / "whole", steps))
    assert done.wait() == 0, done.text
    return folder / "whole"


def assert_same(run: Path, whole: Path) -> None:
    """Equal bit for bit: weights, and every row but for its times; nothing is left behind."""
    one, other = load_file(run / WEIGHTS), load_file(whole / WEIGHTS)
    assert one.keys() == other.keys()
    assert all(torch.equal(one[name], other[name]) for name in one)
    rows = [_timeless(read_metrics(path / METRICS)) for path in (run, whole)]
    assert [row["step"] for row in rows[0]] == sorted((row["step"] for row in rows[0]), key=int)
    assert rows[0] == rows[1]
    left = {path.name for path in run.rglob(".*")}
    assert not left, "leftovers"


def _timeless(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{name: row[name] for name in row if name not in ("seconds", "images_per_second")} for row in rows]


@pytest.mark.faults
@pytest.mark.slow
def test_killed_at_random_moments(pictures: Path, tmp_path: Path, count: Count):
    """The same command, or --resume, goes on: 20 times in a row, from the first instant on."""
    run, generator, early = tmp_path / "run", random.Random(0), 0
    for kill in range(KILLS):
        begun = (run / "config.yaml").exists()
        again = begun and (kill % 2 == 0 or (run / CHECKPOINT_BEFORE).exists())
        given = ["--resume", str(run)] if again else options(pictures, run, MANY_STEPS)
        training = start(tmp_path / f"{kill}.txt", "train_svi", *given)
        if kill >= KILLS // 3:  # the first third dies at any moment from the start on, the others while they train
            training.until(partial(_newer, run / CHECKPOINT, _written(run / CHECKPOINT)))
        time.sleep(generator.uniform(0, 0.6 if kill < KILLS // 3 else 0.08))
        training.send(signal.SIGKILL)
        assert training.wait() == -signal.SIGKILL, training.text
        early += not (run / CHECKPOINT).exists()
        assert any(is_whole(run / name) for name in (CHECKPOINT, CHECKPOINT_BEFORE)) or not (run / CHECKPOINT).exists()
    steps = _last_step(run)
    assert 0 < steps < MANY_STEPS
    done = start(tmp_path / "end.txt", "train_svi", "--resume", run)
    assert done.wait() == 0, done.text
    assert_same(run, uninterrupted(pictures, tmp_path, MANY_STEPS))
    count(f"SIGKILL: {KILLS} of {KILLS} random moments, {early} before any checkpoint, went on bit for bit")


def _written(path: Path) -> int:
    return path.stat().st_mtime_ns if path.exists() else 0


def _newer(path: Path, before: int) -> bool:
    return _written(path) > before


def _last_step(run: Path) -> int:
    rows = read_metrics(run / METRICS) if (run / METRICS).exists() else []
    return int(rows[-1]["step"]) if rows else 0


def first_checkpoint(run: Path) -> bool:
    return (run / CHECKPOINT).exists()


def in_the_middle(run: Path) -> bool:
    return (run / METRICS).exists() and (run / METRICS).read_bytes().count(b"\n") > STEPS


def reporting(run: Path) -> bool:
    return (run / WEIGHTS).exists()


MOMENTS = (first_checkpoint, in_the_middle, reporting)


@pytest.mark.faults
@pytest.mark.slow
def test_signals(pictures: Path, whole: Path, tmp_path: Path, count: Count):
    """The step is finished and saved, the command that goes on is printed, and the exit status names the signal."""
    stopped = 0
    for number in SIGNALS:
        for moment in MOMENTS:
            run = tmp_path / f"{number}-{moment.__name__}"
            stop_and_go_on(options(pictures, run), run, number, moment)
            assert_same_weights(run, whole)
            stopped += 1
    count(f"signals: {stopped} of {len(SIGNALS)} x {len(MOMENTS)} saved, printed the command that goes on, and went on")


@pytest.mark.faults
@pytest.mark.thorough
def test_a_signal(pictures: Path, tmp_path: Path):
    stop_and_go_on(options(pictures, tmp_path / "run"), tmp_path / "run", signal.SIGUSR1, first_checkpoint)


def stop_and_go_on(given: list[str], run: Path, number: int, moment: Callable[[Path], bool]) -> None:
    """Send a signal at a moment, and go on with the command that is printed."""
    training = start(run.with_suffix(".txt"), "train_svi", *given)
    training.until(lambda: moment(run))
    training.send(number)
    assert training.wait() == 128 + number, training.text
    assert "Traceback" not in training.text
    (command,) = re.findall(r"^stopped at step \d+; continue with: python -m examples\.(.*)$", training.text, re.M)
    done = start(run.with_suffix(".again.txt"), *shlex.split(command))
    assert done.wait() == 0, done.text


def assert_same_weights(run: Path, whole: Path) -> None:
    one, other = load_file(run / WEIGHTS), load_file(whole / WEIGHTS)
    assert all(torch.equal(one[name], other[name]) for name in one)


def second_writer_is_refused(pictures: Path, folder: Path, resume: bool) -> Command:
    """Start a run, and another on its folder while it trains; return the first."""
    run = folder / "run"
    first = start(folder / "first.txt", "train_svi", *options(pictures, run, steps=4000))
    first.until(lambda: (run / METRICS).exists() and _last_step(run) > 2)
    given = ["--resume", str(run)] if resume else options(pictures, run)
    second = start(folder / "second.txt", "train_svi", *given)
    assert second.wait() == 2, second.text
    assert re.fullmatch(rf"error: process {first.process.pid} on \S+ is writing the run {run}: .*\n", second.text) or (
        not resume and second.text.startswith(f"error: run directory {run} exists")
    ), second.text
    return first


@pytest.mark.faults
@pytest.mark.slow
def test_two_writers(pictures: Path, tmp_path: Path, count: Count):
    """The second is refused and names the first, which goes on; killed, it stands in nobody's way."""
    refused = 0
    for resume in (True, False):
        folder = tmp_path / str(resume)
        folder.mkdir()
        first = second_writer_is_refused(pictures, folder, resume)
        step = _last_step(folder / "run")
        first.until(lambda folder=folder, step=step: _last_step(folder / "run") > step)
        first.send(signal.SIGKILL)
        assert first.wait() == -signal.SIGKILL
        assert (folder / "run" / LOCK).exists()
        steps = _last_step(folder / "run") + 2
        done = start(folder / "end.txt", "train_svi", "--resume", folder / "run", f"--train.steps={steps}")
        assert done.wait() == 0, done.text
        refused += 1
    count(f"two writers: {refused} of {refused} second ones refused, naming the first; no stale lock in the way")


def test_names_of_runs_do_not_collide():
    """Runs that begin in the same second have folders of their own."""
    names = {new_run_name("quickstart") for _ in range(200)}
    assert len(names) == 200
    assert all(re.fullmatch(r"runs/quickstart-\d{8}-\d{6}-[0-9a-f]{6}", name) for name in names)


@pytest.mark.faults
@pytest.mark.thorough
@pytest.mark.parametrize("seconds", [0.1, 0.5, 2.0])
def test_an_interrupt_while_a_command_starts_is_silent(seconds: float, tmp_path: Path):
    """Ctrl-C, while packages are imported or data are loaded, prints no traceback."""
    command = [sys.executable, "-m", "examples.train_svi", "--train.minutes=10", f"--run={tmp_path / 'run'}"]
    training = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(seconds)
    training.send_signal(signal.SIGINT)
    _, err = training.communicate(timeout=120)
    early = "/examples/" not in err and "rnp_pyro" not in err  # Python itself was not up yet: its own traceback
    assert training.returncode in (-signal.SIGINT, 128 + signal.SIGINT) or early, err
    assert err == "" or early


@pytest.mark.faults
@pytest.mark.thorough
def test_a_reader_that_goes_away_does_not_stop_training(pictures: Path, tmp_path: Path):
    """As in ``python -m examples.train_svi | head -1``; after the first line there is nobody to print to."""
    command = [sys.executable, "-m", "examples.train_svi", *options(pictures, tmp_path / "run", steps=6)]
    training = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert training.stdout is not None
    assert training.stderr is not None
    training.stdout.readline()
    training.stdout.close()
    told = training.stderr.read()
    training.stderr.close()
    assert training.wait(timeout=120) == 0, told
    assert "Error" not in told
    assert (tmp_path / "run" / "summary.json").exists()


@pytest.mark.faults
@pytest.mark.slow
def test_the_job_that_queues_itself_again(pictures: Path, whole: Path, tmp_path: Path):
    """The script of docs/training.md, with a ``srun`` that only runs and a ``scontrol`` that only writes down."""
    (script,) = re.findall(r"```bash\n(#!/bin/bash\n#SBATCH.*?)```", (ROOT / "docs/training.md").read_text(), re.S)
    given = shlex.join(options(pictures, tmp_path)[:-2]) + f" --train.steps={STEPS}"
    script = script.replace("--train.minutes 600", given).replace("runs/job-", f"{tmp_path}/job-")
    (tmp_path / "job.sh").write_text(script)
    fakes = {
        "srun": f'#!/bin/bash\ncd {ROOT}\n"$@" &\necho $! > {tmp_path}/pid\nwait $!\n',
        "scontrol": f'#!/bin/bash\necho "$@" >> {tmp_path}/asked\n',
        "python": f'#!/bin/bash\nexec {sys.executable} "$@"\n',
    }
    for name, text in fakes.items():
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    environment = {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}", "SLURM_JOB_ID": "7"}
    environment.pop("SLURM_NTASKS", None)
    job, run = ["bash", str(tmp_path / "job.sh")], tmp_path / "job-7"
    first = subprocess.Popen(job, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    end = time.monotonic() + 120
    while not in_the_middle(run) and time.monotonic() < end:
        time.sleep(0.01)
    os.kill(int((tmp_path / "pid").read_text()), signal.SIGUSR1)
    said, _ = first.communicate(timeout=120)
    assert first.returncode == 128 + signal.SIGUSR1, said
    assert (tmp_path / "asked").read_text() == "requeue 7\n"
    again = subprocess.run(job, env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert again.returncode == 0, again.stderr
    assert (tmp_path / "asked").read_text() == "requeue 7\n"
    assert_same_weights(run, whole)
