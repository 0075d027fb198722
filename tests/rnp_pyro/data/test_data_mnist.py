"""Where data sets in MNIST's form are looked for."""

import os
from pathlib import Path

import layouts
import numpy as np
import pytest
import torch

from rnp_pyro.data import load_images
from rnp_pyro.data.data_folder import data_folder
from rnp_pyro.data.idx import FILES
from rnp_pyro.errors import UserError


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "train_images": rng.integers(0, 256, (40, 28, 28), dtype=np.uint8),
        "train_labels": rng.integers(0, 10, 40, dtype=np.uint8),
        "test_images": rng.integers(0, 256, (10, 28, 28), dtype=np.uint8),
        "test_labels": rng.integers(0, 10, 10, dtype=np.uint8),
    }


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """Nobody's data."""
    monkeypatch.delenv("RNP_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def refused(name: str, **options) -> str:
    with pytest.raises(UserError) as caught:
        load_images(name, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.parametrize(("name", "file"), [("mnist", "mnist.npz"), ("fashion-mnist", "fashion_mnist.npz")])
@pytest.mark.parametrize("by_option", [True, False])
def test_archive(tmp_path, monkeypatch, name, file, by_option):
    np.savez_compressed(tmp_path / file, **arrays())
    if not by_option:
        monkeypatch.setenv("RNP_DATA", str(tmp_path))
    data = load_images(name, data_dir=str(tmp_path) if by_option else None)
    assert data.name == name
    assert data.image_shape == (1, 28, 28)
    assert not data.colour
    assert (len(data.train), len(data.validation), len(data.test)) == (38, 2, 10)
    assert data.test.squeeze(1).tolist() == arrays()["test_images"].tolist()


@pytest.mark.parametrize(("name", "folder"), [("mnist", "MNIST"), ("fashion-mnist", "FashionMNIST")])
def test_torchvision_layout(tmp_path, name, folder):
    raw = tmp_path / folder / "raw"
    raw.mkdir(parents=True)
    for key, array in arrays().items():
        (raw / FILES[key]).write_bytes(layouts.idx_file(array))
    data = load_images(name, data_dir=str(tmp_path))
    assert data.test.squeeze(1).tolist() == arrays()["test_images"].tolist()
    assert data.test_labels is not None
    assert data.test_labels.tolist() == arrays()["test_labels"].tolist()


def test_another_image_size(tmp_path):
    np.savez_compressed(tmp_path / "mnist.npz", **arrays())
    data = load_images("mnist", data_dir=str(tmp_path), image_size=16)
    assert {tuple(part.shape[1:]) for part in (data.train, data.validation, data.test)} == {(1, 16, 16)}


def test_folder_of_data_sets(monkeypatch, tmp_path):
    assert data_folder(None) == tmp_path / "home" / ".cache" / "rnp-pyro"
    monkeypatch.setenv("RNP_DATA", "")
    assert data_folder(None) == tmp_path / "home" / ".cache" / "rnp-pyro"
    monkeypatch.setenv("RNP_DATA", "~/sets")
    assert data_folder(None) == tmp_path / "home" / "sets"
    assert data_folder("here") == Path("here")


def test_truncated_archive(tmp_path):
    path = tmp_path / "mnist.npz"
    np.savez_compressed(path, **arrays())
    path.write_bytes(path.read_bytes()[:2000])
    assert str(path) in refused("mnist", data_dir=str(tmp_path))


def test_file_instead_of_folder(tmp_path):
    path = tmp_path / "file"
    path.touch()
    assert "which is a file" in refused("mnist", data_dir=str(path))


FULL = os.environ.get("RNP_DATA", "")
"""Read before the fixture hides it."""


@pytest.mark.data
@pytest.mark.skipif(not FULL, reason="RNP_DATA does not name a folder with the full data sets")
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_full(name):
    data = load_images(name, data_dir=FULL)
    assert (len(data.train), len(data.validation), len(data.test)) == (57000, 3000, 10000)
    assert data.validation_labels is not None
    counts = data.validation_labels.bincount()
    assert data.train_labels is not None
    expected = 0.05 * (counts + data.train_labels.bincount())
    assert (abs(counts - expected) <= 1).all()
    assert data.train.dtype == torch.uint8
