"""The command line: dataclass settings, presets, and errors in one line with exit status 2."""

import sys
from collections.abc import Callable, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

from jsonargparse import ActionConfigFile, ArgumentError, ArgumentParser, Namespace

from rnp_pyro.config import Config
from rnp_pyro.errors import UserError

BUDGETS = ("minutes", "steps", "epochs", "schedule")
DEFAULT_PRESET = "quickstart"


def preset_names() -> list[str]:
    """List the packaged presets."""
    files = resources.files("examples.presets").iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def preset_text(name: str) -> str:
    """Read a packaged preset.

    Raises:
        UserError: If there is none of that name.
    """
    if name not in preset_names():
        raise UserError(f"unknown preset {name!r}: expected one of {', '.join(preset_names())}")
    return resources.files("examples.presets").joinpath(f"{name}.yaml").read_text(encoding="utf-8")


def make_parser(command: str, description: str) -> ArgumentParser:
    """Make a parser whose errors are exceptions."""
    return ArgumentParser(prog=f"python -m examples.{command}", description=description, exit_on_error=False)


def config_parser(command: str, description: str) -> ArgumentParser:
    """Make a parser with every field of :class:`Config`, ``--preset``, ``--config`` and ``--print_config``."""
    parser = make_parser(command, description)
    parser.add_argument("--preset", action=_Preset, help=f"packaged settings: {', '.join(preset_names())}")
    parser.add_argument("--config", action=ActionConfigFile, help="YAML file of settings, as --print_config prints them")
    parser.add_class_arguments(Config, None)
    return parser


def parse_config(parser: ArgumentParser, arguments: Sequence[str], base: str | None = None) -> tuple[Config, Namespace]:
    """Read settings: preset first, then files, then options.

    Args:
        parser: Made by :func:`config_parser`, perhaps with more options.
        arguments: The command line.
        base: A file of settings to start from, before all others.

    Returns:
        The settings, and whatever other options the parser has.
    """
    arguments = _ordered(_known(arguments), base)
    values = parser.instantiate(parser.parse_args(arguments))
    fields = {name: getattr(values, name) for name in Config.__dataclass_fields__}
    others = Namespace(**{name: value for name, value in vars(values).items() if name not in fields})
    return Config(**fields), others


def run_command(command: Callable[[Sequence[str]], Any]) -> None:
    """Run a command; bad input ends in one line and exit status 2."""
    try:
        command(sys.argv[1:])
    except (UserError, ArgumentError) as error:
        message = " ".join(str(error).split())
        print(f"error: {message}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
