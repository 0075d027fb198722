"""The error of a write that failed, said once."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rnp_pyro.errors import UserError


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
