"""Train a model and a guide: python -m examples.train_svi [--preset NAME] [--data DATA] [--train.minutes M] ...

Writes a run directory with settings, metrics, weights, a checkpoint, a summary of the test split, and figures.
"""

import argparse
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from secrets import token_hex

from jsonargparse import ArgumentParser

from examples.shared.cli import interrupted_silently, run_command
from examples.shared.memory import keep_freed_memory
from rnp_pyro.api.settings import config_parser, parse_config, show_preset, take_option, takes
from rnp_pyro.api.telling import tell
from rnp_pyro.config import Config
from rnp_pyro.errors import UserError
from rnp_pyro.pretrained import is_pretrained

FIRST = (
    "help", "help_all", "preset", "config", "data", "image_size", "run", "resume", "seed", "train.minutes",
    "train.steps", "model.name",
    "model.node_latents", "guide.name", "train.objective", "train.batch_size", "train.learning_rate",
    "fabric.accelerator",
)  # fmt: skip
"""Options that ``--help`` lists, by their names; ``--help_all`` lists the others too."""

DESCRIPTION = "Train a recursive neural program, or the flat baseline, by stochastic variational inference."


def main(config: Config, resume: Path | None = None) -> Path:
    """Train, evaluate on the test split, draw, and print.

    Args:
        config: The run's settings; ``config.run`` is its directory.
        resume: A run directory to continue, in place of a new one.

    Returns:
        The run directory.

    Raises:
        UserError: If anything does not fit; nothing is written then, unless training itself went wrong.
        SystemExit: If training was asked to stop, with 128 and the signal's number.
    """
    with interrupted_silently():
        from rnp_pyro.api.data import load_data  # torch, Pyro and Fabric: seconds, which --help need not wait for
        from rnp_pyro.api.training import train_run

    keep_freed_memory()
    path = resume or Path(config.run or new_run_name(config.model.name))
    trained = train_run(config, load_data(config, trained=resume is not None), path, resume=resume is not None)
    outcome, found = trained.outcome, trained.summary
    again = f"python -m examples.train_svi --resume {path}"
    if found is not None:
        distinct = "" if found["distinct_parts"] is None else f", distinct parts {found['distinct_parts']:.3f}"
        tell(
            f"test: -ELBO {found['neg_elbo']:.2f} nats per image (reconstruction {found['reconstruction']:.2f}, "
            f"KL {found['kl']:.2f}), squared error {found['mse']:.4f} per pixel{distinct}"
        )
        tell(f"{outcome.steps} steps, {outcome.seconds / 60:.1f} minutes, {outcome.images_per_second:.0f} images/s")
        tell(f"run directory: {path}")
        tell("figures: " + " ".join(str(figure) for figure in trained.figures))
    elif trained.first and trained.interrupted:
        tell(f"stopped at step {outcome.steps}; continue with: {again}")
    if trained.unwritten:
        raise UserError(
            f"not all of the run is kept: {'; '.join(trained.unwritten)}: make room, then continue with {again}"
        )
    if trained.interrupted:
        raise SystemExit(trained.exit_status)
    return path


def new_run_name(kind: str) -> str:
    """Name a run directory after a preset, or a model, and the time; by chance, where runs begin at once."""
    return f"runs/{kind}-{datetime.now():%Y%m%d-%H%M%S}-{token_hex(3)}"


def command(arguments: Sequence[str]) -> None:
    """Read the command line and train."""
    parser = config_parser("train_svi", DESCRIPTION)
    parser.add_argument("--resume", default=argparse.SUPPRESS, help="Run directory to continue, from its checkpoint.")
    parser.add_argument("--help_all", action="store_true", default=argparse.SUPPRESS, help="Show all options and exit.")
    if {"-h", "--help", "--help_all"} & set(arguments):
        show_preset(parser, arguments)
    if "--help_all" in arguments:
        parser.print_help()
        return
    if {"-h", "--help"} & set(arguments):  # only then: --print_config leaves out what the help does
        _shorten(parser)
    given, arguments = take_option("--resume", arguments)
    resume = None if given is None else _open(Path(given))
    config, preset, _ = parse_config(parser, arguments, None if resume is None else resume / "config.yaml")
    if resume is not None and (takes("--preset", arguments) or takes("--run", arguments)):
        raise UserError(f"--resume continues {resume} with its own settings: leave --preset and --run out")
    if resume is None and config.run is None:
        config = replace(config, run=new_run_name(preset))
    main(config, resume)


def _shorten(parser: ArgumentParser) -> None:
    """Leave all but the first options out of the help."""
    for action in parser._actions:
        if action.dest not in FIRST:
            action.help = argparse.SUPPRESS
    parser.usage = "%(prog)s [options]"


def _open(path: Path) -> Path:
    from rnp_pyro.checkpoint import open_run

    if is_pretrained(path):
        raise UserError(f"{path} has ended its training: start a new run from its weights with --init {path}")
    return open_run(path)


if __name__ == "__main__":
    run_command(command)
