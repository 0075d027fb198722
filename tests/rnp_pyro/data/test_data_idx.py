import gzip
from pathlib import Path

import numpy as np
import pytest

from rnp_pyro.data.archive import to_source
from rnp_pyro.data.idx import FILES, find_idx_files, read_idx_arrays
from rnp_pyro.errors import UserError


def encode(array: np.ndarray) -> bytes:
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def write(folder: Path, compressed: bool = False) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    arrays = {}
    for split, count in (("train", 7), ("test", 3)):
        arrays[f"{split}_images"] = rng.integers(0, 256, (count, 5, 5), dtype=np.uint8)
        arrays[f"{split}_labels"] = rng.integers(0, 10, count, dtype=np.uint8)
    folder.mkdir(parents=True, exist_ok=True)
    for key, array in arrays.items():
        content = encode(array)
        if compressed:
            (folder / f"{FILES[key]}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / FILES[key]).write_bytes(content)
    return arrays


@pytest.mark.parametrize("compressed", [False, True])
def test_reads_what_was_written(tmp_path, compressed):
    arrays = write(tmp_path, compressed)
    found = find_idx_files(tmp_path)
    assert found is not None
    source = to_source(read_idx_arrays(found), found["train_images"].parent)
    assert source.train.images.squeeze(1).tolist() == arrays["train_images"].tolist()
    assert source.train.labels is not None
    assert source.train.labels.tolist() == arrays["train_labels"].tolist()
    assert source.test.images.squeeze(1).tolist() == arrays["test_images"].tolist()


def test_a_missing_file_is_not_found(tmp_path):
    write(tmp_path)
    (tmp_path / FILES["test_labels"]).unlink()
    assert find_idx_files(tmp_path) is None
    assert find_idx_files(tmp_path / "nowhere") is None


@pytest.mark.parametrize(
    "content", [b"", b"\0\0", b"some text", b"\0\0\x08\x03\0\0", encode(np.zeros((7, 5, 5), "u1"))[:-1]]
)
@pytest.mark.parametrize("compressed", [False, True])
def test_damaged(tmp_path, content, compressed):
    write(tmp_path, compressed)
    found = find_idx_files(tmp_path)
    assert found is not None
    path = found["train_images"]
    path.write_bytes(gzip.compress(content) if compressed else content)
    with pytest.raises(UserError, match=rf"{path.name}.*truncated or something else: replace the file$"):
        to_source(read_idx_arrays(found), found["train_images"].parent)


def test_damaged_compression(tmp_path):
    write(tmp_path, compressed=True)
    found = find_idx_files(tmp_path)
    assert found is not None
    path = found["test_images"]
    for content in (path.read_bytes()[:-9], b"text", path.read_bytes()[:20] + b"\xff" * 30):
        path.write_bytes(content)
        with pytest.raises(UserError, match=rf"{path.name}.*replace the file$"):
            to_source(read_idx_arrays(found), found["train_images"].parent)


def test_huge_sizes_are_not_believed(tmp_path):
    write(tmp_path)
    path = tmp_path / FILES["train_images"]
    path.write_bytes(bytes([0, 0, 8, 3]) + b"\xff" * 12 + b"few")
    found = find_idx_files(tmp_path)
    assert found is not None
    with pytest.raises(UserError, match="truncated"):
        to_source(read_idx_arrays(found), found["train_images"].parent)
