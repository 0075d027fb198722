"""Train a run: from settings and data to trained weights, in memory or in a folder."""

import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lightning_fabric import Fabric

from inference.training.loop import check_batch_size, train
from inference.training.parts import check_parts
from inference.training.schedule import Progress, check_schedule, make_progress
from inference.training.task import Outcome, Task
from rnp_pyro.api.devices import launch
from rnp_pyro.api.initial import Started, start_from
from rnp_pyro.api.observer import RunObserver
from rnp_pyro.api.opening import load, read_settings
from rnp_pyro.api.pair import Pair, build_pair
from rnp_pyro.api.record import DataRecord, differences, read_record, record_of, write_record
from rnp_pyro.api.report import draw_figures, measure, summary
from rnp_pyro.api.settings import check_writable, write_settings
from rnp_pyro.build import start_like, weights_to_come
from rnp_pyro.checkpoint import (
    CHECKPOINT,
    CONFIG,
    SCHEDULE,
    SUMMARY,
    WEIGHTS,
    create_run,
    load_checkpoint,
    read_object,
    save_weights,
    write_json,
)
from rnp_pyro.config import Config
from rnp_pyro.data import ImageData
from rnp_pyro.errors import UserError


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
        terminated: Whether it was the system that asked it to stop, for the process to end.
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
    terminated: bool = False
    summary: dict[str, Any] | None = None
    figures: tuple[Path, ...] = ()

    @property
    def interrupted(self) -> bool:
        """Whether the user wants what is around the run to end."""
        return self.stopped or not self.outcome.finished


def train_run(
    config: Config, data: ImageData, path: Path | None, resume: bool = False, silent: bool = False
) -> Trained:
    """Train, and into a folder write settings, metrics, weights, checkpoints, and a summary with figures.

    Args:
        config: The run's settings.
        data: What it is trained, validated and measured on.
        path: Folder of the run, a new one; None: everything stays in memory.
        resume: The folder is that of a run to go on with.
        silent: Show no bar.

    Raises:
        UserError: If anything does not fit; nothing is written then, unless training itself went wrong.
    """
    check_writable(config)
    check_schedule(config.train)
    recorded = _read_schedule(Path(config.train.schedule)) if config.train.schedule else None
    config = config if resume else start_like(config, data.train)
    pair = build_pair(weights_to_come(config) if resume else config, data.image_shape)
    started = None if resume else _start(config, pair)
    check_parts(config.train, pair.model, pair.amortized)
    progress = make_progress(config.train, len(data.train), recorded)
    record = record_of(data)
    if resume and path is not None:
        _check_unchanged(path, data)
        _check_same_parts(path, config)
    fabric = launch(config.fabric)
    check_batch_size(config.train, fabric.world_size)
    resumed = _load_resumed(path, pair, progress) if resume and path is not None else None
    if fabric.is_global_zero:
        for note in data.notes:
            print(f"note: {note}", file=sys.stderr)
        for line in started.lines() if started is not None and not silent else []:
            print(line, file=sys.stderr)
    if path is not None and fabric.is_global_zero:
        if not resume:
            create_run(path)
        write_settings(config, path / CONFIG)
        write_record(record, path)
        if started is not None:
            started.write(path)
    fabric.barrier()
    validation = pair.prepare_fixed(data.validation[: config.train.validation_images])
    task = Task(pair.model, pair.amortized, data.train, validation, pair.prepare, config.seed, pair.refinement)
    step = resumed["step"] if resumed else None
    observer = RunObserver(path, step, first=fabric.is_global_zero, silent=silent)
    with observer.watching():
        outcome = train(task, config.train, progress, fabric, observer, resumed)
    trained = Trained(config, pair, record, path, outcome, observer.stopped, fabric.is_global_zero, observer.terminated)
    return _report(trained, config, data, fabric) if trained.first and outcome.finished and path else trained


def _read_schedule(path: Path) -> list[float]:
    """Read the schedule.json of a minutes run: progress of each step."""
    progress = read_object(path).get("progress")
    if not isinstance(progress, list) or not progress or not all(isinstance(now, int | float) for now in progress):
        raise UserError(f"expected the schedule.json of a run trained by --train.minutes, got {path}")
    return progress


def _start(config: Config, pair: Pair) -> Started | None:
    """Take another run's weights, if the settings name one."""
    if config.init is None:
        if config.init_parts is not None:
            raise UserError("--init_parts names what to take from another run: name it with --init RUN")
        return None
    return start_from(pair, load(Path(config.init)), config.init_parts)


def _check_same_parts(path: Path, config: Config) -> None:
    """Refuse to go on with other parts: the optimizer's state is that of those which the run trains."""
    before = read_settings(path)
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


def _check_unchanged(path: Path, data: ImageData) -> None:
    """Refuse to go on with a run on other images: its test images may be among those that it was trained on."""
    if (record := read_record(path)) is not None and (differing := differences(record, data)):
        raise UserError(
            f"{data.name} is not what the run {path} began with ({'; '.join(differing)}): put it back as it was, say "
            "with --data where it is now, or begin a new run"
        )


def _load_resumed(run: Path, pair: Pair, progress: Progress) -> dict[str, Any]:
    """Load the checkpoint of a run that can go on, and try it on the pair before anything is written."""
    state = load_checkpoint(run / CHECKPOINT)
    try:
        pair.modules.load_state_dict(state["weights"])
        step, seconds = state["step"], state["seconds"]
        missing = {"schedule", "optimizer", "average"} - set(state)
        if missing:
            raise KeyError(missing)
    except (KeyError, TypeError, RuntimeError):
        raise UserError(
            f"the checkpoint in {run} is damaged or of another model: continue with the model and guide in its {CONFIG}"
        ) from None
    # A run that was interrupted between its last step and its summary has yet to be reported.
    reported = (run / SUMMARY).exists() and read_object(run / SUMMARY).get("steps") == step
    if reported and progress(step, seconds) >= 1:
        raise UserError(f"the run {run} has used up its budget: give a larger one, such as --train.minutes 10")
    return state


def _report(trained: Trained, config: Config, data: ImageData, fabric: Fabric) -> Trained:
    """Write weights, summary and figures."""
    path, pair, outcome = trained.path, trained.pair, trained.outcome
    assert path is not None
    save_weights(pair.modules, path / WEIGHTS)
    if config.train.minutes is not None:
        write_json(path / SCHEDULE, {"progress": outcome.schedule})
    numbers = measure(pair, data.test, fabric.device)
    speed = {"images_per_second": round(outcome.images_per_second, 1), "seconds": round(outcome.seconds, 1)}
    found = summary({**numbers, "steps": outcome.steps, **speed}, data, config.seed)
    figures = draw_figures(path, pair, data, fabric.device)
    write_json(path / SUMMARY, found)
    return replace(trained, summary=found, figures=tuple(figures))
