"""Who watches a run: metrics, TensorBoard, checkpoints, the screen, and signals."""

import signal
import sys
import threading
from threading import Thread
from types import ModuleType

import pytest
import torch

from inference.training.task import COLUMNS
from rnp_pyro.api.observer import RunObserver
from rnp_pyro.checkpoint import load_checkpoint, read_metrics

ROW = {"step": 25, "seconds": 90.0, "progress": 0.5, "neg_elbo": 120.04, "kl": 12.5, "images_per_second": 600.4}
VALIDATION = {"step": 25, "seconds": 90.0, "validation_neg_elbo": 118.0, "validation_kl": 12.0}


@pytest.fixture(autouse=True)
def _without_tensorboard(monkeypatch):
    """It takes a second to import; as where it is not installed."""
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)


@pytest.mark.thorough
def test_metrics(tmp_path):
    observer = RunObserver(tmp_path)
    observer.row(ROW)
    observer.row(VALIDATION)
    first, second = read_metrics(tmp_path / "metrics.csv")
    assert tuple(first) == COLUMNS
    assert {name: float(value) for name, value in first.items() if value} == ROW
    assert {name: float(value) for name, value in second.items() if value} == VALIDATION


@pytest.mark.thorough
def test_rows_after_the_checkpoint_are_made_again(tmp_path):
    observer = RunObserver(tmp_path)
    for step in (25, 50, 75):
        observer.row({**ROW, "step": step})
    RunObserver(tmp_path, resumed_step=50).row({**ROW, "step": 75, "kl": 1.0})
    assert [(row["step"], row["kl"]) for row in read_metrics(tmp_path / "metrics.csv")] == [
        ("25", "12.5"),
        ("50", "12.5"),
        ("75", "1.0"),
    ]


@pytest.mark.thorough
def test_checkpoints(tmp_path):
    RunObserver(tmp_path).save({"step": 3, "weights": {"a": torch.ones(2)}})
    assert load_checkpoint(tmp_path / "checkpoint.pt")["step"] == 3


@pytest.mark.thorough
def test_a_log_has_a_line_for_each_validation(tmp_path, capsys):
    observer = RunObserver(tmp_path)
    observer.row(ROW)
    assert capsys.readouterr() == ("", "")
    observer.row({**ROW, **VALIDATION})
    assert capsys.readouterr() == ("", ""), "saving precedes printing"
    observer.save({"step": 25})
    out, err = capsys.readouterr()
    assert out == "   1.5 min  -ELBO 120.0, KL 12.5 nats, 600 images/s, validation -ELBO 118.0\n"
    assert err == ""


@pytest.mark.thorough
def test_a_terminal_has_a_bar(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    observer = RunObserver(tmp_path)
    observer.row(ROW)
    observer.bar.refresh()
    observer.row({**ROW, **VALIDATION, "progress": 1.2})
    with observer.watching():
        pass
    out, err = capsys.readouterr()
    assert out == ""
    assert " 50%|" in err
    assert "100%|" in err
    assert "-ELBO 120.0, KL 12.5 nats, 600 images/s" in err
    assert "<" in err.split("|")[-1], "time left"


def test_warnings_go_to_standard_error(tmp_path, capsys):
    RunObserver(tmp_path).warn("something")
    assert capsys.readouterr() == ("", "warning: something\n")


@pytest.mark.thorough
def test_other_processes_are_silent(tmp_path, capsys):
    observer = RunObserver(tmp_path, first=False)
    observer.row(ROW)
    observer.row(VALIDATION)
    observer.save({"step": 3})
    assert not list(tmp_path.iterdir())
    assert capsys.readouterr() == ("", "")


@pytest.mark.thorough
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_ask_for_a_stop(tmp_path, number):
    observer, before = RunObserver(tmp_path), signal.getsignal(number)
    assert not observer.should_stop()
    with observer.watching():
        signal.raise_signal(number)
        assert observer.should_stop()
    assert signal.getsignal(number) is before


def test_signals_are_given_back_after_an_error(tmp_path):
    observer, before = RunObserver(tmp_path), signal.getsignal(signal.SIGINT)
    with pytest.raises(ZeroDivisionError), observer.watching():
        raise ZeroDivisionError
    assert signal.getsignal(signal.SIGINT) is before


class Writer:
    """TensorBoard's writer, as far as it is used."""

    def __init__(self, folder: str) -> None:
        self.folder, self.scalars, self.closed = folder, [], False

    def add_scalar(self, name: str, value: float, step: int) -> None:
        self.scalars.append((name, value, step))

    def close(self) -> None:
        self.closed = True


def test_tensorboard_where_it_is_installed(tmp_path, monkeypatch):
    module = ModuleType("tensorboard")
    module.SummaryWriter = Writer
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", module)
    observer = RunObserver(tmp_path)
    with observer.watching():
        observer.row(ROW)
    assert observer.board.folder == str(tmp_path / "tensorboard")
    assert ("kl", 12.5, 25) in observer.board.scalars
    assert len(observer.board.scalars) == len(ROW)
    assert observer.board.closed


def test_without_tensorboard(tmp_path):
    assert RunObserver(tmp_path).board is None


def test_tensorboard_whose_thread_fails_is_left_out(tmp_path, capsys):
    """It writes in a thread of its own, whose traceback nobody asked for."""

    class Worker(Thread):
        def run(self) -> None:
            raise FileNotFoundError("the folder is gone")

    Worker.__module__ = "tensorboard.summary.writer"
    observer, before = RunObserver(tmp_path), threading.excepthook
    observer.board = Writer("")
    with observer.watching():
        (worker := Worker()).start()
        worker.join()
    assert observer.board is None
    assert threading.excepthook is before
    err = capsys.readouterr().err
    assert err == "warning: TensorBoard does not work here, and is left out (FileNotFoundError: the folder is gone)\n"
