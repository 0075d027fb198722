"""Every data set that ``--data`` names trains, from a miniature of its official layout."""

import json
from pathlib import Path

import numpy as np
import pytest
from layouts import OFFICIAL, save

from rnp_pyro.data import load_images
from rnp_pyro.data_sets import DATA_SETS

SOURCES = {"fashion-mnist-colour": "fashion-mnist"}
"""Data sets that are made of another's files."""

SIZES = {
    "mnist-sample": (9500, 500, 2000),
    "mnist": (38, 2, 10),
    "fashion-mnist": (38, 2, 10),
    "fashion-mnist-colour": (38, 2, 10),
    "kmnist": (38, 2, 10),
    "emnist-letters": (38, 2, 10),
    "omniglot": (23, 1, 8),
    "omniglot:one-shot": (8, 4, 12),
    "eth80": (28, 4, 8),
    "digit-pairs": (9500, 500, 2000),
    "folder": (18, 1, 5),
    "array": (18, 1, 5),
}
"""Images to train, validate and test on."""


def own_images(name: str, folder: Path) -> str:
    """Write images of one's own in two classes; return what ``--data`` is then."""
    images = np.zeros((24, 12, 12), np.uint8)
    for at in range(24):
        images[at, at // 8 : 8, at % 8 : at % 8 + 3] = 255
    if name == "array":
        np.savez(
            folder / "own.npz",
            x_train=images[:19],
            x_test=images[19:],
            y_train=np.arange(19) % 2,
            y_test=np.arange(5) % 2,
        )
        return f"array:{folder / 'own.npz'}"
    for at, image in enumerate(images):
        save(folder / "own" / ("train" if at < 19 else "test") / "ab"[at % 2] / f"{at}.png", image)
    return f"folder:{folder / 'own'}"


def test_every_data_set_has_its_sizes():
    assert {name.split(":")[0] for name in SIZES} == set(DATA_SETS)


@pytest.mark.thorough
@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("name", SIZES)
def test_every_data_set_trains(train, tmp_path, monkeypatch, name):
    monkeypatch.delenv("RNP_DATA", raising=False)
    data = own_images(name, tmp_path) if name in ("folder", "array") else name
    if below := OFFICIAL.get(SOURCES.get(name, name)):
        below[1](tmp_path / "sets" / below[0])
    done = train(f"--data={data}", f"--data_dir={tmp_path / 'sets'}", "--train.steps=2")
    assert done.status == 0, done
    assert "note: " not in done.err
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["data"] == data
    assert summary["test_images"] == SIZES[name][2]
    found = load_images(data, data_dir=str(tmp_path / "sets"))
    assert (len(found.train), len(found.validation), len(found.test)) == SIZES[name]
    assert found.class_names
