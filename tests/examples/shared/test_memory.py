"""Keeping freed memory is harmless everywhere."""

import platform

import pytest

from examples.shared import memory
from examples.shared.memory import keep_freed_memory


@pytest.mark.parametrize("system", ["Linux", "Darwin", "Windows"])
def test_it_runs_everywhere(monkeypatch, system):
    if system == "Linux" and platform.system() != "Linux":
        pytest.skip("needs a C library with symbols to look up")
    monkeypatch.setattr(platform, "system", lambda: system)
    keep_freed_memory()


@pytest.mark.skipif(platform.system() != "Linux", reason="glibc's settings")
def test_glibc_is_told_or_is_not_there(monkeypatch):
    calls = []

    class Library:
        def mallopt(self, parameter: int, value: int) -> int:
            calls.append((parameter, value))
            return 1

    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: Library())
    keep_freed_memory()
    assert sorted(parameter for parameter, _ in calls) == [-3, -2, -1]
    assert all(0 < value < 2**31 for _, value in calls)
    monkeypatch.setattr(memory.ctypes, "CDLL", lambda name: object())  # musl
    keep_freed_memory()
