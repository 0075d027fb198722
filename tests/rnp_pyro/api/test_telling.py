"""Lines that work does not depend on."""

import errno
import sys

import pytest

from rnp_pyro.api.telling import tell


class Console:
    """A console that fails."""

    def __init__(self, error: Exception) -> None:
        self.error = error

    def write(self, text: str) -> int:
        raise self.error

    def flush(self) -> None:
        raise self.error


@pytest.mark.parametrize(
    "error",
    [BrokenPipeError(), OSError(errno.EIO, "no terminal"), OSError(errno.ENOSPC, "no room"), ValueError("closed file")],
)
def test_a_console_that_is_gone_ends_no_work(monkeypatch: pytest.MonkeyPatch, error: Exception):
    monkeypatch.setattr(sys, "stdout", Console(error))
    tell("something")


def test_a_line_is_printed(capsys: pytest.CaptureFixture[str]):
    tell("something")
    assert capsys.readouterr().out == "something\n"
