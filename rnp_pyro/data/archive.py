"""Grey images and labels from compressed NumPy archives and from plain arrays, checked."""

import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from rnp_pyro.data.array_file import check_memory
from rnp_pyro.data.image_data import Split
from rnp_pyro.data.source import Source
from rnp_pyro.errors import UserError
from rnp_pyro.messages import one_line

KEYS = ("train_images", "train_labels", "test_images", "test_labels")


def read_archive(path: Path) -> Source:
    """Read an archive with ``train_images`` uint8 [N, S, S], ``train_labels`` [N], ``test_images``, ``test_labels``.

    Nothing in the file is executed: pickled objects are refused.

    Raises:
        UserError: The file is truncated or is not such an archive.
    """
    return to_source(read_keys(path, KEYS), path)


def read_keys(path: Path, keys: Sequence[str]) -> dict[str, np.ndarray]:
    """Read the named arrays of a compressed archive; nothing in the file is executed.

    Raises:
        UserError: The file is truncated, or is no archive with these arrays.
    """
    try:
        with path.open("rb") as file:
            if zipfile.is_zipfile(file):
                with zipfile.ZipFile(file) as members:
                    check_memory(sum(one.file_size for one in members.infolist()), str(path))
            file.seek(0)
            archive = np.load(file, allow_pickle=False)
            if not isinstance(archive, np.lib.npyio.NpzFile):
                raise ValueError("it holds a single array")
            with archive:
                return {key: archive[key] for key in keys}
    except UserError:
        raise
    # What NumPy, zipfile and zlib raise on bytes that were cut off or changed.
    except (
        OSError,
        ValueError,
        KeyError,
        EOFError,
        MemoryError,
        RuntimeError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise UserError(
            f"expected a NumPy archive (.npz) with {', '.join(keys)}, got {str(path)!r}, which cannot be read "
            f"({one_line(error)}): replace the file"
        ) from error


def to_source(arrays: dict[str, np.ndarray], path: Path) -> Source:
    """Return checked arrays as tensors.

    Args:
        arrays: One for each of ``KEYS``.
        path: Where they came from, for messages.

    Raises:
        UserError: Types or shapes are not those of ``read_archive``, or there are no images.
    """
    for split in ("train", "test"):
        _check(arrays[f"{split}_images"], arrays[f"{split}_labels"], f"{split} part of {str(path)!r}")
    train, test = (arrays[f"{split}_images"] for split in ("train", "test"))
    if train.shape[1:] != test.shape[1:]:
        raise UserError(
            f"expected training and test images of one size in {str(path)!r}, got {list(train.shape)} and "
            f"{list(test.shape)}: replace the file"
        )
    return Source(train=_split(arrays, "train"), test=_split(arrays, "test"))


def _split(arrays: dict[str, np.ndarray], split: str) -> Split:
    return Split(
        torch.from_numpy(arrays[f"{split}_images"]).unsqueeze(1),
        torch.from_numpy(arrays[f"{split}_labels"].astype(np.int64)),
    )


def _check(images: np.ndarray, labels: np.ndarray, where: str) -> None:
    if images.dtype != np.uint8 or images.ndim != 3 or images.shape[1] != images.shape[2] or not images.size:
        raise UserError(
            f"expected images as uint8 [N, S, S] in the {where}, got {images.dtype} {list(images.shape)}: "
            "replace the file"
        )
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise UserError(
            f"expected labels as integers [{len(images)}] in the {where}, got {labels.dtype} {list(labels.shape)}: "
            "replace the file"
        )
