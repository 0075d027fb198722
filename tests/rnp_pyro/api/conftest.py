"""Tiny runs in memory, trained as a user trains them."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import torch

import rnp_pyro

TINY = {
    "model": {
        "latent_size": 4,
        "tree": {
            "num_steps": [3, 2],
            "canvas_sizes": [8],
            "patch_size": 4,
            "hidden_size": 8,
            "hypernet_size": 8,
            "hypernet_layers": 3,
        },
    },
    "train": {"batch_size": 8, "log_every": 2},
}


@pytest.fixture(autouse=True)
def _float32(_regime: None) -> Iterator[None]:
    """The library is called as users call it; the project's other tests run in float64."""
    with in_float32():
        yield


class in_float32:  # noqa: N801
    """Run under PyTorch's default type."""

    def __enter__(self) -> None:
        self.before = torch.get_default_dtype()
        torch.set_default_dtype(torch.float32)

    def __exit__(self, *error: object) -> None:
        torch.set_default_dtype(self.before)


def blobs(count: int = 24) -> np.ndarray:
    """Return bright squares here and there, uint8 ``[count 12 12]``."""
    random, images = np.random.default_rng(0), np.zeros((count, 12, 12), np.uint8)
    for image in images:
        row, column = random.integers(0, 9, 2)
        image[row : row + 3, column : column + 3] = random.integers(100, 256)
    return images


@pytest.fixture
def images() -> np.ndarray:
    """24 grey images, uint8 [24 12 12]."""
    return blobs()


Fit = Callable[..., Any]


def fit_tiny(images: Any, **settings: Any) -> Any:
    return rnp_pyro.fit(images, **{"steps": 4, "progress": False, **TINY, **settings})


@pytest.fixture
def fit() -> Fit:
    """Train a tiny model for four steps."""
    return fit_tiny


@pytest.fixture(scope="session")
def run() -> Any:
    """A run of a tiny tree, in memory."""
    with in_float32():
        return fit_tiny(blobs())
