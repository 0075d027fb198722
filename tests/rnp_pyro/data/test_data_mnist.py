"""Where the public data sets are looked for, and their download from a server on this machine."""

import gzip
import hashlib
import http.server
import os
import socket
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torchvision.datasets import MNIST, FashionMNIST

from rnp_pyro.data import load_images
from rnp_pyro.data.data_folder import data_folder
from rnp_pyro.data.idx import FILES
from rnp_pyro.errors import UserError

REFUSED = "http://127.0.0.1:9/"
"""An address where nothing answers."""


def arrays() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "train_images": rng.integers(0, 256, (40, 28, 28), dtype=np.uint8),
        "train_labels": rng.integers(0, 10, 40, dtype=np.uint8),
        "test_images": rng.integers(0, 256, (10, 28, 28), dtype=np.uint8),
        "test_labels": rng.integers(0, 10, 10, dtype=np.uint8),
    }


def encode(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


@pytest.fixture(autouse=True)
def alone(monkeypatch, tmp_path):
    """No network, no proxy, nobody's data; a fresh folder for temporary files."""
    for name in list(os.environ):
        if name.lower().endswith("_proxy") or name == "RNP_DATA":
            monkeypatch.delenv(name)
    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    for dataset in (MNIST, FashionMNIST):
        monkeypatch.setattr(dataset, "mirrors", [REFUSED])
    yield
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.fixture
def server(tmp_path):
    """Serves ``tmp_path/served``; gives the address."""
    served = tmp_path / "served"
    served.mkdir()

    class Handler(http.server.SimpleHTTPRequestHandler):
        def __init__(self, *args):
            super().__init__(*args, directory=str(served))

        def log_message(self, *args):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}/"
        running.shutdown()
        thread.join()


def publish(tmp_path: Path, monkeypatch, dataset: type[MNIST] = MNIST) -> None:
    """Puts the compressed files on the server and their sums into torchvision's list."""
    resources = []
    for key, array in arrays().items():
        name = f"{FILES[key]}.gz"
        content = gzip.compress(encode(array))
        (tmp_path / "served" / name).write_bytes(content)
        resources.append((name, hashlib.md5(content, usedforsecurity=False).hexdigest()))
    monkeypatch.setattr(dataset, "resources", resources)


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
        (raw / FILES[key]).write_bytes(encode(array))
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


def test_nothing_found(tmp_path, capfd):
    folder = tmp_path / "empty"
    message = refused("mnist", data_dir=str(folder))
    for told in (str(folder), "mnist.npz", "MNIST/raw", *FILES.values(), REFUSED, "--data_dir", "RNP_DATA"):
        assert told in message
    assert not folder.exists()
    assert capfd.readouterr() == ("", "")


def test_every_mirror_is_tried(monkeypatch, tmp_path):
    monkeypatch.setattr(FashionMNIST, "mirrors", [REFUSED, "http://127.0.0.1:9/other/"])
    message = refused("fashion-mnist", data_dir=str(tmp_path))
    assert REFUSED in message
    assert "http://127.0.0.1:9/other/" in message
    assert "FashionMNIST/raw" in message


def test_truncated_archive(tmp_path):
    path = tmp_path / "mnist.npz"
    np.savez_compressed(path, **arrays())
    path.write_bytes(path.read_bytes()[:2000])
    assert str(path) in refused("mnist", data_dir=str(tmp_path))


def test_file_instead_of_folder(tmp_path):
    path = tmp_path / "file"
    path.touch()
    assert "which is a file" in refused("mnist", data_dir=str(path))


@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_download(tmp_path, monkeypatch, server, capfd, name):
    dataset = {"mnist": MNIST, "fashion-mnist": FashionMNIST}[name]
    publish(tmp_path, monkeypatch, dataset)
    monkeypatch.setattr(dataset, "mirrors", [REFUSED, f"{server}missing/", server])
    data = load_images(name, data_dir=str(tmp_path / "sets"))
    assert data.test.squeeze(1).tolist() == arrays()["test_images"].tolist()
    raw = tmp_path / "sets" / dataset.__name__ / "raw"
    assert sorted(path.name for path in raw.iterdir()) == sorted(FILES.values())
    # The second time from the folder; torchvision itself finds the files too.
    monkeypatch.setattr(dataset, "mirrors", [REFUSED])
    assert load_images(name, data_dir=str(tmp_path / "sets")).train.equal(data.train)
    assert len(dataset(tmp_path / "sets", train=True)) == 40
    assert socket.getdefaulttimeout() is None
    assert capfd.readouterr() == ("", "")


def test_damaged_download_leaves_nothing(tmp_path, monkeypatch, server):
    publish(tmp_path, monkeypatch)
    last = tmp_path / "served" / f"{FILES['test_labels']}.gz"
    last.write_bytes(last.read_bytes()[:-1])
    monkeypatch.setattr(MNIST, "mirrors", [server])
    message = refused("mnist", data_dir=str(tmp_path / "sets"))
    assert server in message
    assert "corrupted" in message
    assert not (tmp_path / "sets").exists()


def test_folder_that_cannot_be_written(tmp_path, monkeypatch, server):
    publish(tmp_path, monkeypatch)
    monkeypatch.setattr(MNIST, "mirrors", [server])
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "MNIST").touch()
    assert "MNIST" in refused("mnist", data_dir=str(tmp_path / "sets"))


def test_silent_server_is_given_up(tmp_path, monkeypatch):
    monkeypatch.setattr("rnp_pyro.data.download._TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection, never answers
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        monkeypatch.setattr(MNIST, "mirrors", [address, address])
        start = time.monotonic()
        message = refused("mnist", data_dir=str(tmp_path))
        assert time.monotonic() - start < 5
    assert "timed out" in message
    assert socket.getdefaulttimeout() is None


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
