"""Downloads: through torchvision from a server on this machine, and what comes from its addresses.

torchvision takes seconds to import, so that most tests here are thorough.
"""

import gzip
import hashlib
import http.server
import os
import shutil
import socket
import sys
import tempfile
import threading
import time
from pathlib import Path
from types import ModuleType, SimpleNamespace

import layouts
import pytest

from rnp_pyro.data import load_images
from rnp_pyro.data.idx import FILES
from rnp_pyro.errors import UserError

REFUSED = "http://127.0.0.1:9/"
"""An address where nothing answers."""


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
    yield
    assert list((tmp_path / "temporary").iterdir()) == []


@pytest.fixture(scope="session")
def real_vision():
    """Imported once, before ``alone``: what it imports leaves a folder of its own among the temporary files."""
    import torchvision.datasets

    return torchvision.datasets


@pytest.fixture
def vision(real_vision, monkeypatch):
    """torchvision's data sets; the addresses of two of them lead nowhere."""
    for name in ("MNIST", "FashionMNIST"):
        monkeypatch.setattr(getattr(real_vision, name), "mirrors", [REFUSED])
    return real_vision


@pytest.fixture
def server(tmp_path):
    """Serve ``tmp_path/served``, and return the address."""
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


def publish(tmp_path: Path, monkeypatch, dataset) -> None:
    """Serve the compressed files on the server and their sums into torchvision's list."""
    resources = []
    for key, array in zip(FILES, layouts.idx_arrays(), strict=True):
        name = f"{FILES[key]}.gz"
        content = gzip.compress(layouts.idx_file(array))
        (tmp_path / "served" / name).write_bytes(content)
        resources.append((name, hashlib.md5(content, usedforsecurity=False).hexdigest()))
    monkeypatch.setattr(dataset, "resources", resources)


def refused(name: str, **options) -> str:
    with pytest.raises(UserError) as caught:
        load_images(name, **options)
    message = str(caught.value)
    assert "\n" not in message
    return message


@pytest.mark.thorough
def test_nothing_found(tmp_path, vision, capfd):
    folder = tmp_path / "empty"
    message = refused("mnist", data_dir=str(folder))
    for told in (str(folder), "mnist.npz", "MNIST/raw", *FILES.values(), REFUSED, "--data_dir", "RNP_DATA"):
        assert told in message
    assert not folder.exists()
    assert capfd.readouterr() == ("", "")


@pytest.mark.thorough
def test_every_mirror_is_tried(monkeypatch, tmp_path, vision):
    monkeypatch.setattr(vision.FashionMNIST, "mirrors", [REFUSED, "http://127.0.0.1:9/other/"])
    message = refused("fashion-mnist", data_dir=str(tmp_path))
    assert REFUSED in message
    assert "http://127.0.0.1:9/other/" in message
    assert "FashionMNIST/raw" in message


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["mnist", "fashion-mnist"])
def test_download(tmp_path, monkeypatch, vision, server, capfd, name):
    dataset = {"mnist": vision.MNIST, "fashion-mnist": vision.FashionMNIST}[name]
    publish(tmp_path, monkeypatch, dataset)
    monkeypatch.setattr(dataset, "mirrors", [REFUSED, f"{server}missing/", server])
    data = load_images(name, data_dir=str(tmp_path / "sets"))
    assert data.test.squeeze(1).tolist() == layouts.idx_arrays()[2].tolist()
    raw = tmp_path / "sets" / dataset.__name__ / "raw"
    assert sorted(path.name for path in raw.iterdir()) == sorted(FILES.values())
    # The second time from the folder; torchvision itself finds the files too.
    monkeypatch.setattr(dataset, "mirrors", [REFUSED])
    assert load_images(name, data_dir=str(tmp_path / "sets")).train.equal(data.train)
    assert len(dataset(tmp_path / "sets", train=True)) == 40
    assert socket.getdefaulttimeout() is None
    assert capfd.readouterr() == ("", "")


