import contextlib
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnp_pyro.data.archive import read_archive
from rnp_pyro.errors import UserError


def arrays(num_train: int = 12, num_test: int = 5) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {
        "train_images": rng.integers(0, 256, (num_train, 6, 6), dtype=np.uint8),
        "train_labels": rng.integers(0, 10, num_train, dtype=np.uint8),
        "test_images": rng.integers(0, 256, (num_test, 6, 6), dtype=np.uint8),
        "test_labels": rng.integers(0, 10, num_test, dtype=np.uint8),
    }


def write(path: Path, **changes) -> Path:
    np.savez_compressed(path, **(arrays() | changes))
    return path


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_archive(path)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    assert "expected" in message
    assert "got" in message
    return message


def test_reads_what_was_written(tmp_path):
    source = read_archive(write(tmp_path / "a.npz"))
    assert source.train.images.shape == (12, 1, 6, 6)
    assert source.train.images.squeeze(1).numpy().tolist() == arrays()["train_images"].tolist()
    assert source.test.labels is not None
    assert source.test.labels.dtype == torch.int64
    assert source.test.labels.tolist() == arrays()["test_labels"].tolist()


@pytest.mark.thorough
@settings(deadline=None, max_examples=40)
@given(st.data())
def test_truncated(tmp_path_factory, data):
    whole = io.BytesIO()
    np.savez_compressed(whole, **arrays())
    content = whole.getvalue()
    path = tmp_path_factory.mktemp("cut") / "cut.npz"
    path.write_bytes(content[: data.draw(st.integers(0, len(content) - 1))])
    assert "cannot be read" in refused(path)


@pytest.mark.thorough
@settings(deadline=None, max_examples=60)
@given(st.data())
def test_damaged_bytes_are_refused_or_harmless(tmp_path_factory, data):
    whole = io.BytesIO()
    np.savez_compressed(whole, **arrays())
    content = bytearray(whole.getvalue())
    content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("bad") / "bad.npz"
    path.write_bytes(content)
    with contextlib.suppress(UserError):
        read_archive(path)


def test_text(tmp_path):
    path = tmp_path / "text.npz"
    path.write_text("not an archive")
    refused(path)


def test_single_array(tmp_path):
    path = tmp_path / "single.npz"
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    assert "a single array" in refused(path)


class Bomb:
    def __reduce__(self):
        return (pytest.fail, ("unpickled",))


def test_pickles_are_never_opened(tmp_path):
    path = write(tmp_path / "pickle.npz", train_images=np.array([Bomb()], dtype=object))
    assert "allow_pickle" in refused(path)


def test_missing_key(tmp_path):
    path = tmp_path / "few.npz"
    np.savez_compressed(path, train_images=arrays()["train_images"])
    assert "train_labels" in refused(path)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"train_images": np.zeros((12, 6, 6))}, "float64 [12, 6, 6]"),
        ({"train_images": np.zeros((12, 36), np.uint8)}, "uint8 [12, 36]"),
        ({"test_images": np.zeros((5, 6, 7), np.uint8)}, "uint8 [5, 6, 7]"),
        ({"test_images": np.zeros((5, 7, 7), np.uint8)}, "[12, 6, 6] and [5, 7, 7]"),
        ({"train_images": np.zeros((0, 6, 6), np.uint8), "train_labels": np.zeros(0, np.uint8)}, "[0, 6, 6]"),
        ({"train_labels": np.zeros(11, np.uint8)}, "uint8 [11]"),
        ({"train_labels": np.zeros(12)}, "float64 [12]"),
    ],
)
def test_wrong_types_and_shapes(tmp_path, changes, told):
    assert told in refused(write(tmp_path / "wrong.npz", **changes))
