"""Files of a run directory. Every write goes to a temporary name first; no read ever executes code."""

import csv
import io
import json
import os
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_model, save_model
from torch import nn

from rnp_pyro.errors import UserError
from rnp_pyro.writing import writing

CONFIG = "config.yaml"
METRICS = "metrics.csv"
SUMMARY = "summary.json"
SCHEDULE = "schedule.json"
WEIGHTS = "model.safetensors"
CHECKPOINT = "checkpoint.pt"
FIGURES = "figures"


def create_run(path: Path) -> Path:
    """Make a new run directory.

    Raises:
        UserError: If it exists, or cannot be made.
    """
    _check_text(path)
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        raise UserError(
            f"run directory {path} exists: expected a new one; choose another with --run, or go on with --resume {path}"
        ) from None
    except OSError as error:
        raise UserError(f"cannot make the run directory {path}: {error.strerror}; choose another with --run") from None
    return path


def open_run(path: Path) -> Path:
    """Check that ``path`` is a run directory.

    Raises:
        UserError: If it is not one.
    """
    _check_text(path)
    if not (path / CONFIG).is_file():
        raise UserError(f"expected a run directory with a {CONFIG}, got {path}: name one that train_svi wrote")
    return path


def _check_text(path: Path) -> None:
    """Refuse a folder whose name no file of weights can be read under."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        raise UserError(f"expected a run directory whose path is text, got {str(path)!a}: rename it") from None


def write_atomically(path: Path, write: Callable[[Path], None]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then rename it: a crash leaves the old file or the new.

    Raises:
        UserError: If the file cannot be written.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.partial")
    with writing(path):
        try:
            write(temporary)
            temporary.chmod(0o644)  # safetensors makes files that only their owner can read
            os.replace(temporary, path)
        finally:
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file."""

    def write(temporary: Path) -> None:
        temporary.write_text(text, encoding="utf-8")

    write_atomically(path, write)


def write_json(path: Path, value: Any) -> None:
    """Write a JSON file, keys in their order."""
    write_text(path, json.dumps(value, indent=2) + "\n")


def read_json(path: Path) -> Any:
    """Read a JSON file.

    Raises:
        UserError: If it is missing or not JSON.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"expected JSON in {path}: {error}") from None


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file of names and values.

    Raises:
        UserError: If it is missing, not JSON, or of anything else, such as a list.
    """
    if not isinstance(value := read_json(path), dict):
        raise UserError(f"expected names and values in {path}, got {type(value).__name__}: the file is damaged")
    return value


def save_weights(module: nn.Module, path: Path) -> None:
    """Write a module's weights as safetensors; tensors that two networks share are kept once."""

    def write(temporary: Path) -> None:
        try:
            save_model(module, str(temporary))
        except SafetensorError as error:
            raise OSError(_first_line(error)) from None

    write_atomically(path, write)


def load_weights(module: nn.Module, path: Path) -> None:
    """Read a module's weights.

    Raises:
        UserError: If the file is missing, damaged, or of another model.
    """
    try:
        load_model(module, str(path))
    except FileNotFoundError:
        raise UserError(f"expected trained weights in {path}, found none: has the run ended?") from None
    except (SafetensorError, RuntimeError, OSError) as error:
        raise UserError(
            f"cannot load weights from {path}: {_reason(error)}; the file is damaged or of another model"
        ) from None


def save_checkpoint(state: Mapping[str, Any], path: Path) -> None:
    """Write tensors, numbers and strings in nested dictionaries and lists, from which a run can go on."""
    content = io.BytesIO()  # of a file that cannot be written torch.save tells no cause
    torch.save(dict(state), content)
    write_atomically(path, lambda temporary: _write_bytes(temporary, content))


def _write_bytes(path: Path, content: io.BytesIO) -> None:
    with path.open("wb") as file:
        file.write(content.getbuffer())


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote, onto the CPU.

    Raises:
        UserError: If the file is missing or damaged.
    """
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"expected a checkpoint in {path}, found none: the run has none to go on from") from None
    except Exception as error:  # of a damaged file torch.load raises almost anything
        raise UserError(f"cannot load the checkpoint {path}: {_first_line(error)}") from None


def _reason(error: Exception) -> str:
    """Return the first cause that PyTorch lists under its headline (which tensor does not fit); else the headline."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[1].rstrip(".") if len(lines) > 1 else _first_line(error)


def _first_line(error: Exception) -> str:
    """Return what an error says, short; an unexpected end of a file says nothing."""
    return next(iter(str(error).splitlines()), "the file is not complete")


class MetricsFile:
    """``metrics.csv``: one row appended at a time, so that a crash loses none.

    Args:
        path: The file; made with its header if it is not there.
        columns: Names of the columns.
        until_step: On resuming, rows of later steps are dropped: they are about to be made again.
    """

    def __init__(self, path: Path, columns: Sequence[str], until_step: int | None = None) -> None:
        self.path, self.columns = path, tuple(columns)
        rows = read_metrics(path) if path.exists() else []
        kept = [row for row in rows if until_step is None or int(row["step"]) <= until_step]
        write_atomically(path, lambda temporary: self._write(temporary, kept, mode="w"))

    def append(self, row: Mapping[str, Any]) -> None:
        """Add one row; missing columns stay empty.

        Raises:
            UserError: If it cannot be written; the file is then as it was.
        """
        with writing(self.path):
            size = self.path.stat().st_size
            try:
                self._write(self.path, [row], mode="a")
            except OSError:
                os.truncate(self.path, size)
                raise

    def _write(self, path: Path, rows: Sequence[Mapping[str, Any]], mode: str) -> None:
        with path.open(mode, newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self.columns, restval="")
            if mode == "w":
                writer.writeheader()
            writer.writerows(rows)


def read_metrics(path: Path) -> list[dict[str, str]]:
    """Read ``metrics.csv`` as a list of rows."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
