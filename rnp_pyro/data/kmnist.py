"""``kmnist``: 60,000 and 10,000 cursive Japanese characters, 28 x 28 pixels, ink bright."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from rnp_pyro.data.archive import read_keys, to_source
from rnp_pyro.data.data_folder import data_folder, find_file, find_folder
from rnp_pyro.data.idx_set import IdxSet, find_idx_set, load_idx_set, prepare_idx_set
from rnp_pyro.data.source import Request, Source

CLASSES = ("o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo")

_SET = IdxSet("kmnist", "KMNIST", "kmnist.npz", "https://codh.rois.ac.jp/kmnist/")

_ARCHIVES = {
    "train_images": "kmnist-train-imgs.npz",
    "train_labels": "kmnist-train-labels.npz",
    "test_images": "kmnist-test-imgs.npz",
    "test_labels": "kmnist-test-labels.npz",
}
"""The other form in which the authors publish it: one array a file, ``arr_0``."""


def load(request: Request) -> Source:
    """Load the characters from the user's folder, else download them into it."""
    folder = data_folder(request.data_dir)
    found = _find_archives(folder)
    if found and not find_file(folder, _SET.archive) and not find_idx_set(_SET, folder):
        return replace(to_source(_read_archives(found), found), class_names=CLASSES)
    return replace(load_idx_set(_SET, request), class_names=CLASSES)


def prepare(source: Path, argument: str) -> tuple[str, dict[str, np.ndarray]]:
    """Return the name and the arrays of the archive that is made from the official files."""
    found = _find_archives(source)
    if not found:
        return prepare_idx_set(_SET, source)
    arrays = _read_archives(found)
    to_source(arrays, found)  # checks them
    return _SET.archive, arrays


def _find_archives(folder: Path) -> Path | None:
    return find_folder(folder, lambda path: all((path / name).is_file() for name in _ARCHIVES.values()), "KMNIST")


def _read_archives(folder: Path) -> dict[str, np.ndarray]:
    return {key: read_keys(folder / name, ["arr_0"])["arr_0"] for key, name in _ARCHIVES.items()}
