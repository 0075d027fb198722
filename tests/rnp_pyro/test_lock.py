"""One writer for each run directory."""

import errno
import fcntl
from pathlib import Path

import pytest

from rnp_pyro.errors import UserError
from rnp_pyro.lock import LOCK, only_writer


def test_a_folder_has_one_writer(tmp_path: Path):
    with only_writer(tmp_path):
        with pytest.raises(UserError, match=r"process \d+ on \S+ is writing the run") as error, only_writer(tmp_path):
            pass
        assert "\n" not in str(error.value)
    assert not (tmp_path / LOCK).exists()
    with only_writer(tmp_path):
        pass


def test_a_lock_of_nobody_is_taken_over(tmp_path: Path):
    (tmp_path / LOCK).write_text("process 1 on elsewhere\n")
    with only_writer(tmp_path):
        assert "elsewhere" not in (tmp_path / LOCK).read_text()


def test_a_file_system_without_locks_has_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def refuse(*arguments: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with only_writer(tmp_path), only_writer(tmp_path):
        pass


def test_a_folder_that_is_gone_is_one_line(tmp_path: Path):
    with (
        pytest.raises(UserError, match=r"cannot write to .*gone: No such file") as error,
        only_writer(tmp_path / "gone"),
    ):
        pass
    assert "\n" not in str(error.value)
