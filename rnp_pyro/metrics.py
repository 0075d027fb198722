"""``metrics.csv``: a row at a time, in order, none twice. It is for looking at; no run needs it to go on."""

import csv
import io
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from rnp_pyro.errors import UserError
from rnp_pyro.writing import write_atomically, writing

DAMAGED = "damaged"
LARGEST = 2**30
"""Bytes of a file of metrics; a larger one is none."""


class MetricsFile:
    """``metrics.csv``: one row appended at a time, so that a crash loses none.

    A row that finds no room is kept, and written with the next one that does. Rows come in the order of their steps; a
    second row with the same numbers of the same step is left out.

    Args:
        path: The file; made with its header if it is not there.
        columns: Names of the columns, ``step`` first.
        until_step: On resuming, rows of later steps are dropped: they are about to be made again.
        tell: Told in one line where a damaged file was put aside.
    """

    def __init__(
        self,
        path: Path,
        columns: Sequence[str],
        until_step: int | None = None,
        tell: Callable[[str], object] = lambda line: None,
    ) -> None:
        self.path, self.columns = path, tuple(columns)
        rows = self._rows_so_far(tell) if path.exists() else []
        kept = [row for row in rows if until_step is None or int(row["step"]) <= until_step]
        self.last_step, self.last_names = -1, set[str]()
        for row in kept:
            self._is_new(row)
        self.waiting: list[Mapping[str, Any]] = []
        write_atomically(path, lambda temporary: temporary.write_bytes(self._text(kept, header=True)) and None)

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one row; missing columns stay empty.

        Raises:
            UserError: If it cannot be written; the file is then as it was, and the row is written with the next.
        """
        if not self._is_new(row):
            return
        self.waiting.append(row)
        with writing(self.path):
            size = self.path.stat().st_size
            try:
                with self.path.open("ab", buffering=0) as file:
                    _write_all(file, self._text(self.waiting))
            except OSError:
                with suppress(OSError):
                    os.truncate(self.path, size)
                raise
        self.waiting = []

    def _is_new(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row says anything that the rows of its step have not said, and remember what it says."""
        step, names = int(row["step"]), {name for name, value in row.items() if value != ""} - {"step", "seconds"}
        if step < self.last_step or (step == self.last_step and names <= self.last_names):
            return False
        self.last_names = names | (self.last_names if step == self.last_step else set())
        self.last_step = step
        return True

    def _rows_so_far(self, tell: Callable[[str], object]) -> list[dict[str, str]]:
        """Read the rows of a file that is there, or put it aside if it is damaged."""
        try:
            return _sound(*_read(self.path), self.columns)
        except (OSError, UserError, ValueError) as error:
            aside = _free(self.path.with_name(f"{self.path.stem}-{DAMAGED}{self.path.suffix}"))
            with writing(self.path):
                os.replace(self.path, aside)
            tell(f"{self.path} is damaged ({' '.join(str(error).split())[:100]}): it is now {aside}; a new one begins")
            return []

    def _text(self, rows: Sequence[Mapping[str, Any]], header: bool = False) -> bytes:
        text = io.StringIO(newline="")
        writer = csv.DictWriter(text, self.columns, restval="")
        if header:
            writer.writeheader()
        writer.writerows(rows)
        return text.getvalue().encode()


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Read ``metrics.csv`` as a list of rows. A last line that a crash cut off is left out.

    Raises:
        UserError: If it is missing, or no such file.
    """
    return _read(path)[1]


def _read(path: Path) -> tuple[Sequence[str], list[dict[str, str]]]:
    """Read the names of the columns, and the rows."""
    try:
        if path.stat().st_size > LARGEST:
            raise UserError(f"expected a file of metrics in {path}, got more than a gigabyte")
        content = path.read_bytes()
        whole = content[: content.rfind(b"\n") + 1].decode("utf-8")
        reader = csv.DictReader(io.StringIO(whole, newline=""), strict=True)
        rows = list(reader)
        return reader.fieldnames or (), rows
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, csv.Error) as error:
        if isinstance(error, UserError):
            raise
        raise UserError(f"expected a file of metrics in {path}: {error}") from None


def _sound(header: Sequence[str], rows: list[dict[str, str]], columns: Sequence[str]) -> list[dict[str, str]]:
    """Return rows whose steps are in order and whose other values are numbers or nothing.

    Raises:
        ValueError: If there are others.
    """
    if "step" not in header or not set(header) <= set(columns):
        raise ValueError("it has other columns")
    before = 0
    for number, row in enumerate(rows, start=1):
        if None in row or None in row.values():
            raise ValueError(f"row {number} has more or fewer columns")
        if not before <= (step := int(row["step"])):
            raise ValueError(f"row {number} is not in order")
        before = step
        for value in row.values():
            float(value or 0)
    return rows


def _free(path: Path) -> Path:
    """Return a path where nothing is yet: this one, or one with a number."""
    number, free = 1, path
    while free.exists():
        number += 1
        free = path.with_name(f"{path.stem}-{number}{path.suffix}")
    return free


def _write_all(file: Any, content: bytes) -> None:
    """Write without a buffer, which would write its rest when it is closed, after the file was put back."""
    while content:
        content = content[file.write(content) :]
