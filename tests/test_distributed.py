"""Two processes train one run: one of them writes, a signal to either saves, and the death of either ends both.

``pytest -m distributed`` runs these. That two compute what one does is in ``inference/training/test_devices.py``.
"""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from safetensors.torch import load_file
from trained_apart import TINY

from examples.shared.cli import run_command
from rnp_pyro.api.keeping import LOST
from rnp_pyro.checkpoint import METRICS, WEIGHTS, load_checkpoint, read_metrics
from rnp_pyro.errors import ReportedError

ROOT = Path(__file__).resolve().parents[1]
PATIENCE = 300
TO_NOTICE = 30
"""Seconds in which a process must end after another one's death."""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 40 pictures of noise."""
    folder, generator = tmp_path_factory.mktemp("pictures"), np.random.default_rng(0)
    for index in range(40):
        Image.fromarray(generator.integers(0, 255, (12, 12), dtype=np.uint8)).save(folder / f"{index:02d}.png")
    return folder


class Two:
    """A training command of two processes."""

    def __init__(self, *arguments: object) -> None:
        command = [sys.executable, "-m", "examples.train_svi", *map(str, arguments)]
        environment = {**os.environ, "OMP_NUM_THREADS": "1"}
        self.first = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    @property
    def second(self) -> int:
        """The process that the first one started."""
        children = Path(f"/proc/{self.first.pid}/task/{self.first.pid}/children").read_text().split()
        (found,) = [int(one) for one in children if "examples.train_svi" in Path(f"/proc/{one}/cmdline").read_text()]
        return found

    def until(self, reached: Callable[[], bool]) -> None:
        end = time.monotonic() + PATIENCE
        while not reached() and self.first.poll() is None and time.monotonic() < end:
            time.sleep(0.02)

    def end(self) -> tuple[int, str, str]:
        """Wait for the end of both, and return exit status, output and errors."""
        out, err = self.first.communicate(timeout=PATIENCE)
        return self.first.returncode, out, err


def options(pictures: Path, run: Path, devices: int, steps: int) -> list[str]:
    tiny = [one for one in TINY if not one.startswith("--fabric.devices")]
    return [*tiny, f"--data=folder:{pictures}", f"--run={run}", f"--train.steps={steps}", f"--fabric.devices={devices}"]


def rows(run: Path) -> int:
    return len(read_metrics(run / METRICS)) if (run / METRICS).exists() else 0


def alive(process: int) -> bool:
    stat = Path(f"/proc/{process}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"


def weights_agree(run: Path, whole: Path) -> None:
    one, other = load_file(run / WEIGHTS), load_file(whole / WEIGHTS)
    for name, value in one.items():
        assert float((value - other[name]).abs().max()) < 1e-3 * (1 + float(value.abs().max())), name


@pytest.mark.distributed
@pytest.mark.slow
def test_a_signal_to_either_saves_and_ends_both(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Then one process goes on, and then two: the weights are those of a run that nothing interrupted."""
    run, whole = tmp_path / "run", tmp_path / "whole"
    training = Two(*options(pictures, run, devices=2, steps=60))
    training.until(lambda: rows(run) > 5)
    os.kill(training.second, signal.SIGTERM)
    status, out, err = training.end()
    assert status == 128 + signal.SIGTERM, err
    assert len(re.findall(r"^stopped at step \d+; continue with:", out, re.M)) == 1, out
    assert "Traceback" not in err
    step = load_checkpoint(run / "checkpoint.pt")["step"]
    status, out, err = Two("--resume", run, "--fabric.devices=1", f"--train.steps={step + 5}").end()
    assert status == 0, err
    status, out, err = Two("--resume", run, "--fabric.devices=2", "--train.steps=60").end()
    assert status == 0, err
    assert len(re.findall(r"^test: -ELBO", out, re.M)) == 1
    steps = [row["step"] for row in read_metrics(run / METRICS) if row["loss"]]
    assert steps == [str(step) for step in range(1, 61)], "one process writes"
    status, _, err = Two(*options(pictures, whole, devices=1, steps=60)).end()
    assert status == 0, err
    assert [row["step"] for row in read_metrics(whole / METRICS) if row["loss"]] == steps
    with capsys.disabled():
        print("\n2 processes: SIGTERM to the second saved and ended both; went on with 1, then with 2; one writer")


@pytest.mark.distributed
@pytest.mark.slow
@pytest.mark.parametrize("which", ["first", "second"])
def test_the_death_of_either_ends_both(pictures: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], which: str):
    run = tmp_path / "run"
    training = Two(*options(pictures, run, devices=2, steps=100_000))
    training.until(lambda: rows(run) > 5)
    second = training.second
    killed, left = (training.first.pid, second) if which == "first" else (second, training.first.pid)
    os.kill(killed, signal.SIGKILL)
    begin = time.monotonic()
    while alive(left) and time.monotonic() < begin + TO_NOTICE:
        time.sleep(0.05)
        training.first.poll()
    seconds = time.monotonic() - begin
    assert not alive(left)
    _, _, err = training.end()
    told = [line for line in err.splitlines() if line.strip() and not line.startswith("note: ")]
    assert len(told) == 1, err
    assert told[0].startswith("error: another process of this training has ended, and so does this one; go on with ")
    step = load_checkpoint(run / "checkpoint.pt")["step"]
    status, _, err = Two("--resume", run, "--fabric.devices=1", f"--train.steps={step + 3}").end()
    assert status == 0, err
    with capsys.disabled():
        print(f"\n2 processes: the {which} killed, the other ended after {seconds:.1f} s with one line; gone on with 1")


def test_what_all_processes_meet_is_told_by_the_first(capsys: pytest.CaptureFixture[str]):
    def command(arguments: object) -> None:
        raise ReportedError("the loss is not finite")

    with pytest.raises(SystemExit) as ended:
        run_command(command, [])
    assert ended.value.code == 2
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize(
    "message",
    [
        "[../third_party/gloo/gloo/transport/tcp/pair.cc:547] Connection closed by peer [127.0.0.1]:1234",
        "NCCL communicator was aborted on rank 1.",
        "Broken pipe; the socket was closed",
    ],
)
def test_errors_of_exchanges_are_known(message: str):
    assert any(word in message.lower() for word in LOST)
