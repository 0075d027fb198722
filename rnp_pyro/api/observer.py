"""Who watches a run: a progress bar, metrics.csv, TensorBoard if it is installed, checkpoints, signals."""

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from inference.training.task import COLUMNS
from rnp_pyro.api.notebook import hide_bar
from rnp_pyro.api.telling import tell
from rnp_pyro.checkpoint import CHECKPOINT, CHECKPOINT_BEFORE, METRICS, MetricsFile, save_checkpoint
from rnp_pyro.errors import UserError

BAR = "{percentage:3.0f}%|{bar}| {elapsed}<{remaining}, {postfix}"

SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGUSR1", "SIGUSR2") if hasattr(signal, name)
)
"""What users, closed terminals and schedulers send to a process that is to end."""


class RunObserver:
    """Keeps what a training run tells, in its directory and on the screen.

    What cannot be written is told once, and training goes on: the file is written when there is room again.

    Args:
        run: The run directory; None: nothing is kept.
        resumed_step: On resuming, the step of the checkpoint.
        first: This is the first process of a distributed run, or the only one; others keep and show nothing.
        silent: Show nothing but warnings.
    """

    def __init__(
        self, run: Path | None, resumed_step: int | None = None, first: bool = True, silent: bool = False
    ) -> None:
        self.run = run if first else None
        self.silent = silent or not first
        self.saved_step = resumed_step
        self.unwritten: dict[str, str] = {}
        self.later: list[str] = []
        self.metrics = None
        if self.run is not None:
            # A run that begins drops the rows of one that was ended before its first checkpoint.
            until = -1 if resumed_step is None else resumed_step
            self.metrics = MetricsFile(self.run / METRICS, COLUMNS, until, self.warn)
        self.board = None if self.run is None else self._tensorboard(self.run)
        # On a terminal and in a notebook a bar; elsewhere (a log file) one line per validation.
        self.bar = tqdm(total=1.0, bar_format=BAR, disable=hide_bar(self.silent))
        self.stopped, self.signal, self.ends_at_once = False, None, False

    def row(self, row: dict[str, float]) -> None:
        """Append a row to metrics.csv, and show it; that of a validation when the checkpoint has been saved."""
        if self.metrics is not None:
            metrics = self.metrics
            self._write(METRICS, lambda: metrics.append(row))
        if self.board is not None:
            try:
                for name, value in row.items():
                    self.board.add_scalar(name, value, row["step"])
            except Exception as error:  # of another version of NumPy or protobuf: almost anything
                self.board = self._without_tensorboard(error)
        if self.silent:
            return
        text = _text(row)
        if "progress" in row:
            self.bar.n = min(1.0, row["progress"])
        if not self.bar.disable:
            self.bar.set_postfix_str(text)
        elif "validation_neg_elbo" in row:
            self.later.append(f"{row['seconds'] / 60:6.1f} min  {text}")

    def save(self, state: dict[str, Any]) -> None:
        """Write the checkpoint, keep the one before, and print what waited for it."""
        if self.run is not None:
            path, before = self.run / CHECKPOINT, self.run / CHECKPOINT_BEFORE
            if self._write(CHECKPOINT, lambda: save_checkpoint(state, path, before)):
                self.saved_step = state["step"]
        for line in self.later:
            tell(line)
        self.later = []

    def _write(self, name: str, write: Callable[[], None]) -> bool:
        """Write a file, and return whether that went well; a failure is told when it begins."""
        try:
            write()
        except UserError as error:
            if name not in self.unwritten:
                kept = "" if self.saved_step is None else f"; the checkpoint of step {self.saved_step} stays"
                self.warn(f"{error}: training goes on{kept}")
            self.unwritten[name] = str(error)
            return False
        self.unwritten.pop(name, None)
        return True

    def warn(self, message: str) -> None:
        """Print a warning above the bar."""
        with suppress(OSError, ValueError):  # a terminal that is gone must not end the run
            tqdm.write(f"warning: {message}", file=sys.stderr)

    def should_stop(self) -> bool:
        """Return whether the user pressed Ctrl-C, or the system asked the process to end."""
        return self.stopped

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Turn an interrupt into a stop after the current step, so that its state can be saved; close files after.

        Raises:
            KeyboardInterrupt: At a signal after :meth:`end_at_once`.
        """

        def stop(number: int, frame: Any) -> None:
            self.stopped, self.signal = True, self.signal or number
            if self.ends_at_once:
                raise KeyboardInterrupt

        # Only the main thread may handle signals; in another, such as a notebook's, the run cannot be interrupted so.
        is_main = threading.current_thread() is threading.main_thread()
        numbers = [one for one in SIGNALS if is_main and not _is_left_alone(one)]
        before = {one: signal.signal(one, stop) for one in numbers}
        hook = threading.excepthook

        def thread_failed(failed: Any) -> None:
            if type(failed.thread).__module__.startswith("tensorboard"):  # it writes in a thread of its own
                self.board = self._without_tensorboard(failed.exc_value)
            else:
                hook(failed)

        threading.excepthook = thread_failed
        try:
            yield
        finally:
            threading.excepthook = hook
            for number, handler in before.items():
                signal.signal(number, handler)
            with suppress(OSError, ValueError):
                self.bar.close()
            if self.board is not None:
                with suppress(Exception):  # the run is whole without it
                    self.board.close()

    def end_at_once(self) -> None:
        """From here on nothing is left to save: a signal need not wait for the end of a step."""
        self.ends_at_once = True

    def _tensorboard(self, run: Path) -> Any:
        """Open TensorBoard's file; without TensorBoard, or with one that does not work, there is none."""
        try:
            from torch.utils.tensorboard import SummaryWriter

            return SummaryWriter(str(run / "tensorboard"))
        except Exception as error:  # what it is built on raises almost anything on import
            missing = isinstance(error, ModuleNotFoundError) and error.name in (
                "tensorboard",
                "torch.utils.tensorboard",
            )
            return None if missing else self._without_tensorboard(error)

    def _without_tensorboard(self, error: Exception) -> None:
        reason = " ".join(str(error).split())[:200]
        self.warn(f"TensorBoard does not work here, and is left out ({type(error).__name__}: {reason})")


def _is_left_alone(number: int) -> bool:
    """Return whether a signal's handler is a program's around Python, or nohup has the terminal's end ignored."""
    handler = signal.getsignal(number)
    return handler is None or (handler == signal.SIG_IGN and number == getattr(signal, "SIGHUP", None))


def _text(row: dict[str, float]) -> str:
    shown = {
        "neg_elbo": "-ELBO {:.1f}",
        "kl": "KL {:.1f} nats",
        "images_per_second": "{:.0f} images/s",
        "validation_neg_elbo": "validation -ELBO {:.1f}",
    }
    return ", ".join(form.format(row[name]) for name, form in shown.items() if name in row)
