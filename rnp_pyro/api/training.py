"""Train a run: from settings and data to trained weights, in memory or in a folder."""

import signal
import sys
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from inference.training.devices import largest
from inference.training.loop import train
from inference.training.parts import check_parts
from inference.training.runaway import NotFiniteError
from inference.training.schedule import check_batch_size, check_schedule, make_progress
from inference.training.task import Outcome, Task
from rnp_pyro.api.devices import launch
from rnp_pyro.api.initial import Started, start_from
from rnp_pyro.api.keeping import (
    Attempts,
    by_the_first,
    check_same_parts,
    check_unchanged,
    has_begun,
    hold_run,
    load_resumed,
    one_line_for_all,
)
from rnp_pyro.api.observer import RunObserver
from rnp_pyro.api.opening import load
from rnp_pyro.api.pair import Builder, Pair, build_pair
from rnp_pyro.api.record import DataRecord, record_of, write_record
from rnp_pyro.api.report import draw_figures, measure, summary
from rnp_pyro.api.settings import check_writable, write_settings
from rnp_pyro.api.whereabouts import with_whole_paths
from rnp_pyro.build import start_like, weights_to_come
from rnp_pyro.checkpoint import (
    CONFIG,
    SCHEDULE,
    SUMMARY,
    WEIGHTS,
    read_object,
    save_weights,
    write_json,
)
from rnp_pyro.config import Config
from rnp_pyro.data import ImageData
from rnp_pyro.errors import UserError
from rnp_pyro.limits import check_limits


@dataclass(frozen=True)
class Trained:
    """What training left.

    Args:
        config: The settings, with what they leave to the images filled in.
        pair: Model and guide, trained in place.
        record: What the run knows of its data.
        path: Its folder; None: it is in memory only.
        outcome: How training ended.
        stopped: Whether the user asked it to stop, perhaps in its last step.
        first: Whether this is the first process of a distributed run, or the only one.
        signal: What asked it to stop; None: nothing did.
        unwritten: One line for each file that could not be written.
        summary: The numbers of ``summary.json``; None without a folder, if training has not ended, or in a process
            that is not the first of a distributed run.
        figures: The files that were drawn.
    """

    config: Config
    pair: Pair
    record: DataRecord
    path: Path | None
    outcome: Outcome
    stopped: bool
    first: bool = True
    signal: int | None = None
    unwritten: tuple[str, ...] = ()
    summary: dict[str, Any] | None = None
    figures: tuple[Path, ...] = ()

    @property
    def interrupted(self) -> bool:
        """Whether the user wants what is around the run to end."""
        return self.stopped or not self.outcome.finished

    @property
    def terminated(self) -> bool:
        """Whether it was the system that asked it to stop, for the process to end, and not the user."""
        return self.signal not in (None, signal.SIGINT)

    @property
    def exit_status(self) -> int:
        """What a process ends with as the shell expects: 128 and the signal if it was interrupted, else 0."""
        # Launchers end all processes at once when one ends with another status, so the first alone has it.
        return 128 + (self.signal or signal.SIGINT) if self.interrupted and self.first else 0


