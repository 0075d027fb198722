"""Who watches a run: a progress bar, metrics.csv, TensorBoard if it is installed, checkpoints."""

import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from inference.training.task import COLUMNS
from rnp_pyro.api.notebook import hide_bar
from rnp_pyro.checkpoint import CHECKPOINT, METRICS, MetricsFile, save_checkpoint

BAR = "{percentage:3.0f}%|{bar}| {elapsed}<{remaining}, {postfix}"


class RunObserver:
    """Keeps what a training run tells, in its directory and on the screen.

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
        self.metrics = None if self.run is None else MetricsFile(self.run / METRICS, COLUMNS, resumed_step)
        self.board = None if self.run is None else self._tensorboard(self.run)
        # On a terminal and in a notebook a bar; elsewhere (a log file) one line per validation.
        self.bar = tqdm(total=1.0, bar_format=BAR, disable=hide_bar(self.silent))
        self.stopped = self.terminated = False

    def row(self, row: dict[str, float]) -> None:
        """Append a row to metrics.csv, and show it."""
        if self.metrics is not None:
            self.metrics.append(row)
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
            print(f"{row['seconds'] / 60:6.1f} min  {text}", flush=True)

    def save(self, state: dict[str, Any]) -> None:
        """Write the checkpoint."""
        if self.run is not None:
            save_checkpoint(state, self.run / CHECKPOINT)

    def warn(self, message: str) -> None:
        """Print a warning above the bar."""
        tqdm.write(f"warning: {message}", file=sys.stderr)

    def should_stop(self) -> bool:
        """Return whether the user pressed Ctrl-C, or the system asked the process to end."""
        return self.stopped

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Turn an interrupt into a stop after the current step, so that its state can be saved; close files after."""

        def stop(number: int, frame: Any) -> None:
            self.stopped = True
            self.terminated = self.terminated or number == signal.SIGTERM

        # Only the main thread may handle signals; in another, such as a notebook's, the run cannot be interrupted so.
        is_main = threading.current_thread() is threading.main_thread()
        numbers = (signal.SIGINT, signal.SIGTERM) if is_main else ()
        # None is the handler of a program around Python, which could not be put back.
        before = {one: signal.signal(one, stop) for one in numbers if signal.getsignal(one) is not None}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
            self.bar.close()
            if self.board is not None:
                with suppress(Exception):  # the run is whole without it
                    self.board.close()

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


def _text(row: dict[str, float]) -> str:
    shown = {
        "neg_elbo": "-ELBO {:.1f}",
        "kl": "KL {:.1f} nats",
        "images_per_second": "{:.0f} images/s",
        "validation_neg_elbo": "validation -ELBO {:.1f}",
    }
    return ", ".join(form.format(row[name]) for name, form in shown.items() if name in row)
