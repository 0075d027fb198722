"""The console script ``rnp``: ``rnp parse RUN ...`` is ``python -m examples.parse RUN ...``."""

import ast
import difflib
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path

import rnp_pyro
from examples.shared.cli import run_command
from rnp_pyro.errors import UserError

COMMANDS = Path(__file__).resolve().parents[1]

SHORT = {"train": "train_svi"}
"""Verbs that are not a command's own name."""


def main() -> None:
    """Run the verb that the first argument names on the others."""
    run_command(_dispatch)


def verbs() -> dict[str, str]:
    """List the commands by name, each with what its file says that it does; nothing is imported."""
    files = {file.stem: file for file in sorted(COMMANDS.glob("*.py"))}
    folders = {file.parent.name: file.parent / "__init__.py" for file in sorted(COMMANDS.glob("*/__main__.py"))}
    sources = {name: file.read_text(encoding="utf-8") for name, file in (files | folders).items()}
    return {name: _summary(source) for name, source in sources.items() if "\ndef command(" in source}


def _summary(source: str) -> str:
    """Return the first line of a file's docstring, up to its example."""
    first = (ast.get_docstring(ast.parse(source)) or "").split("\n")[0]
    return first.split(": python -m ")[0].rstrip(".:")


def _dispatch(arguments: Sequence[str]) -> None:
    verb, rest = (arguments[0], arguments[1:]) if arguments else ("--help", [])
    if verb in ("-h", "--help"):
        print(_help())
    elif verb == "--version":
        print(rnp_pyro.__version__)
    else:
        import_module(f"examples.{_command(verb)}").command(rest)


def _command(verb: str) -> str:
    """Return the name of a verb's command.

    Raises:
        UserError: If there is none.
    """
    known = verbs()
    name = SHORT.get(verb, verb.replace("-", "_"))
    if name not in known:
        close = difflib.get_close_matches(name, [*known, *SHORT], n=1)
        hint = f"; did you mean {close[0]}?" if close else ""
        raise UserError(f"expected one of {', '.join([*SHORT, *known])}, got {verb}{hint}")
    return name


def _help() -> str:
    known = {**{short: f"The same as {name}" for short, name in SHORT.items()}, **verbs()}
    width = max(map(len, known))
    lines = [f"  {name:<{width}}  {text}" for name, text in sorted(known.items())]
    return "\n".join(["usage: rnp COMMAND ...", "", *lines, "", "rnp COMMAND --help prints a command's options."])
