"""Commands called in this process, folders of tiny images, and tiny runs that tests share."""

import contextlib
import io
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from unittest import mock

import numpy as np
import pytest
import torch
from PIL import Image

from examples.shared.cli import run_command
from rnp_pyro.data import load_images

TINY = (
    "--image_size=12",
    "--model.latent_size=4",
    "--model.tree.num_steps=[3,2]",
    "--model.tree.canvas_sizes=[8]",
    "--model.tree.patch_size=4",
    "--model.tree.hidden_size=8",
    "--model.tree.hypernet_size=8",
    "--model.tree.hypernet_layers=3",
    "--train.batch_size=8",
    "--train.log_every=2",
    "--train.validation_images=8",
)


@dataclass(frozen=True)
class Done:
    """What a command left: exit status, standard output, standard error."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The one line of a command that refused its input."""
        assert self.status == 2, self
        assert self.out == ""
        assert self.err.startswith("error: ")
        assert self.err.endswith("\n")
        assert self.err.count("\n") == 1, "expected one line"
        return self.err.removeprefix("error: ").strip()

    @property
    def lines(self) -> list[str]:
        """What a command that ended well printed."""
        assert self.status == 0, self
        return self.out.splitlines()


Call = Callable[..., Done]


def _call(command: str, *arguments: object) -> Done:
    out, err, status = io.StringIO(), io.StringIO(), 0
    argv = [command, *map(str, arguments)]
    with mock.patch.object(sys, "argv", argv), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            run_command(import_module(f"examples.{command}").command)
        except SystemExit as ended:
            status = int(ended.code or 0)
    return Done(status, out.getvalue(), err.getvalue())


@contextlib.contextmanager
def _in_float32() -> Iterator[None]:
    """Commands run as users run them; the project's other tests run in float64."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    try:
        yield
    finally:
        torch.set_default_dtype(before)


@pytest.fixture(autouse=True)
def _float32(_regime: None) -> Iterator[None]:
    with _in_float32():
        yield


@pytest.fixture(scope="session")
def tiny() -> Sequence[str]:
    """Options that make every model tiny."""
    return TINY


@pytest.fixture(scope="session")
def call() -> Call:
    """Run a command as ``python -m examples.COMMAND ARGUMENTS`` would, in this process."""
    return _call


@pytest.fixture
def train(call: Call, tiny: Sequence[str], tmp_path: Path) -> Call:
    """Train a tiny model for four steps into ``tmp_path / "run"``; later options win."""

    def command(*arguments: object) -> Done:
        return call("train_svi", *tiny, "--run", tmp_path / "run", "--train.steps=4", *arguments)

    return command


def _contents(folder: Path) -> dict[Path, bytes | None]:
    """Return what is in a folder, with the bytes of its files."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


@pytest.fixture
def refused(call: Call, tmp_path: Path) -> Callable[..., str]:
    """Expect one line of error, exit status 2 and every file as it was; return the line."""

    def command(name: str, *arguments: object) -> str:
        before = _contents(tmp_path)
        message = call(name, *arguments).error
        assert _contents(tmp_path) == before
        return message

    return command


@pytest.fixture
def no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave figures out, which take most of a tiny run's time."""
    monkeypatch.setattr("rnp_pyro.api.training.draw_figures", lambda *arguments: [])


SaveImages = Callable[..., Path]


def _save_images(folder: Path, count: int = 24, size: tuple[int, int] = (14, 12), colour: bool = False) -> Path:
    """Write images of bright blobs here and there, rows and columns of ``size``."""
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(0)
    rows, columns = np.mgrid[: size[0], : size[1]]
    for index in range(count):
        row, column = random.uniform(2, 9, 2)
        blob = np.exp(-((rows - row) ** 2 + (columns - column) ** 2) / 6)
        tint = random.uniform(0.3, 1, 3) if colour else np.ones(3)
        pixels = np.uint8(255 * blob[..., None] * tint)
        Image.fromarray(pixels if colour else pixels[..., 0]).save(folder / f"{index:03d}.png")
    return folder


@pytest.fixture(scope="session")
def save_images() -> SaveImages:
    """Write a folder of small pictures."""
    return _save_images


@pytest.fixture(scope="session")
def grey(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 24 grey pictures: 2 test, 1 validation, 21 training images."""
    return _save_images(tmp_path_factory.mktemp("grey"))


@pytest.fixture(scope="session")
def colour(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of 24 colour pictures."""
    return _save_images(tmp_path_factory.mktemp("colour"), colour=True)


@pytest.fixture(scope="session")
def mnist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of data sets whose MNIST has 60 training and 12 test digits."""
    folder, sample = tmp_path_factory.mktemp("data"), load_images("mnist-sample")
    arrays = {
        "train_images": sample.train[:60, 0],
        "train_labels": sample.train_labels[:60],
        "test_images": sample.test[:12, 0],
        "test_labels": sample.test_labels[:12],
    }
    np.savez(folder / "mnist.npz", **{name: array.numpy() for name, array in arrays.items()})
    return folder


TrainRun = Callable[..., tuple[Path, Done]]


@pytest.fixture(scope="session")
def train_run(tmp_path_factory: pytest.TempPathFactory) -> TrainRun:
    """Train a tiny model once for several tests; give the run directory and what was printed."""

    def make(name: str, *arguments: object) -> tuple[Path, Done]:
        run = tmp_path_factory.mktemp("runs") / name
        with _in_float32():
            done = _call("train_svi", *TINY, "--run", run, "--train.steps=4", *arguments)
        assert done.status == 0, done
        return run, done

    return make


@pytest.fixture(scope="session")
def digits_run(train_run: TrainRun, mnist: Path) -> tuple[Path, Done]:
    """A program with the root alone random, on a few labelled digits. Not to be written to: see ``finished``.

    It takes its few steps at the full learning rate, so that two images' parts differ to be seen.
    """
    options = "--model.node_latents=none", "--train.lr_warmup_steps=0", "--data=mnist", f"--data_dir={mnist}"
    return train_run("digits", *options)


@pytest.fixture(scope="session")
def grey_run(train_run: TrainRun, grey: Path) -> tuple[Path, Done]:
    """A recursive neural program on grey pictures. Not to be written to."""
    return train_run("grey", f"--data=folder:{grey}")


@pytest.fixture
def finished(digits_run: tuple[Path, Done], tmp_path: Path) -> Path:
    """A run that has used up its budget, to change and to damage."""
    return Path(shutil.copytree(digits_run[0], tmp_path / "run"))


@pytest.fixture(scope="session")
def vae_run(train_run: TrainRun, grey: Path) -> tuple[Path, Done]:
    """The flat baseline on grey pictures. Not to be written to."""
    return train_run("vae", f"--data=folder:{grey}", "--model.name=vae")


@pytest.fixture(scope="session")
def colour_run(train_run: TrainRun, colour: Path) -> tuple[Path, Done]:
    """A program with the root alone random, on colour pictures. Not to be written to."""
    return train_run("colour", "--model.node_latents=none", f"--data=folder:{colour}")
