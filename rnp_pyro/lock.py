"""One writer for each run directory: a lock that names its holder, and that the system takes back when it dies."""

import contextlib
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rnp_pyro.errors import UserError

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

LOCK = ".lock"


@contextmanager
def only_writer(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder; it is free again when the process ends, however it ends.

    Where the file system has no locks, nothing is held: two writers are then the user's to avoid.

    Raises:
        UserError: If another process holds it.
    """
    descriptor = _taken(folder / LOCK)
    try:
        yield
    finally:
        if descriptor is not None:
            with contextlib.suppress(OSError):  # the folder may be gone
                (folder / LOCK).unlink(missing_ok=True)
            os.close(descriptor)


def _taken(path: Path) -> int | None:
    """Open and lock a file, and write into it who did; None where that cannot be."""
    if fcntl is None:
        return None
    while True:
        try:
            descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        except OSError as error:
            raise UserError(f"cannot write to {path.parent}: {error.strerror}") from None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(descriptor, 200).decode("utf-8", "replace").strip() or "another process"
            os.close(descriptor)
            raise UserError(
                f"{holder} is writing the run {path.parent}: wait for it or end it, or choose another run directory"
            ) from None
        except OSError:  # a network share without locks
            os.close(descriptor)
            return None
        if _is_still(path, descriptor):
            with contextlib.suppress(OSError):  # a full disk: the lock holds without a name
                os.truncate(descriptor, 0)
                os.write(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode())
            return descriptor
        os.close(descriptor)  # its holder removed it between our two calls


def _is_still(path: Path, descriptor: int) -> bool:
    """Return whether a path still names an open file."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except OSError:
        return False
