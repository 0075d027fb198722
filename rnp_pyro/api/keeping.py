"""A training run's folder: taken by one process, begun or gone on with, and reported as far as it can be written."""

import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, TypeVar

from lightning_fabric import Fabric

from inference.training.schedule import Progress
from rnp_pyro.api.opening import read_settings
from rnp_pyro.api.pair import Pair
from rnp_pyro.api.record import differences, read_record
from rnp_pyro.api.whereabouts import with_whole_paths
from rnp_pyro.checkpoint import (
    CHECKPOINT,
    CHECKPOINT_BEFORE,
    CONFIG,
    FIGURES,
    SUMMARY,
    claim_run,
    load_newest_checkpoint,
    read_object,
)
from rnp_pyro.config import Config
from rnp_pyro.data import ImageData
from rnp_pyro.errors import ReportedError, UserError
from rnp_pyro.lock import only_writer
from rnp_pyro.weights import not_finite
from rnp_pyro.writing import remove_leftovers

Result = TypeVar("Result")

PARTS = ("step", "seconds", "schedule", "weights", "optimizer", "average")
"""What a checkpoint holds."""


def by_the_first(fabric: Fabric, work: Callable[[], Result]) -> Result:
    """Let the first process of a distributed run do something, and return its result in all.

    Raises:
        UserError: In all of them, if it is raised in the first.
    """
    result, message = None, None
    if fabric.is_global_zero:
        try:
            result = work()
        except UserError as error:
            if fabric.world_size == 1:
                raise
            message = str(error)
    result, message = fabric.broadcast((result, message))
    if message is not None:
        raise (UserError if fabric.is_global_zero else ReportedError)(message)
    return result  # type: ignore[return-value]


def hold_run(held: ExitStack, path: Path, resume: bool) -> None:
    """Make the folder of a new run, and be its only writer. Leftovers of killed processes are removed.

    Args:
        held: Lets go of the folder when it is closed.
        path: The folder.
        resume: Whether its run is to go on.

    Raises:
        UserError: If the folder is another run's, or another process is writing to it.
    """
    if not resume:
        claim_run(path)
    held.enter_context(only_writer(path))
    for folder in (path, path / FIGURES):
        remove_leftovers(folder)


def has_begun(run: Path) -> bool:
    """Return whether a run has something to go on from; it has from its first second on."""
    return any((run / name).exists() for name in (CHECKPOINT, CHECKPOINT_BEFORE, SUMMARY))


def load_resumed(run: Path, pair: Pair, progress: Progress) -> dict[str, Any] | None:
    """Load the checkpoint of a run that can go on, and try it on the pair before anything is written.

    Returns:
        The state to go on from; None if the run was ended before its first checkpoint.

    Raises:
        UserError: If it is damaged, of another model, or of a run that has used up its budget.
    """
    if not has_begun(run):
        return None
    state, note = load_newest_checkpoint(run)
    try:
        missing = set(PARTS) - set(state)
        if missing:
            raise KeyError(missing)
        step, seconds = state["step"], state["seconds"]
        if not (isinstance(step, int) and isinstance(seconds, int | float) and len(state["schedule"]) == step >= 0):
            raise TypeError
        pair.modules.load_state_dict(state["weights"])
    except (KeyError, TypeError, ValueError, RuntimeError, AttributeError):
        raise UserError(
            f"the checkpoint in {run} is damaged or of another model: continue with the model and guide in its {CONFIG}"
        ) from None
    if (bad := not_finite(state["weights"])) is not None:
        raise UserError(
            f"the checkpoint in {run} cannot be gone on from: {bad} is not finite; take its {CHECKPOINT} away, and the "
            "one before is taken"
        )
    # A run that was interrupted between its last step and its summary has yet to be reported.
    reported = (run / SUMMARY).exists() and read_object(run / SUMMARY).get("steps") == step
    if reported and progress(step, seconds) >= 1:
        raise UserError(f"the run {run} has used up its budget: give a larger one, such as --train.minutes 10")
    if note is not None:
        print(f"warning: {note}", file=sys.stderr)
    return state


def check_unchanged(path: Path, data: ImageData) -> None:
    """Refuse to go on with a run on other images: its test images may be among those that it was trained on."""
    if (record := read_record(path)) is not None and (differing := differences(record, data)):
        raise UserError(
            f"{data.name} is not what the run {path} began with ({'; '.join(differing)}): put it back as it was, say "
            "with --data where it is now, or begin a new run"
        )


def check_same_parts(path: Path, config: Config) -> None:
    """Refuse to go on with other parts: the optimizer's state is that of those which the run trains."""
    before = with_whole_paths(read_settings(path))
    for option, was, now in (
        ("--train.only", before.train.only, config.train.only),
        ("--train.freeze", before.train.freeze, config.train.freeze),
        ("--init", before.init, config.init),
        ("--init_parts", before.init_parts, config.init_parts),
    ):
        if was != now:
            raise UserError(
                f"--resume goes on with what {path} trains, and {option} differs from its own: leave it out, or begin "
                f"a new run with --init {path}"
            )


LOST = ("gloo", "nccl", "connection", "peer", "socket")
"""Words of which the errors of an exchange with a process that is gone have one."""


@contextmanager
def one_line_for_all(fabric: Fabric, run: Path | None) -> Iterator[None]:
    """Let the first process of a distributed run report what goes wrong in all, and tell of a process that is gone.

    Raises:
        UserError: In place of what a collective operation raises when another process has ended.
        ReportedError: In all processes but the first, in place of what is raised in all.
    """
    try:
        yield
    except UserError as error:
        if fabric.is_global_zero:
            raise
        raise ReportedError(str(error)) from None
    except RuntimeError as error:
        if fabric.world_size == 1 or not any(word in str(error).lower() for word in LOST):
            raise
        way_on = "" if run is None else f"; go on with python -m examples.train_svi --resume {run}"
        raise UserError(f"another process of this training has ended, and so does this one{way_on}") from None


class Attempts:
    """Writes that may fail one by one: the others are made all the same."""

    def __init__(self) -> None:
        self.failed: list[str] = []

    def __call__(self, write: Callable[[], Result]) -> Result | None:
        """Make a write; return what it returns, or None if it fails."""
        try:
            return write()
        except UserError as error:
            self.failed.append(str(error))
        except OSError as error:
            self.failed.append(f"cannot write to {error.filename}: {error.strerror}")
        return None
