"""Weights of a model and its guide as safetensors, with a checksum in the file's header."""

import copy
import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, load_model, save_model
from torch import nn

from rnp_pyro.errors import UserError
from rnp_pyro.writing import write_atomically

DIGEST = "sha256"
FORMAT = {"format": "rnp_pyro"}
"""What the header of weights with a checksum says besides."""


def save_weights(module: nn.Module, path: Path, half: bool = False) -> None:
    """Write a module's weights as safetensors; tensors that two networks share are kept once.

    Args:
        module: Whose weights; it stays as it is.
        path: The file.
        half: Keep them in half precision, half as large. They load into single precision as any others.

    Raises:
        UserError: If a weight is beyond what half precision holds, 65504.
    """
    if half:
        module = copy.deepcopy(module).half()
        if (bad := not_finite(module.state_dict())) is not None:
            raise UserError(f"expected weights within 65504, which half precision holds, got more in {bad}: save whole")

    def write(temporary: Path) -> None:
        try:
            save_model(module, str(temporary), {**FORMAT, DIGEST: _digest(module.state_dict())})
        except SafetensorError as error:
            raise OSError(_first_line(error)) from None

    write_atomically(path, write)


def load_weights(module: nn.Module, path: Path) -> None:
    """Read a module's weights.

    Raises:
        UserError: If the file is missing, damaged, or of another model, or a weight is not finite.
    """
    try:
        _check_weights(path)
        load_model(module, str(path))
    except FileNotFoundError:
        raise UserError(f"expected trained weights in {path}, found none: has the run ended?") from None
    except (SafetensorError, RuntimeError, OSError, KeyError) as error:
        raise UserError(
            f"cannot load weights from {path}: {_reason(error)}; the file is damaged or of another model"
        ) from None


def _check_weights(path: Path) -> None:
    """Verify a file's checksum, which files of earlier versions lack, and that all its numbers are finite."""
    with safe_open(str(path), "pt") as file:
        about = file.metadata() or {}
    tensors = load_file(str(path))
    if DIGEST in about or FORMAT.keys() & about.keys():
        shared = {name: tensors[kept] for name, kept in about.items() if name not in (DIGEST, *FORMAT)}
        if not FORMAT.items() <= about.items() or about.get(DIGEST) != _digest({**tensors, **shared}):
            raise UserError(f"cannot load weights from {path}: its checksum does not fit; the file is damaged")
    if (bad := not_finite(tensors)) is not None:
        raise UserError(f"cannot load weights from {path}: {bad} is not finite; the run diverged or was changed")


def _digest(tensors: Mapping[str, torch.Tensor]) -> str:
    """Return the checksum of tensors and their names."""
    found = hashlib.sha256()
    for name, tensor in sorted(tensors.items()):
        found.update(f"{name} {tensor.dtype} {list(tensor.shape)} ".encode())
        found.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy().data)
    return found.hexdigest()


def not_finite(tensors: Mapping[str, torch.Tensor]) -> str | None:
    """Return the name of a tensor that holds NaN or infinity; None if there is none."""
    return next((name for name, tensor in tensors.items() if not tensor.isfinite().all()), None)


def _reason(error: Exception) -> str:
    """Return the first cause that PyTorch lists under its headline (which tensor does not fit); else the headline."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return lines[1].rstrip(".") if len(lines) > 1 else _first_line(error)


def _first_line(error: Exception) -> str:
    """Return what an error says, short; an unexpected end of a file says nothing."""
    return next(iter(str(error).splitlines()), "the file is not complete")
