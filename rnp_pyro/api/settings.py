"""Settings from files and options: presets, a run's ``config.yaml``, and values by name."""

import argparse
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, fields, is_dataclass
from importlib import resources
from itertools import pairwise
from operator import attrgetter
from pathlib import Path
from typing import Any

import yaml
from jsonargparse import ActionConfigFile, ArgumentParser, Namespace

from rnp_pyro.api.settings_file import check_settings_file
from rnp_pyro.config import Config
from rnp_pyro.data_sets import data_help
from rnp_pyro.errors import UserError
from rnp_pyro.tree_sizes import canvas_sizes_for, patch_size_for

BUDGETS = ("minutes", "steps", "epochs", "schedule")
DEFAULT_PRESET = "quickstart"
NO_SETTINGS = ("preset", "resume", "help_all")
"""Options for the command line alone: see :func:`take_option`."""

NODES, GUIDE, OBJECTIVE = "model.node_latents", "guide.name", "train.objective"
NAMES_TO_SEE = (f"--{NODES}=none", f"--{GUIDE}=resnet", f"--{OBJECTIVE}=elbo")
OTHERS_TO_SEE = (f"--{NODES}=state", f"--{GUIDE}=ladder", f"--{OBJECTIVE}=analytic_kl")
"""Two different values of each: what differs when both are parsed is named nowhere."""

MEANT_BEFORE: dict[str, str] = {
    "model.tree.compress": "false",
    "invert": "false",
    "white": "full",
    "train.lr_warmup_steps": "0",
}
"""Settings that older runs lack, and what they meant there. A run's own file is read with these; a new run is not."""

MEANT_BEFORE_INVERSION = {"splits": "mixed"}
"""Of runs that lack ``invert``, too: a folder's train and test were no splits yet."""


def preset_names() -> list[str]:
    """List the packaged presets."""
    files = resources.files("rnp_pyro.api.presets").iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def make_parser(command: str, description: str) -> ArgumentParser:
    """Make a parser whose errors are exceptions."""
    prog = f"rnp {command}" if Path(sys.argv[0]).stem == "rnp" else f"python -m examples.{command}"
    return ArgumentParser(prog=prog, description=description, exit_on_error=False, allow_abbrev=False)


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


def show_preset(parser: ArgumentParser, arguments: Sequence[str]) -> None:
    """Let the help show the values that hold where no option is given: those of the preset.

    Args:
        parser: Made by :func:`config_parser`.
        arguments: The command line, which may name another preset.

    Raises:
        UserError: If there is no such preset.
    """
    preset = take_option("--preset", arguments)[0] or DEFAULT_PRESET
    config = parse_config(config_parser("train_svi", ""), [f"--preset={preset}"])[0]
    parser.set_defaults({name: attrgetter(name)(config) for name in setting_names()})
    parser.description = f"{parser.description} Defaults are those of the preset {preset}."


def parse_config(
    parser: ArgumentParser, arguments: Sequence[str], base: Path | None = None
) -> tuple[Config, str, Namespace]:
    """Read settings: a preset or base file first, then ``--config`` files, then options.

    Args:
        parser: Made by :func:`config_parser`, perhaps with more options.
        arguments: The command line.
        base: The settings of a run, perhaps an older one, to start from in place of a preset.

    Returns:
        The settings, the preset's name, and whatever other options the parser has.

    Raises:
        UserError: If there is no such preset, or a file is not text.
        ArgumentError: If an option or a file does not fit.
    """
    named, arguments = take_option("--preset", arguments)
    preset = DEFAULT_PRESET if named is None else named
    start = base or preset_file(preset)
    for file in (*_files(arguments), *([base] if base else [])):
        check_settings_file(file)
    explicit = [name for name in BUDGETS if takes(f"--train.{name}", arguments)]
    # A budget on the command line replaces the files', whichever of the four it is.
    cleared = [f"--train.{name}=null" for name in BUDGETS if explicit and name not in explicit]
    given = [f"--config={start}", *arguments, *cleared]
    quiet = [one for one in given if not one.startswith("--print_config")]
    unnamed = _meant_before(base) if base else [*_sizes(_parse(parser, quiet)), *_suited(parser, quiet)]
    values = _parse(parser, [*unnamed, *given])
    for other in explicit:
        if "schedule" in explicit and other != "schedule" and getattr(values.train, other) is not None:
            raise UserError(f"--train.schedule is a budget itself: leave --train.{other} out")
    names = {field.name for field in fields(Config)}
    others = Namespace(**{name: value for name, value in vars(values).items() if name not in names})
    return Config(**{name: getattr(values, name) for name in names}), preset, others


