"""Files that appear whole or not at all, also when the power fails; and the error of a write that failed, said once."""

import hashlib
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from rnp_pyro.errors import UserError

PARTIAL = ".partial"
"""How the temporary names of files that are being written end."""


@contextmanager
def writing(path: str | Path) -> Iterator[None]:
    """Turn a write that fails (no room, no right, no folder) into one line.

    Args:
        path: What is written, the file or its folder, as the message names it.

    Raises:
        UserError: If the write fails.
    """
    try:
        yield
    except OSError as error:
        raise UserError(f"cannot write to {path}: {error.strerror or error}") from None


def write_atomically(path: Path, write: Callable[[Path], None], before: Path | None = None) -> None:
    """Let ``write`` fill a temporary file beside ``path``, flush it to the disk, then rename it.

    A crash leaves the old file or the new. Temporary files that killed processes left of ``path`` are removed.

    Args:
        path: The file.
        write: Writes the file that it is given.
        before: Where to keep the file that is replaced, if there is one; None: nowhere.

    Raises:
        UserError: If the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{_host()}-{os.getpid()}{PARTIAL}")
    with writing(path):
        try:
            remove_leftovers(path.parent, path.name)
            write(temporary)
            temporary.chmod(0o644)  # safetensors makes files that only their owner can read
            _flush(temporary)
            if before is not None and path.exists():
                os.replace(path, before)
            os.replace(temporary, path)
            _flush_folder(path.parent)
        finally:
            with suppress(OSError):  # the folder may be gone, or read-only by now
                temporary.unlink(missing_ok=True)


def remove_leftovers(folder: Path, name: str = "*") -> None:
    """Remove temporary files that processes of this machine left, and that are no more.

    Args:
        folder: Where.
        name: Of the file that they were to become; default: any.
    """
    escaped = name if name == "*" else "".join(f"[{letter}]" if letter in "*?[" else letter for letter in name)
    for leftover in folder.glob(f".{escaped}.{_host()}-*{PARTIAL}"):
        writer = leftover.name.removesuffix(PARTIAL).rpartition("-")[2]
        if writer.isdecimal() and int(writer) != os.getpid() and not is_alive(int(writer)):
            with suppress(OSError):
                leftover.unlink(missing_ok=True)


def is_alive(process: int) -> bool:
    """Return whether a process of this machine is there."""
    try:
        os.kill(process, 0)
    except (ProcessLookupError, OverflowError):
        return False
    except OSError:  # it is somebody else's
        return True
    return True


def _host() -> str:
    """Return a short text for this machine: a folder may be shared with others, whose processes cannot be asked for."""
    return hashlib.sha256(socket.gethostname().encode()).hexdigest()[:6]


def _flush(path: Path) -> None:
    with path.open("rb+") as file:
        os.fsync(file.fileno())


def _flush_folder(folder: Path) -> None:
    """Flush a rename to the disk, where the system can."""
    with suppress(OSError):  # some network shares refuse it, and Windows has no such thing
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
