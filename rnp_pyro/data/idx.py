"""MNIST's own file format, in the folders that torchvision makes."""

import gzip
import math
import zlib
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from rnp_pyro.errors import UserError
from rnp_pyro.messages import one_line

FILES = {
    "train_images": "train-images-idx3-ubyte",
    "train_labels": "train-labels-idx1-ubyte",
    "test_images": "t10k-images-idx3-ubyte",
    "test_labels": "t10k-labels-idx1-ubyte",
}

LARGEST = 2**31
"""Bytes of a file that is taken seriously, uncompressed; EMNIST's letters have a twentieth of it."""

_UNSIGNED_BYTE = 8
"""The type code of the format's third byte; the only one that these data sets use."""


def find_idx_files(folder: Path, files: Mapping[str, str] = FILES) -> dict[str, Path] | None:
    """Return the four files in ``folder``, each plain or with ``.gz``, or None if one is missing."""
    found = {}
    for key, name in files.items():
        candidates = [folder / name, folder / f"{name}.gz"]
        path = next((path for path in candidates if path.is_file()), None)
        if path is None:
            return None
        found[key] = path
    return found


def read_idx_arrays(paths: Mapping[str, Path]) -> dict[str, np.ndarray]:
    """Read what ``find_idx_files`` found.

    Raises:
        UserError: A file is truncated or in another format.
    """
    return {key: _read_idx(path) for key, path in paths.items()}


def _read_idx(path: Path) -> np.ndarray:
    """Return the array in one file, plain or compressed."""
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
            content = file.read(LARGEST + 1)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"cannot read {str(path)!r} ({one_line(error)}): replace the file") from error
    if len(content) > LARGEST:
        raise UserError(f"expected at most {LARGEST >> 30} GiB in {str(path)!r}, got more: replace the file")
    array = _parse(content)
    if array is None:
        raise UserError(
            f"expected unsigned bytes in MNIST's idx format, got {str(path)!r} of {len(content)} bytes, "
            "which is truncated or something else: replace the file"
        )
    return array


def _parse(content: bytes) -> np.ndarray | None:
    """Two zero bytes, a type code, the number of dimensions, big-endian sizes, the values; None if they are not."""
    if len(content) < 4 or content[:3] != bytes([0, 0, _UNSIGNED_BYTE]):
        return None
    num_dimensions = content[3]
    start = 4 + 4 * num_dimensions
    if len(content) < start:
        return None
    shape = [int(size) for size in np.frombuffer(content, ">u4", num_dimensions, offset=4)]
    if len(content) - start != math.prod(shape):
        return None
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape).copy()
