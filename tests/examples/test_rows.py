"""Commands tell file, class and split of each image of a run's data, and take all of them."""

import json

import numpy as np
import pytest
import torch
from layouts import save

from rnp_pyro.api.rows import places, row_facts, rows_of, split_fingerprint
from rnp_pyro.data import ImageData


def data() -> ImageData:
    images = torch.arange(9 * 16, dtype=torch.uint8).view(9, 1, 4, 4)
    labels = torch.arange(9) % 2
    names = tuple(f"{at}.png" for at in range(9))
    return ImageData(
        "mine", *images.split([5, 2, 2]), *labels.split([5, 2, 2]), names[:5], names[5:7], names[7:],
        class_names=("even", "odd"),
    )  # fmt: skip


def test_rows_of_all():
    part = rows_of(data(), "all")
    assert part.images.equal(torch.arange(9 * 16, dtype=torch.uint8).view(9, 1, 4, 4))
    assert places(part).tolist() == [0, 1, 2, 3, 4, 0, 1, 0, 1]
    assert row_facts(part, data().class_names) == {
        "files": [f"{at}.png" for at in range(9)],
        "classes": ["even", "odd"] * 4 + ["even"],
        "splits": ["train"] * 5 + ["validation"] * 2 + ["test"] * 2,
    }
    assert len({split_fingerprint(data(), split) for split in ("train", "validation", "test", "all")}) == 4


def test_rows_of_a_split():
    part = rows_of(data(), "test", 1)
    assert row_facts(part, None) == {"files": ["7.png"], "classes": ["1"]}
    assert places(part).tolist() == [0]


@pytest.fixture
def classes_run(train, tmp_path):
    images = np.zeros((24, 12, 12), np.uint8)
    for at in range(24):
        images[at, at // 8 : 8, at % 8 : at % 8 + 3] = 255
        save(tmp_path / "own" / ("train" if at < 19 else "test") / "ab"[at % 2] / f"{at}.png", images[at])
    assert train(f"--data=folder:{tmp_path / 'own'}").status == 0
    return tmp_path / "run"


@pytest.mark.thorough
@pytest.mark.usefixtures("no_figures")
def test_commands_tell_file_and_class(call, classes_run, tmp_path):
    assert call("encode", classes_run, "--out", tmp_path / "codes.npz", "--split=all").status == 0
    assert call("encode", classes_run, "--out", tmp_path / "test.npz").status == 0
    with np.load(tmp_path / "codes.npz") as codes, np.load(tmp_path / "test.npz") as alone:
        assert codes["splits"].tolist() == ["train"] * 18 + ["validation"] + ["test"] * 5
        assert alone["files"].tolist() == codes["files"][-5:].tolist()
        for file, name in zip(codes["files"], codes["classes"], strict=True):
            assert file.split("/")[1] == name
        np.testing.assert_allclose(codes["z.2"][-5:], alone["z.2"], rtol=1e-4, atol=1e-5)  # the same pixels were drawn
        assert codes["images_index"][-5:].tolist() == list(range(5))
    done = call("evaluate", classes_run, "--particles=2", "--split=all", f"--json={tmp_path / 'numbers.json'}")
    assert done.status == 0, done
    numbers = json.loads((tmp_path / "numbers.json").read_text())
    assert (
        len(numbers["files"]) == len(numbers["classes"]) == len(numbers["splits"]) == len(numbers["nll_by_image"]) == 24
    )
    assert call("parse", classes_run, "--index", "23", "--split=all", "--out", tmp_path / "tree").status == 0
    about = json.loads((tmp_path / "tree" / "parse.json").read_text())["about"]
    assert about["image"] == "all 23"
    assert (about["file"].split("/")[1], about["split"]) == (about["class"], "test")
