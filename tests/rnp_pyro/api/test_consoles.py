"""Consoles that cannot print everything, and readers that go away."""

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rnp_pyro.api.consoles import Lasting, print_anything

ROOT = Path(__file__).resolve().parents[3]


def unread() -> io.TextIOWrapper:
    """Return a stream that nobody reads any more."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def test_consoles_print_what_they_lack(monkeypatch):
    console = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", console)
    monkeypatch.setattr(sys, "stderr", io.StringIO())
    print_anything()
    print("caf\u00e9 \udcff")
    console.flush()
    assert console.buffer.getvalue() == b"caf\\xe9 \\udcff\n"


def test_a_reader_that_has_gone_is_no_error():
    with unread() as stream:
        lasting = Lasting(stream)
        for _ in range(3):
            assert lasting.write("x" * 100_000) == 100_000  # more than waits in memory
            lasting.write("short\n")
            lasting.flush()
        assert not lasting.isatty()


def test_what_waits_is_dropped_too():
    with unread() as stream:
        lasting = Lasting(stream)
        lasting.write("short\n")
        lasting.flush()
        lasting.write("short\n")
    # closing it did not raise


def test_other_errors_remain(tmp_path: Path):
    with (tmp_path / "file").open("w") as stream:
        lasting = Lasting(stream)
    with pytest.raises(ValueError, match="closed"):
        lasting.write("x")


@pytest.mark.thorough
def test_a_command_goes_on_when_nobody_reads_it():
    command = [sys.executable, "-c", "from examples.shared.verbs import main; main()"]
    with unread() as nobody:
        told = subprocess.run([*command, "--help"], cwd=ROOT, stdout=nobody, stderr=subprocess.PIPE)
        refused = subprocess.run([*command, "no-such-verb"], cwd=ROOT, stdout=nobody, stderr=nobody)
    assert (told.returncode, told.stderr) == (0, b"")
    assert refused.returncode == 2
