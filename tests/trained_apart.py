"""Training commands in processes of their own, to be ended in every way. A server that has imported all forks them."""

import multiprocessing
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from examples.shared.cli import run_command

TINY = (
    "--image_size=12", "--model.latent_size=4", "--model.tree.num_steps=[3,2]", "--model.tree.canvas_sizes=[8]",
    "--model.tree.patch_size=4", "--model.tree.hidden_size=8", "--model.tree.hypernet_size=8",
    "--model.tree.hypernet_layers=3", "--train.batch_size=8", "--train.log_every=1", "--train.validation_images=4",
    "--train.checkpoint_minutes=1e-9", "--fabric.accelerator=cpu", "--fabric.devices=1",
    "--model.node_latents=none", "--guide.name=resnet",
)  # fmt: skip
"""A tiny model that saves after every step, so that most moments are moments of saving."""

SERVER: Any = multiprocessing.get_context("forkserver")
SERVER.set_forkserver_preload(["examples.train_svi", "rnp_pyro.api.training", "rnp_pyro.api.data"])

PATIENCE = 600.0
"""Seconds that a command may take."""


@dataclass(frozen=True)
class Command:
    """A command that runs in a process of its own."""

    process: Any
    output: Path

    @property
    def text(self) -> str:
        """What it has printed, errors included."""
        return self.output.read_text() if self.output.exists() else ""

    def wait(self) -> int:
        """Wait for its end, and return its exit status; minus the signal, if one ended it."""
        self.process.join(PATIENCE)
        assert self.process.exitcode is not None, f"still running: {self.text}"
        return self.process.exitcode

    def send(self, number: int) -> None:
        os.kill(self.process.pid, number)

    def until(self, reached: Callable[[], bool]) -> None:
        """Wait until something has come about, or the command has ended."""
        end = time.monotonic() + PATIENCE
        while not reached() and self.process.exitcode is None and time.monotonic() < end:
            time.sleep(0.002)


def start(output: Path, name: str, *arguments: object, largest_file: int | None = None) -> Command:
    """Start ``python -m examples.NAME ARGUMENTS``, which prints into a file."""
    process = SERVER.Process(target=_run, args=(str(output), name, [str(one) for one in arguments], largest_file))
    process.start()
    return Command(process, output)


def _run(output: str, name: str, arguments: Sequence[str], largest_file: int | None) -> None:
    descriptor = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(descriptor, 1)
    os.dup2(descriptor, 2)
    sys.stdout, sys.stderr = os.fdopen(1, "w", buffering=1), os.fdopen(2, "w", buffering=1)
    sys.argv = [name, *arguments]
    import_module("torch").set_num_threads(1)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if largest_file is not None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest_file, resource.RLIM_INFINITY))
    run_command(import_module(f"examples.{name}").command, arguments)