def _meant_before(base: Path) -> list[str]:
    """Return options for what the settings of an older run meant, in force where its file names nothing else."""
    text = base.read_text(encoding="utf-8", errors="replace") if base.is_file() else ""
    old = not re.search("^invert:", text, flags=re.MULTILINE)
    meant = MEANT_BEFORE | (MEANT_BEFORE_INVERSION if old else {})
    return [f"--{name}={value}" for name, value in meant.items()]


def _files(arguments: Sequence[str]) -> list[Path]:
    """List the settings files that a command line names."""
    after = [value for option, value in pairwise(arguments) if option == "--config"]
    joined = [one.removeprefix("--config=") for one in arguments if one.startswith("--config=")]
    return [Path(name) for name in (*after, *joined)]


def setting_names(settings: type = Config, prefix: str = "") -> Iterator[str]:
    """List the names of all settings, with dots."""
    for one in fields(settings):
        if isinstance(one.type, type) and is_dataclass(one.type):
            yield from setting_names(one.type, f"{prefix}{one.name}.")
        else:
            yield prefix + one.name


def _sizes(values: Namespace) -> list[str]:
    """Return options for the sizes that suit the images, in force where nothing else names them."""
    size, levels = values.image_size, len(values.model.tree.num_steps)
    return [
        f"--model.tree.canvas_sizes={list(canvas_sizes_for(size, levels))}",
        f"--model.tree.patch_size={patch_size_for(size, levels)}",
    ]


def _suited(parser: ArgumentParser, given: Sequence[str]) -> list[str]:
    """Return options for what is random at nodes, the guide and the objective, in force where nothing else names them.

    Of nodes and guide each follows the other where only one is named. Where neither is, nodes have random states, which
    the ladder infers; the vae has no nodes. Where nodes, or the root, have a KL in closed form, it is taken: it learns
    faster.
    """
    one, other = (_parse(parser, [*options, *given]) for options in (NAMES_TO_SEE, OTHERS_TO_SEE))
    seen = {name: (attrgetter(name)(one), attrgetter(name)(other)) for name in (NODES, GUIDE, OBJECTIVE)}
    named = {name: first for name, (first, second) in seen.items() if first == second}
    guide, nodes = named.get(GUIDE), named.get(NODES)
    if guide is None:
        none_random = nodes == "none" or (nodes is None and one.model.name != "rnp")
        guide = "resnet" if none_random else "ladder"
    if nodes is None:
        nodes = "state" if guide == "ladder" else "none"
    diagonal = guide != "flow" and guide != "full_rank" and one.guide.root in (None, "diagonal")
    closed = (guide == "ladder" or diagonal) and one.guide.refine_steps == 0 and one.train.free_bits == 0
    objective = "analytic_kl" if closed else "elbo"
    return [f"--{NODES}={nodes}", f"--{GUIDE}={guide}", f"--{OBJECTIVE}={objective}"]


def preset_file(name: str) -> Path:
    """Find a packaged preset.

    Raises:
        UserError: If there is none of that name.
    """
    if name not in preset_names():
        raise UserError(f"unknown preset {name}: expected one of {', '.join(preset_names())}")
    return Path(str(resources.files("rnp_pyro.api.presets").joinpath(f"{name}.yaml")))


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


def takes(option: str, arguments: Sequence[str]) -> bool:
    """Return whether a command line has an option."""
    return any(argument == option or argument.startswith(f"{option}=") for argument in arguments)


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


def check_writable(config: Config) -> None:
    """Refuse paths that a settings file cannot hold, so that no run is trained that cannot be opened.

    Raises:
        UserError: The bytes of one are not text.
    """
    for name in setting_names():
        value = attrgetter(name)(config)
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str) and any("\ud800" <= letter <= "\udfff" for letter in text):
                raise UserError(
                    f"expected a path that is text as {name}, which settings files are, got "
                    f"{text!a}: rename the folder or file"
                )


def write_settings(config: Config, path: Path) -> None:
    """Write settings as YAML, of the form that ``--config`` takes."""
    from rnp_pyro.checkpoint import write_text  # torch: not for reading options

    write_text(path, yaml.safe_dump(_lists(asdict(config)), sort_keys=False))


def _lists(value: Any) -> Any:
    """Turn tuples into lists, which YAML has."""
    if isinstance(value, dict):
        return {key: _lists(item) for key, item in value.items()}
    return [_lists(item) for item in value] if isinstance(value, list | tuple) else value
