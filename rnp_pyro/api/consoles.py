"""Consoles: what one cannot print is escaped, and one that has gone ends no command."""

import os
import sys
from typing import Any


class Lasting:
    """A stream that goes on in silence when its reader has gone, as after ``| head``.

    What a command is for are its files: it ends them, rather than leave half of them.

    Args:
        stream: A text stream, written to while somebody reads it.
    """

    def __init__(self, stream: Any) -> None:
        self.stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self.stream, name)

    def write(self, text: str) -> int:
        """Write text, or drop it."""
        try:
            return self.stream.write(text)
        except BrokenPipeError:
            self._drop()
            return len(text)

    def flush(self) -> None:
        """Write what waits, or drop it."""
        try:
            self.stream.flush()
        except BrokenPipeError:
            self._drop()

    def _drop(self) -> None:
        """Let all that is written from now on, and what waits, go nowhere."""
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, self.stream.fileno())
        os.close(nowhere)


def outlive_readers() -> None:
    """Let this process go on when nobody reads what it prints any more."""
    for name in ("stdout", "stderr"):
        if (stream := getattr(sys, name)) is not None and not isinstance(stream, Lasting):
            setattr(sys, name, Lasting(stream))


def print_anything() -> None:
    """Let the consoles print what their encoding lacks, such as an accent where it is ASCII, as an escape."""
    for stream in (sys.stdout, sys.stderr):
        if (reconfigure := getattr(stream, "reconfigure", None)) is not None:
            reconfigure(errors="backslashreplace")
