"""Train a model and a guide: python -m examples.train_svi [--preset NAME] [--data DATA] [--train.minutes M] ...

Writes a run directory with settings, metrics, weights, a checkpoint, a summary of the test split, and figures.
"""

import argparse
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import torch
import yaml
from lightning_fabric import Fabric

from examples.shared.cli import config_parser, parse_config, run_command, take_option, takes
from examples.shared.devices import launch
from examples.shared.memory import keep_freed_memory
from examples.shared.observer import RunObserver
from examples.shared.pair import Pair, build_pair
from examples.shared.report import draw_figures, measure, summary
from inference.training.loop import train
from inference.training.schedule import Progress, check_schedule, make_progress
from inference.training.task import Outcome, Task
from rnp_pyro.build import weights_to_come
from rnp_pyro.checkpoint import (
    CHECKPOINT,
    CONFIG,
    SCHEDULE,
    SUMMARY,
    WEIGHTS,
    create_run,
    load_checkpoint,
    open_run,
    read_json,
    save_weights,
    write_json,
    write_text,
)
from rnp_pyro.config import Config
from rnp_pyro.data import ImageData, load_images
from rnp_pyro.errors import UserError

DESCRIPTION = "Train a recursive neural program, or the flat baseline, by stochastic variational inference."


def main(config: Config, resume: Path | None = None) -> Path:
    """Train, evaluate on the test split, and draw.

    Args:
        config: The run's settings; ``config.run`` is its directory.
        resume: A run directory to go on in, in place of a new one.

    Returns:
        The run directory.

    Raises:
        UserError: If anything does not fit; nothing is written then, unless training itself went wrong.
    """
    keep_freed_memory()
    check_schedule(config.train)
    recorded = _read_schedule(Path(config.train.schedule)) if config.train.schedule else None
    data = load_images(
        config.data,
        data_dir=config.data_dir,
        image_size=config.image_size,
        mixed_sizes=config.mixed_sizes,
        invert=config.invert,
        white=config.white,
    )
    pair = build_pair(config if resume is None else weights_to_come(config), data.image_shape)
    progress = make_progress(config.train, len(data.train), recorded)
    fabric = launch(config.fabric)
    if fabric.is_global_zero:
        for note in data.notes:
            print(f"note: {note}", file=sys.stderr)
    resumed = _load_resumed(resume, pair, progress) if resume is not None else None
    run = resume or Path(config.run or new_run_name(config.model.name))
    if fabric.is_global_zero:
        if resume is None:
            create_run(run)
        write_text(run / CONFIG, yaml.safe_dump(_plain(asdict(config)), sort_keys=False))
    fabric.barrier()
    return _train_and_report(config, data, pair, progress, fabric, run, resumed)


def new_run_name(kind: str) -> str:
    """Name a run directory after a preset, or a model, and the time."""
    return f"runs/{kind}-{datetime.now():%Y%m%d-%H%M%S}"


def _read_schedule(path: Path) -> list[float]:
    """Read the schedule.json of a minutes run: progress of each step."""
    schedule = read_json(path)
    progress = schedule.get("progress") if isinstance(schedule, dict) else None
    if not isinstance(progress, list) or not progress or not all(isinstance(now, int | float) for now in progress):
        raise UserError(f"expected the schedule.json of a run trained by --train.minutes, got {path}")
    return progress


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
            f"the checkpoint in {run} is damaged or of another model: go on with the model and guide in its {CONFIG}"
        ) from None
    # A run that was interrupted between its last step and its summary has yet to be reported.
    reported = (run / SUMMARY).exists() and read_json(run / SUMMARY).get("steps") == step
    if reported and progress(step, seconds) >= 1:
        raise UserError(f"the run {run} has used its budget up: give a larger one, such as --train.minutes 10")
    return state


def _train_and_report(
    config: Config,
    data: ImageData,
    pair: Pair,
    progress: Progress,
    fabric: Fabric,
    run: Path,
    resumed: dict[str, Any] | None,
) -> Path:
    validation = pair.prepare_fixed(data.validation[: config.train.validation_images])
    task = Task(pair.model, pair.amortized, data.train, validation, pair.prepare, config.seed, pair.refinement)
    observer = RunObserver(run, resumed["step"] if resumed else None, silent=not fabric.is_global_zero)
    with observer.watching():
        outcome = train(task, config.train, progress, fabric, observer, resumed)
    if fabric.is_global_zero and outcome.finished:
        _report(config, data, pair, run, outcome, fabric.device)
        if observer.stopped:  # asked to stop in the last step: nothing is left of this run, but of what is around it
            raise KeyboardInterrupt
    elif fabric.is_global_zero:
        print(f"stopped at step {outcome.steps}; go on with: python -m examples.train_svi --resume {run}")
    return run


def _report(config: Config, data: ImageData, pair: Pair, run: Path, outcome: Outcome, device: torch.device) -> None:
    """Write weights, summary and figures, and print where they are."""
    save_weights(pair.modules, run / WEIGHTS)
    if config.train.minutes is not None:
        write_json(run / SCHEDULE, {"progress": outcome.schedule})
    numbers = measure(pair, data.test, device)
    speed = {"images_per_second": round(outcome.images_per_second, 1), "seconds": round(outcome.seconds, 1)}
    found = summary({**numbers, "steps": outcome.steps, **speed}, data, config.seed)
    paths = draw_figures(run, pair, data, device)
    write_json(run / SUMMARY, found)
    distinct = "" if found["distinct_parts"] is None else f", distinct parts {found['distinct_parts']:.3f}"
    print(
        f"test: -ELBO {found['neg_elbo']:.2f} nats per image (reconstruction {found['reconstruction']:.2f}, "
        f"KL {found['kl']:.2f}), squared error {found['mse']:.4f} per pixel{distinct}"
    )
    print(f"{outcome.steps} steps, {outcome.seconds / 60:.1f} minutes, {outcome.images_per_second:.0f} images/s")
    print(f"run directory: {run}")
    print("figures: " + " ".join(str(path) for path in paths))


def _plain(value: Any) -> Any:
    """Turn tuples into lists, which YAML has."""
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    return [_plain(item) for item in value] if isinstance(value, list | tuple) else value


def command(arguments: Sequence[str]) -> None:
    """Read the command line and train."""
    parser = config_parser("train_svi", DESCRIPTION)
    parser.add_argument("--resume", default=argparse.SUPPRESS, help="Run directory to go on in, from its checkpoint.")
    given, arguments = take_option("--resume", arguments)
    resume = None if given is None else open_run(Path(given))
    config, preset, _ = parse_config(parser, arguments, resume / CONFIG if resume else None)
    if resume is not None and (takes("--preset", arguments) or takes("--run", arguments)):
        raise UserError(f"--resume goes on in {resume} with its own settings: leave --preset and --run out")
    if resume is None and config.run is None:
        config = replace(config, run=new_run_name(preset))
    main(config, resume)


if __name__ == "__main__":
    run_command(command)
