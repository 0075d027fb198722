"""The command line: parsers, errors in one line with exit status 2, and files that cannot be written.

Nothing here imports torch: help, and an option that is refused, are answered at once.
"""

import errno
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from jsonargparse import ArgumentError, ArgumentParser

from rnp_pyro.api.consoles import outlive_readers, print_anything
from rnp_pyro.api.places import check_packages
from rnp_pyro.api.plain_errors import plain
from rnp_pyro.api.settings import make_parser as make_parser
from rnp_pyro.errors import ReportedError, UserError
from rnp_pyro.messages import one_line

Settings = TypeVar("Settings")

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""Of errors that a disk without room raises."""


def run_command(command: Callable[[Sequence[str]], Any], arguments: Sequence[str] | None = None) -> None:
    """Run a command, by default on the process's arguments; bad input ends in one line and exit status 2."""
    print_anything()
    if arguments is None:
        outlive_readers()
    if signal.getsignal(signal.SIGINT) == signal.SIG_DFL and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)  # what examples/__init__.py took away
    try:
        command(sys.argv[1:] if arguments is None else arguments)
        print(end="", flush=True)  # a disk without room is found here, and not after the last line of Python
    except ReportedError:
        sys.exit(2)
    except UserError as error:
        _fail(one_line(error))
    except ArgumentError as error:
        _fail(plain(str(error)) + "; see --help")
    except OSError as error:
        file = error.filename2 or error.filename
        if file is None and error.errno not in FULL:  # no file of the user's: a mistake of ours
            raise
        doing = "write" if error.errno in FULL else "read or write"
        _fail(f"cannot {doing}{'' if file is None else f' {file}'}: {error.strerror}")
    except KeyboardInterrupt:
        sys.exit(130)


@contextmanager
def interrupted_silently() -> Iterator[None]:
    """Let Ctrl-C end the process at once, without a word, while packages are imported: nothing is there to clean up."""
    handler = signal.getsignal(signal.SIGINT)
    if handler is not signal.default_int_handler or threading.current_thread() is not threading.main_thread():
        yield
        return
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, handler)


def add_run(parser: ArgumentParser, data: bool = True) -> None:
    """Add the run directory, and unless ``data`` is false where its images are now."""
    parser.add_argument("run", metavar="RUN", type=str, help="Run directory that train_svi wrote, or pretrained:NAME.")
    if data:
        parser.add_argument(
            "--data",
            type=str,
            metavar="DATA",
            help="Where the run's images are now, as in train_svi, such as folder:PATH; default: where they were.",
        )
        parser.add_argument("--data_dir", type=str, metavar="DIR", help="Folder of the public data sets, if it moved.")


def read_options(parser: ArgumentParser, settings: type[Settings], arguments: Sequence[str]) -> Settings:
    """Read a command line into settings; fields that the parser has no option for yet get one."""
    given = {action.dest for action in parser._actions}
    parser.add_class_arguments(settings, None, skip=given)  # pyright: ignore[reportArgumentType]
    return settings(**vars(parser.instantiate(parser.parse_args(list(arguments)))))


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


def check_files(paths: Sequence[Path], overwrite: bool) -> None:
    """Refuse folders that cannot be written to, and files that exist, before anything is computed.

    Raises:
        UserError: If there are any.
    """
    for path in paths:
        if any(above.exists() and not above.is_dir() for above in path.parents):
            raise UserError(f"expected a folder to write to with --out, got {path.parent}, which is or lies in a file")
        if path.exists() and not overwrite:
            raise UserError(f"{path} exists: choose another folder with --out, or replace it with --overwrite true")


try:
    check_packages()  # here, since a command's own imports come next
except UserError as error:
    print_anything()
    _fail(str(error))
