"""Files of a run directory. Every write goes to a temporary name first; no read ever executes code.

A checkpoint ends in a checksum, which is verified before anything of it is used. The last two are kept.
"""

import hashlib
import io
import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from rnp_pyro.errors import UserError
from rnp_pyro.limits import check_ends
from rnp_pyro.lock import LOCK
from rnp_pyro.metrics import MetricsFile as MetricsFile
from rnp_pyro.metrics import read_metrics as read_metrics
from rnp_pyro.pretrained import folder_of
from rnp_pyro.weights import load_weights as load_weights
from rnp_pyro.weights import save_weights as save_weights
from rnp_pyro.writing import PARTIAL
from rnp_pyro.writing import write_atomically as write_atomically

CONFIG = "config.yaml"
RECORD = "data.json"
INIT = "init.json"
METRICS = "metrics.csv"
SUMMARY = "summary.json"
SCHEDULE = "schedule.json"
WEIGHTS = "model.safetensors"
CHECKPOINT = "checkpoint.pt"
CHECKPOINT_BEFORE = "checkpoint_before.pt"
FIGURES = "figures"

_SEAL = re.compile(rb"\nsha256:([0-9a-f]{64})\n")
_SEAL_SIZE = 73
_END_OF_ZIP, _END_SIZE = b"PK\5\6", 22
"""What the last bytes of torch's own file begin with, and how many they are."""


def create_run(path: Path, advice: str | None = None) -> Path:
    """Make a new run directory.

    Args:
        path: The directory.
        advice: What to do where it cannot be made; default: the options of the command that trains.

    Raises:
        UserError: If it exists, or cannot be made.
    """
    _check_text(path)
    try:
        path.mkdir(parents=True)
    except FileExistsError:
        way_on = advice or f"choose another with --run, or go on with --resume {path}"
        raise UserError(f"run directory {path} exists: expected a new one; {way_on}") from None
    except OSError as error:
        way_on = advice or "choose another with --run"
        raise UserError(f"cannot make the run directory {path}: {error.strerror}; {way_on}") from None
    return path


def claim_run(path: Path) -> Path:
    """Make a new run directory, or take one whose run was ended before its first step.

    Raises:
        UserError: If there is a run in it or anything else, or it cannot be made.
    """
    return path if path.is_dir() and is_unbegun(path) else create_run(path)


def is_unbegun(path: Path) -> bool:
    """Return whether nothing is in a folder but what a run writes before its first step."""
    try:
        names = {one.name for one in path.iterdir() if not one.name.endswith(PARTIAL)}
    except OSError:
        return False
    if not names <= {LOCK, CONFIG, RECORD, INIT, METRICS, CHECKPOINT, "tensorboard"}:
        return False
    return CHECKPOINT not in names or (is_whole(path / CHECKPOINT) and load_checkpoint(path / CHECKPOINT)["step"] == 0)


def open_run(path: Path) -> Path:
    """Return the run directory that ``path`` names: itself, or the package's for ``pretrained:NAME``.

    Raises:
        UserError: If it is not one.
    """
    _check_text(path)
    path = folder_of(path)
    if not (path / CONFIG).is_file():
        raise UserError(f"expected a run directory with a {CONFIG}, got {path}: name one that train_svi wrote")
    return path


def _check_text(path: Path) -> None:
    """Refuse a folder whose name no file of weights can be read under."""
    try:
        str(path.absolute()).encode()
    except UnicodeEncodeError:
        raise UserError(f"expected a run directory whose path is text, got {str(path)!a}: rename it") from None


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
    check_ends(path)
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UserError(f"cannot read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"expected JSON in {path}: {error}") from None


def read_object(path: Path) -> dict[str, Any]:
    """Read a JSON file of names and values.

    Raises:
        UserError: If it is missing, not JSON, or of anything else, such as a list.
    """
    if not isinstance(value := read_json(path), dict):
        raise UserError(f"expected names and values in {path}, got {type(value).__name__}: the file is damaged")
    return value


def save_checkpoint(state: Mapping[str, Any], path: Path, before: Path | None = None) -> None:
    """Write tensors, numbers and strings in nested dictionaries and lists, from which a run can go on.

    Args:
        state: What is kept.
        path: The file.
        before: Where the checkpoint that it replaces is kept, if that is whole; None: nowhere.
    """
    content = io.BytesIO()  # of a file that cannot be written torch.save tells no cause
    torch.save(dict(state), content)
    content.write(b"\nsha256:" + hashlib.sha256(content.getbuffer()).hexdigest().encode() + b"\n")
    kept = before if before is not None and is_whole(path) else None
    write_atomically(path, lambda temporary: _write_bytes(temporary, content), kept)


def _write_bytes(path: Path, content: io.BytesIO) -> None:
    with path.open("wb") as file:
        file.write(content.getbuffer())


def is_whole(path: Path) -> bool:
    """Return whether a checkpoint is there and its checksum fits."""
    try:
        _unsealed(path.read_bytes())
    except (OSError, ValueError):
        return False
    return True


def load_checkpoint(path: Path) -> dict[str, Any]:
    """Read what :func:`save_checkpoint` wrote, onto the CPU.

    Raises:
        UserError: If the file is missing or damaged.
    """
    try:
        state = torch.load(io.BytesIO(_unsealed(path.read_bytes())), map_location="cpu", weights_only=True)
    except (FileNotFoundError, IsADirectoryError):
        raise UserError(f"expected a checkpoint in {path}, found none: the run has none to go on from") from None
    except OSError as error:
        raise UserError(f"cannot read the checkpoint {path}: {error.strerror}") from None
    except Exception as error:  # of a damaged file torch.load raises almost anything
        reason = str(error) if type(error) is ValueError else "it is damaged or holds more than tensors and numbers"
        raise UserError(f"cannot load the checkpoint {path}: {reason}") from None
    if not isinstance(state, dict):
        raise UserError(f"cannot load the checkpoint {path}: it is of something else")
    return state


def load_newest_checkpoint(run: Path) -> tuple[dict[str, Any], str | None]:
    """Read a run's newest checkpoint, or the one before where that is damaged or missing.

    Returns:
        The state, and a line to tell where it is the one before.

    Raises:
        UserError: If neither can be read.
    """
    try:
        return load_checkpoint(run / CHECKPOINT), None
    except UserError as error:
        if not (run / CHECKPOINT_BEFORE).is_file():
            raise
        state = load_checkpoint(run / CHECKPOINT_BEFORE)
        return state, f"{error}: going on from the one before, of step {state.get('step')}"


def _unsealed(content: bytes) -> bytes:
    """Return what torch wrote, without the checksum behind it.

    A file of an earlier version has none, and the checksums of the archive's members are compared.

    Raises:
        ValueError: If a checksum does not fit.
    """
    sealed, seal = content[:-_SEAL_SIZE], _SEAL.fullmatch(content[-_SEAL_SIZE:])
    if seal is not None:
        if hashlib.sha256(sealed).hexdigest().encode() != seal[1]:
            raise ValueError("its checksum does not fit, so that it is damaged")
        return sealed
    if content[-_END_SIZE:][:4] != _END_OF_ZIP:
        raise ValueError("it is damaged or none at all")
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            members = archive.infolist()
            if sum(member.file_size for member in members) > len(content):  # torch compresses nothing
                raise ValueError("it holds more than a checkpoint does")
            if archive.testzip() is not None:
                raise ValueError("its checksum does not fit, so that it is damaged")
    except (zipfile.BadZipFile, NotImplementedError, RuntimeError, EOFError) as error:
        raise ValueError("it is damaged") from error
    return content
