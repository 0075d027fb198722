"""``emnist-letters``: 124,800 and 20,800 handwritten letters, 28 x 28 pixels, ink bright, upright."""

import string
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np

from rnp_pyro.data.download import download_zip
from rnp_pyro.data.idx_set import IdxSet, load_idx_set, prepare_idx_set
from rnp_pyro.data.source import Request, Source
from rnp_pyro.errors import UserError

CLASSES = tuple(string.ascii_lowercase)
"""Capital and small letters are one class."""

_FILES = {
    f"{split}_{what}s": f"emnist-letters-{split}-{what}s-idx{rank}-ubyte"
    for split in ("train", "test")
    for what, rank in (("image", 3), ("label", 1))
}


def load(request: Request) -> Source:
    """Load the letters from the user's folder, else download them into it."""
    return replace(load_idx_set(_SET, request), class_names=CLASSES)


def prepare(source: Path, argument: str) -> tuple[str, dict[str, np.ndarray]]:
    """Return the name and the arrays of the archive that is made from the official files: upright, classes from 0."""
    return prepare_idx_set(_SET, source)


def _mend(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Turn the images upright, which the files hold as columns, and count classes from 0, which they count from 1.

    Raises:
        UserError: A label is none of 1 to 26.
    """
    for split in ("train", "test"):
        labels = arrays[f"{split}_labels"]
        if labels.size and not (labels.min() >= 1 and labels.max() <= len(CLASSES)):
            raise UserError(
                f"emnist-letters: expected labels of 1 to {len(CLASSES)} in {_FILES[f'{split}_labels']}, got "
                f"{labels.min()} to {labels.max()}: replace the file, it is of another of EMNIST's data sets"
            )
        arrays = {
            **arrays,
            f"{split}_images": np.ascontiguousarray(arrays[f"{split}_images"].swapaxes(-1, -2)),
            f"{split}_labels": labels - 1,
        }
    return arrays


def _letters(unpacked: Path) -> Iterator[Path]:
    """Yield the four files of all that EMNIST's archive holds."""
    return (path for name in _FILES.values() for path in unpacked.rglob(f"{name}*"))


def _download(idx_set: IdxSet, raw: Path) -> None:
    from torchvision.datasets import EMNIST  # takes seconds to import

    download_zip(EMNIST.url, EMNIST.md5, raw, _letters)


_SET = IdxSet(
    "emnist-letters",
    "EMNIST",
    "emnist_letters.npz",
    "https://www.nist.gov/itl/products-and-services/emnist-dataset (gzip.zip)",
    _FILES,
    _mend,
    _download,
)
