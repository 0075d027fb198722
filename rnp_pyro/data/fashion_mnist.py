"""``fashion-mnist``: 60,000 and 10,000 articles of clothing, 28 x 28 pixels, bright on black."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from rnp_pyro.data.idx_set import IdxSet, load_idx_set, prepare_idx_set
from rnp_pyro.data.source import Request, Source

CLASSES = ("T-shirt/top", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot")

_SET = IdxSet("fashion-mnist", "FashionMNIST", "fashion_mnist.npz", "https://github.com/zalandoresearch/fashion-mnist")


def load(request: Request) -> Source:
    """Load the articles from the user's folder, else download them into it."""
    return replace(load_idx_set(_SET, request), class_names=CLASSES)


def prepare(source: Path, argument: str) -> tuple[str, dict[str, np.ndarray]]:
    """Return the name and the arrays of the archive that is made from the official files."""
    return prepare_idx_set(_SET, source)