@pytest.mark.thorough
def test_damaged_download_leaves_nothing(tmp_path, monkeypatch, vision, server):
    publish(tmp_path, monkeypatch, vision.MNIST)
    last = tmp_path / "served" / f"{FILES['test_labels']}.gz"
    last.write_bytes(last.read_bytes()[:-1])
    monkeypatch.setattr(vision.MNIST, "mirrors", [server])
    message = refused("mnist", data_dir=str(tmp_path / "sets"))
    assert server in message
    assert "corrupted" in message
    assert not (tmp_path / "sets").exists()


@pytest.mark.thorough
def test_folder_that_cannot_be_written(tmp_path, monkeypatch, vision, server):
    publish(tmp_path, monkeypatch, vision.MNIST)
    monkeypatch.setattr(vision.MNIST, "mirrors", [server])
    (tmp_path / "sets").mkdir()
    (tmp_path / "sets" / "MNIST").touch()
    assert "MNIST" in refused("mnist", data_dir=str(tmp_path / "sets"))


@pytest.mark.thorough
def test_silent_server_is_given_up(tmp_path, monkeypatch, vision):
    monkeypatch.setattr("rnp_pyro.data.download._TIMEOUT", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent:  # takes the connection, never answers
        address = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        monkeypatch.setattr(vision.MNIST, "mirrors", [address, address])
        start = time.monotonic()
        message = refused("mnist", data_dir=str(tmp_path))
        assert time.monotonic() - start < 5
    assert "timed out" in message
    assert socket.getdefaulttimeout() is None


@pytest.fixture
def web(tmp_path: Path, vision, monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    """Publish each archive's content in ``tmp_path/web/FILENAME``; return what was asked for: addresses and sums."""
    asked: list[tuple[str, str]] = []

    def fetch(url: str, folder: str, filename: str, md5: str, remove_finished: bool) -> None:
        asked.append((url, md5))
        if not (content := tmp_path / "web" / filename).is_dir():
            raise OSError(f"nothing at {url}")
        shutil.copytree(content, folder, dirs_exist_ok=True)

    monkeypatch.setattr(vision.utils, "download_and_extract_archive", fetch)
    return asked


def publish_letters(web: Path) -> None:
    """EMNIST's archive holds the files of six data sets."""
    layouts.write_idx(web / "gzip.zip" / "gzip", layouts.LETTER_NAMES, True, classes=26, first=1)
    (web / "gzip.zip" / "gzip" / "emnist-balanced-mapping.txt").write_text("0 48\n")


def publish_kmnist(web: Path) -> None:
    layouts.write_idx(web / "all", compressed=True)
    for name in layouts.MNIST_NAMES:
        (web / f"{name}.gz").mkdir()
        (web / f"{name}.gz" / name).write_bytes(gzip.decompress((web / "all" / f"{name}.gz").read_bytes()))


def publish_omniglot(web: Path) -> None:
    layouts.write_omniglot(web / "all")
    for part in ("images_background", "images_evaluation"):
        (web / f"{part}.zip").mkdir()
        (web / "all" / part).rename(web / f"{part}.zip" / part)


def addresses(name: str, vision) -> list[tuple[str, str]]:
    """Return addresses and sums as torchvision knows them."""
    if name == "emnist-letters":
        return [(vision.EMNIST.url, vision.EMNIST.md5)]
    if name == "kmnist":
        return [(f"{vision.KMNIST.mirrors[0]}{file}", md5) for file, md5 in vision.KMNIST.resources]
    return [
        (f"{vision.Omniglot.download_url_prefix}/{part}.zip", md5) for part, md5 in vision.Omniglot.zips_md5.items()
    ]


PUBLISH = {"emnist-letters": publish_letters, "kmnist": publish_kmnist, "omniglot": publish_omniglot}


@pytest.mark.thorough
@pytest.mark.parametrize("name", PUBLISH)
def test_what_is_downloaded_is_the_official_layout(tmp_path: Path, vision, web: list[tuple[str, str]], name: str):
    PUBLISH[name](tmp_path / "web")
    came = load_images(name, data_dir=str(tmp_path / "sets"))
    assert web == addresses(name, vision)
    below, write = layouts.OFFICIAL[name]
    write(tmp_path / "unpacked" / below)
    direct = load_images(name, data_dir=str(tmp_path / "unpacked"))
    assert came.train.equal(direct.train)
    assert came.test.equal(direct.test)
    assert came.class_names == direct.class_names
    # The second time from the folder, where only the files that are needed lie.
    assert load_images(name, data_dir=str(tmp_path / "sets")).train.equal(came.train)
    assert web == addresses(name, vision)
    kept = sorted(path.relative_to(tmp_path / "sets" / below).as_posix() for path in _files(tmp_path / "sets" / below))
    assert kept == sorted(
        path.relative_to(tmp_path / "unpacked" / below).as_posix() for path in _files(tmp_path / "unpacked" / below)
    )


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


@pytest.mark.thorough
@pytest.mark.parametrize("name", PUBLISH)
def test_what_does_not_arrive_leaves_nothing(tmp_path: Path, vision, web: list[tuple[str, str]], name: str):
    PUBLISH[name](tmp_path / "web")
    last = addresses(name, vision)[-1][0]
    shutil.rmtree(tmp_path / "web" / last.rpartition("/")[2])
    with pytest.raises(UserError, match=r"nor could they be downloaded into it .*nothing at .*: get") as caught:
        load_images(name, data_dir=str(tmp_path / "sets"))
    assert last in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not [path for path in (tmp_path / "sets").rglob("*") if path.name.endswith(".part")]


@pytest.mark.thorough
def test_half_a_download_is_gone_on_with(tmp_path: Path, web: list[tuple[str, str]]):
    publish_omniglot(tmp_path / "web")
    (tmp_path / "web" / "images_evaluation.zip").rename(tmp_path / "later")
    with pytest.raises(UserError, match=r"images_evaluation\.zip"):
        load_images("omniglot", data_dir=str(tmp_path / "sets"))
    (tmp_path / "later").rename(tmp_path / "web" / "images_evaluation.zip")
    web.clear()
    assert len(load_images("omniglot", data_dir=str(tmp_path / "sets")).test) == 8
    assert [url.rpartition("/")[2] for url, _ in web] == ["images_evaluation.zip"]


def test_a_download_asks_each_mirror_and_leaves_nothing_but_the_files(tmp_path, monkeypatch):
    """Without torchvision: what it knows of a data set, and its downloader."""
    asked = []

    def fetch(url: str, folder: str, filename: str, md5: str, remove_finished: bool) -> None:
        asked.append(url)
        if url.startswith("first"):
            raise OSError("nobody there")
        at = list(FILES.values()).index(filename)
        (Path(folder) / filename).write_bytes(layouts.idx_file(layouts.idx_arrays()[at]))

    known = SimpleNamespace(mirrors=["first/", "second/"], resources=[(name, "0" * 32) for name in FILES.values()])
    for name, content in (
        ("", {}),
        (".datasets", {"MNIST": known}),
        (".datasets.utils", {"download_and_extract_archive": fetch}),
    ):
        module = ModuleType(f"torchvision{name}")
        vars(module).update(content)
        monkeypatch.setitem(sys.modules, module.__name__, module)
    sys.modules["torchvision"].datasets = sys.modules["torchvision.datasets"]  # type: ignore[attr-defined]
    data = load_images("mnist", data_dir=str(tmp_path / "sets"))
    assert data.test[:, 0].numpy().tolist() == layouts.idx_arrays()[2].tolist()
    assert asked == [f"{mirror}/{name}" for name in FILES.values() for mirror in ("first", "second")]
    assert sorted(path.name for path in (tmp_path / "sets" / "MNIST" / "raw").iterdir()) == sorted(FILES.values())
