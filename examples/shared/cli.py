"""The command line: errors in one line with exit status 2."""

import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError

from rnp_pyro.api.plain_errors import plain
from rnp_pyro.errors import UserError


def run_command(command: Callable[[Sequence[str]], Any]) -> None:
    """Run a command; bad input ends in one line and exit status 2."""
    try:
        command(sys.argv[1:])
    except UserError as error:
        _fail(one_line(error))
    except ArgumentError as error:
        _fail(plain(str(error)) + "; see --help")
    except KeyboardInterrupt:
        sys.exit(130)


def one_line(error: UserError) -> str:
    """Return what an error says, without the shapes that Pyro adds to what is raised inside of a trace."""
    return " ".join(str(error).split("\n Trace Shapes:")[0].split())


def _fail(message: str) -> None:
    print(f"error: {' '.join(message.split())}", file=sys.stderr)
    sys.exit(2)


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
