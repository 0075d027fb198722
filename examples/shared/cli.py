"""The command line: dataclass settings, presets, and errors in one line with exit status 2."""

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import fields, is_dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser, Namespace

from examples.shared.plain_errors import plain
from rnp_pyro.config import Config
from rnp_pyro.data_sets import data_help
from rnp_pyro.errors import UserError
from rnp_pyro.tree_sizes import canvas_sizes_for, patch_size_for

BUDGETS = ("minutes", "steps", "epochs", "schedule")
DEFAULT_PRESET = "quickstart"
NO_SETTINGS = ("preset", "resume")
"""Options for the command line alone: see :func:`take_option`."""

AS_BEFORE = ["--invert=false", "--white=full"]
"""What a run's settings mean that were written when these did not exist."""


def preset_names() -> list[str]:
    """List the packaged presets."""
    files = resources.files("examples.presets").iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def make_parser(command: str, description: str) -> ArgumentParser:
    """Make a parser whose errors are exceptions."""
    return ArgumentParser(
        prog=f"python -m examples.{command}", description=description, exit_on_error=False, allow_abbrev=False
    )


def config_parser(command: str, description: str) -> ArgumentParser:
    """Make a parser with every field of :class:`Config`, ``--preset``, ``--config`` and ``--print_config``."""
    parser = make_parser(command, description)
    names = ", ".join(preset_names())
    parser.add_argument("--preset", default=argparse.SUPPRESS, help=f"Packaged settings to start from: {names}.")
    parser.add_argument(
        "--config", action=ActionConfigFile, help="YAML file of settings, of the form that --print_config prints."
    )
    parser.add_class_arguments(Config, None)
    next(action for action in parser._actions if action.dest == "data").help = data_help()
    return parser


def parse_config(
    parser: ArgumentParser, arguments: Sequence[str], base: Path | None = None
) -> tuple[Config, str, Namespace]:
    """Read settings: a preset or base file first, then ``--config`` files, then options.

    Args:
        parser: Made by :func:`config_parser`, perhaps with more options.
        arguments: The command line.
        base: A file of settings to start from in place of a preset.

    Returns:
        The settings, the preset's name, and whatever other options the parser has.

    Raises:
        UserError: If there is no such preset, or a file is not text.
        ArgumentError: If an option or a file does not fit.
    """
    named, arguments = take_option("--preset", arguments)
    preset = DEFAULT_PRESET if named is None else named
    start = base or preset_file(preset)
    explicit = [name for name in BUDGETS if takes(f"--train.{name}", arguments)]
    # A budget on the command line replaces the files', whichever of the four it is.
    cleared = [f"--train.{name}=null" for name in BUDGETS if explicit and name not in explicit]
    given = [f"--config={start}", *arguments, *cleared]
    before = AS_BEFORE if base else _sizes(_parse(parser, given))
    values = _parse(parser, [*before, *given])
    for other in explicit:
        if "schedule" in explicit and other != "schedule" and getattr(values.train, other) is not None:
            raise UserError(f"--train.schedule is a budget itself: leave --train.{other} out")
    names = {field.name for field in fields(Config)}
    others = Namespace(**{name: value for name, value in vars(values).items() if name not in names})
    return Config(**{name: getattr(values, name) for name in names}), preset, others


def preset_file(name: str) -> Path:
    """Find a packaged preset.

    Raises:
        UserError: If there is none of that name.
    """
    if name not in preset_names():
        raise UserError(f"unknown preset {name}: expected one of {', '.join(preset_names())}")
    return Path(str(resources.files("examples.presets").joinpath(f"{name}.yaml")))


def take_option(option: str, arguments: Sequence[str]) -> tuple[str | None, list[str]]:
    """Remove an option that is no setting, with its value, from a command line; the last one counts."""
    taken, left, rest = None, [], iter(arguments)
    for argument in rest:
        if argument == option:
            taken = next(rest, "")
        elif argument.startswith(f"{option}="):
            taken = argument.removeprefix(f"{option}=")
        else:
            left.append(argument)
    return taken, left


def run_command(command: Callable[[Sequence[str]], Any]) -> None:
    """Run a command; bad input ends in one line and exit status 2."""
    try:
        command(sys.argv[1:])
    except UserError as error:
        _fail(one_line(error))
    except ArgumentError as error:
        _fail(plain(str(error)) + "; see --help")
    except OSError as error:
        if error.filename is None:  # no file of the user's: a mistake of ours
            raise
        _fail(f"cannot write {error.filename2 or error.filename}: {error.strerror}")
    except KeyboardInterrupt:
        sys.exit(130)


def _sizes(values: Namespace) -> list[str]:
    """Return options for the sizes that suit the images, in force where nothing else names them."""
    size, levels = values.image_size, len(values.model.tree.num_steps)
    return [
        f"--model.tree.canvas_sizes={list(canvas_sizes_for(size, levels))}",
        f"--model.tree.patch_size={patch_size_for(size, levels)}",
    ]


def _parse(parser: ArgumentParser, arguments: Sequence[str]) -> Namespace:
    """Parse what is left when the options that are no settings have been taken."""
    try:
        values = parser.parse_args(arguments)
    except (UnicodeDecodeError, RecursionError) as error:
        raise UserError(f"expected a settings file of plain YAML: {error}") from None
    for name in NO_SETTINGS:
        if name in values:
            raise UserError(f"a settings file cannot hold {name}: give it on the command line, with --{name}")
    _check_groups(values, Config)
    return parser.instantiate(values)


def _check_groups(values: Namespace, settings: type, prefix: str = "--") -> None:
    """Refuse a file's ``model: 3``, which the parser would take for no settings at all."""
    for field in fields(settings):
        if isinstance(field.type, type) and is_dataclass(field.type):
            group = values[field.name]
            if not isinstance(group, Namespace):
                raise UserError(f"{prefix}{field.name}: expected names and values of settings, got {group}")
            _check_groups(group, field.type, f"{prefix}{field.name}.")


def one_line(error: UserError) -> str:
    """Return what an error says, without the shapes that Pyro adds to what is raised inside of a trace."""
    return " ".join(str(error).split("\n Trace Shapes:")[0].split())


def _fail(message: str) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


def takes(option: str, arguments: Sequence[str]) -> bool:
    """Return whether a command line has an option."""
    return any(argument == option or argument.startswith(f"{option}=") for argument in arguments)


def check_output(option: str, path: Path, overwrite: bool) -> None:
    """Refuse a file that could not be written, before anything is computed.

    Raises:
        UserError: If it is a folder, its folder is missing or read-only, or it exists and is not to be replaced.
    """
    if path.is_dir() or path.name in ("", ".."):
        raise UserError(f"expected a file to write with {option}, got the folder {path}")
    if not path.parent.is_dir():
        raise UserError(f"expected a file in a folder that exists with {option}, got {path}: make {path.parent} first")
    if path.exists() and not overwrite:
        raise UserError(f"{path} exists: choose another file with {option}, or replace it with --overwrite true")
    if not os.access(path.parent, os.W_OK):
        raise UserError(f"cannot write {path}: the folder {path.parent} is not writable; choose another with {option}")
