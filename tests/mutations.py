"""Files and settings spoilt at random, and a watch over what reads them: no traceback, no hang, no full memory."""

import contextlib
import io
import random
import re
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from examples.shared.cli import run_command

SECONDS = 20
MEMORY = 4 * 2**30
"""Bytes that reading may take beyond what the process has already."""

NUMBERS = ("-1", "0", "1e999", "nan", "-inf", "NaN", "Infinity", "9" * 30, "2147483648", "4294967295", "0.5", "1e-320")
WORDS = ("null", "true", "[]", "{}", '""', "&a", "*a", "../../x", "\\u0000", "\r\n", "é", b"\x80")
BYTES = (0x00, 0x7F, 0x80, 0xFF)


def mutate(content: bytes, chance: random.Random) -> bytes:
    """Spoil a file in one to three ways."""
    for _ in range(chance.choice((1, 1, 2, 3))):
        content = chance.choice(WAYS)(content, chance)
    return content


def _place(content: bytes, chance: random.Random) -> tuple[int, int]:
    first = chance.randrange(len(content) + 1)
    return first, min(len(content), first + chance.choice((1, 2, 4, 8, 64, 1000)))


def _flip(content: bytes, chance: random.Random) -> bytes:
    changed = bytearray(content)
    for _ in range(chance.choice((1, 8)) if content else 0):
        # Half of the time in the beginning, where formats keep their sizes.
        at = chance.randrange(min(len(changed), 128) if chance.random() < 0.5 else len(changed))
        changed[at] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _extreme(content: bytes, chance: random.Random) -> bytes:
    first, last = _place(content[: chance.choice((128, len(content)))], chance)
    return content[:first] + bytes([chance.choice(BYTES)]) * (last - first) + content[last:]


def _cut(content: bytes, chance: random.Random) -> bytes:
    return content[: chance.randrange(len(content) + 1)]


def _delete(content: bytes, chance: random.Random) -> bytes:
    first, last = _place(content, chance)
    return content[:first] + content[last:]


def _repeat(content: bytes, chance: random.Random) -> bytes:
    first, last = _place(content, chance)
    return content[:last] + content[first:last] * chance.choice((1, 3, 50)) + content[last:]


def _insert(content: bytes, chance: random.Random) -> bytes:
    first, _ = _place(content, chance)
    return content[:first] + chance.randbytes(chance.choice((1, 4, 100))) + content[first:]


def _number(content: bytes, chance: random.Random) -> bytes:
    """Replace a number in a text by one that no program expects."""
    found = list(re.finditer(rb"-?\d+(?:\.\d+)?", content[:20_000]))
    if not found:
        return _flip(content, chance)
    one = chance.choice(found)
    return content[: one.start()] + chance.choice(NUMBERS).encode() + content[one.end() :]


def _word(content: bytes, chance: random.Random) -> bytes:
    """Replace a word, or what follows a colon."""
    found = list(re.finditer(rb"(?<=: )[^\n,]+|\"[^\"\n]*\"|\w+", content[:20_000]))
    word = chance.choice(WORDS)
    if not found:
        return _insert(content, chance)
    one = chance.choice(found)
    return content[: one.start()] + (word if isinstance(word, bytes) else word.encode()) + content[one.end() :]


def _nest(content: bytes, chance: random.Random) -> bytes:
    first, _ = _place(content, chance)
    return content[:first] + chance.choice((b"[", b"{", b'{"a":', b"- ")) * chance.choice((3, 5000)) + content[first:]


WAYS: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    _flip, _flip, _extreme, _cut, _delete, _repeat, _insert, _number, _number, _word, _word, _nest,
)  # fmt: skip


@dataclass
class Watch:
    """Counts what became of mutated things."""

    read: int = 0
    refused: int = 0

    def __call__(self, work: Callable[[], Any]) -> None:
        """Do something as a command would, and expect that it goes well or is refused in one line."""
        out, err, status = io.StringIO(), io.StringIO(), 0
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), _at_most(SECONDS):
            try:
                run_command(lambda arguments: work(), [])
            except SystemExit as ended:
                status = int(ended.code or 0)
        told = err.getvalue()
        assert status in (0, 2), told
        assert "Traceback" not in told
        assert "weights_only" not in told
        if status == 2:
            errors = [line for line in told.splitlines() if not line.startswith(("warning: ", "note: "))]
            assert len(errors) == 1, told
            assert errors[0].startswith("error: "), told
            assert len(errors[0]) < 2500, len(errors[0])
            self.refused += 1
        else:
            self.read += 1


@contextmanager
def _at_most(seconds: int) -> Iterator[None]:
    def stop(number: int, frame: Any) -> None:
        raise AssertionError(f"took over {seconds} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@contextmanager
def little_memory() -> Iterator[None]:
    """Let the process take no more than ``MEMORY`` beyond what it has."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    with open("/proc/self/statm") as file:
        taken = int(file.read().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (taken + MEMORY, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, before)
