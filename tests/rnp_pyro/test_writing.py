"""Writes that a crash cannot halve, and what killed processes leave."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from rnp_pyro.errors import UserError
from rnp_pyro.writing import is_alive, remove_leftovers, write_atomically, writing


def write(text: str):
    return lambda path: path.write_text(text) and None


def test_file_and_folder_are_flushed_before_and_after_the_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Otherwise a power cut could leave the new name without its content, or the rename undone."""
    calls, fsync, replace = [], os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda file: (calls.append(os.path.isdir(f"/proc/self/fd/{file}")), fsync(file)))
    monkeypatch.setattr(os, "replace", lambda *names: (calls.append("rename"), replace(*names)))
    write_atomically(tmp_path / "file", write("new"))
    assert calls == [False, "rename", True]


def test_the_file_that_is_replaced_can_be_kept(tmp_path: Path):
    path, before = tmp_path / "file", tmp_path / "before"
    for text in "abc":
        write_atomically(path, write(text), before)
    assert (path.read_text(), before.read_text()) == ("c", "b")
    assert len(os.listdir(tmp_path)) == 2


def leftover(tmp_path: Path, name: str, process: int) -> Path:
    """Write what a killed process of this machine would have left."""
    names = []
    write_atomically(tmp_path / name, lambda path: (names.append(path.name), path.write_text("x"))[0])
    (tmp_path / name).unlink()
    path = tmp_path / names[0].replace(f"-{os.getpid()}.", f"-{process}.")
    path.touch()
    return path


def dead_process() -> int:
    return 4_194_305  # above the largest number that Linux gives


def test_leftovers_of_the_dead_are_removed_and_no_others(tmp_path: Path):
    dead, alive = leftover(tmp_path, "file", dead_process()), leftover(tmp_path, "file", os.getppid())
    other = leftover(tmp_path, "other[1]", dead_process())
    elsewhere = tmp_path / ".file.abcdef-1.partial"
    elsewhere.touch()
    write_atomically(tmp_path / "file", write("new"))
    assert not dead.exists()
    assert alive.exists()
    assert other.exists()
    assert elsewhere.exists(), "of a machine that cannot be asked"
    write_atomically(tmp_path / "other[1]", write("new"))
    assert not other.exists()
    remove_leftovers(tmp_path)
    assert alive.exists()
    remove_leftovers(tmp_path / "nowhere")


@pytest.mark.thorough
def test_processes_are_known_to_be_alive():
    assert is_alive(os.getpid())
    ended = subprocess.Popen([sys.executable, "-c", ""])
    ended.wait()
    assert not is_alive(ended.pid)
    assert not is_alive(10**30)


@pytest.mark.parametrize("error", [PermissionError(13, "Permission denied"), OSError("odd")])
def test_a_write_that_fails_is_one_line(error: OSError):
    with pytest.raises(UserError, match=r"^cannot write to x: (Permission denied|odd)$"), writing("x"):
        raise error