def train_run(
    config: Config,
    data: ImageData,
    path: Path | None,
    resume: bool = False,
    silent: bool = False,
    build: Builder = build_pair,
) -> Trained:
    """Train, and into a folder write settings, metrics, weights, checkpoints, and a summary with figures.

    Args:
        config: The run's settings.
        data: What it is trained, validated and measured on.
        path: Folder of the run, a new one; None: everything stays in memory.
        resume: The folder is that of a run to go on with.
        silent: Show no bar.
        build: What builds model and guide.

    Raises:
        UserError: If anything does not fit; nothing is written then, unless training itself went wrong.
    """
    config = with_whole_paths(config)
    check_writable(config)
    check_limits(config)
    check_schedule(config.train)
    recorded = _read_schedule(Path(config.train.schedule)) if config.train.schedule else None
    begun = resume and path is not None and has_begun(path)
    config = config if begun else start_like(config, data.train)
    pair = build(weights_to_come(config) if begun else config, data.image_shape)
    if path is not None:
        pair.check_nameable()
    started = None if begun else _start(config, pair)
    check_parts(config.train, pair.model, pair.amortized)
    progress = make_progress(config.train, len(data.train), recorded)
    record = record_of(data)
    if resume and path is not None:
        check_unchanged(path, data)
        check_same_parts(path, config)
    fabric = launch(config.fabric)
    check_batch_size(config.train, fabric.world_size)
    path = fabric.broadcast(path)  # a name by the time is each process's own

    def begin() -> dict[str, Any] | None:
        """Take the folder, and find what to go on from, before anything of a run in it is replaced."""
        if path is None:
            return None
        hold_run(held, path, resume)
        resumed = load_resumed(path, pair, progress) if resume else None
        write_settings(config, path / CONFIG)
        write_record(record, path)
        if started is not None:
            started.write(path)
        return resumed

    with ExitStack() as held, one_line_for_all(fabric, path):
        resumed = by_the_first(fabric, begin)
        if fabric.is_global_zero:
            for note in data.notes:
                print(f"note: {note}", file=sys.stderr)
            for line in started.lines() if started is not None and not silent else []:
                print(line, file=sys.stderr)
        validation = pair.prepare_fixed(data.validation[: config.train.validation_images])
        task = Task(pair.model, pair.amortized, data.train, validation, pair.prepare, config.seed, pair.refinement)
        step = resumed["step"] if resumed else None
        observer = RunObserver(path, step, first=fabric.is_global_zero, silent=silent)
        with observer.watching():
            try:
                outcome = train(task, config.train, progress, fabric, observer, resumed)
            except NotFiniteError as error:
                raise UserError(_with_way_on(error, path, observer.saved_step)) from None
            observer.signal = largest(fabric, observer.signal or 0) or None
            trained = Trained(config, pair, record, path, outcome, observer.stopped, fabric.is_global_zero)
            if trained.first and outcome.finished and path is not None:
                observer.end_at_once()
                try:
                    trained = _report(trained, config, data, fabric)
                except KeyboardInterrupt:  # the checkpoint is there, and the run is reported when it goes on
                    observer.stopped = True
        unwritten = (*observer.unwritten.values(), *trained.unwritten)
        return replace(trained, stopped=observer.stopped, signal=observer.signal, unwritten=unwritten)


def _with_way_on(error: NotFiniteError, path: Path | None, step: int | None) -> str:
    """Return an error's line with the command that goes on from before it."""
    if path is None or step is None:
        return f"{error}: begin a new run with {error.options}"
    return (
        f"{error}: the checkpoint of step {step}, from before, is kept; go on from it with "
        f"python -m examples.train_svi --resume {path} {error.options}"
    )


def _read_schedule(path: Path) -> list[float]:
    """Read the schedule.json of a minutes run: progress of each step."""
    progress = read_object(path).get("progress")
    if not isinstance(progress, list) or not progress or not all(type(now) in (int, float) for now in progress):
        raise UserError(f"expected the schedule.json of a run trained by --train.minutes, got {path}")
    if not all(0 <= now < 1 for now in progress):
        raise UserError(f"expected progress of at least 0 and below 1 in {path}: the file was changed")
    return progress


def _start(config: Config, pair: Pair) -> Started | None:
    """Take another run's weights, if the settings name one."""
    if config.init is None:
        if config.init_parts is not None:
            raise UserError("--init_parts names what to take from another run: name it with --init RUN")
        return None
    return start_from(pair, load(Path(config.init)), config.init_parts)


def _report(trained: Trained, config: Config, data: ImageData, fabric: Fabric) -> Trained:
    """Measure, and write weights, summary and figures, or what of them can be written."""
    path, pair, outcome, attempt = trained.path, trained.pair, trained.outcome, Attempts()
    assert path is not None
    attempt(lambda: save_weights(pair.modules, path / WEIGHTS))
    if config.train.minutes is not None:
        attempt(lambda: write_json(path / SCHEDULE, {"progress": outcome.schedule}))
    numbers = measure(pair, data.test, fabric.device)
    speed = {"images_per_second": round(outcome.images_per_second, 1), "seconds": round(outcome.seconds, 1)}
    found = summary({**numbers, "steps": outcome.steps, **speed}, data, config.seed)
    figures = attempt(lambda: draw_figures(path, pair, data, fabric.device)) or []
    if not attempt.failed:  # the summary stands for a run that is whole
        attempt(lambda: write_json(path / SUMMARY, found))
    return replace(trained, summary=found, figures=tuple(figures), unwritten=tuple(attempt.failed))
