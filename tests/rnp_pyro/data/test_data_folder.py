"""A user's own folder of images, through the way in."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from rnp_pyro.data import load_images
from rnp_pyro.errors import UserError


def save(path: Path, value: int, size: tuple[int, int] = (12, 10), colour: bool = False) -> None:
    """An image of one value (of red in front of blue, if coloured)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    shape = (size[1], size[0], 3) if colour else (size[1], size[0])
    pixels = np.full(shape, value, np.uint8)
    if colour:
        pixels[..., 1:] = (0, 100)
    Image.fromarray(pixels).save(path)


def fill(folder: Path, count: int = 20, **options) -> Path:
    for index in range(count):
        save(folder / f"{index:03d}.png", 10 + index, **options)
    return folder


def load(folder: Path, **options):
    return load_images(f"folder:{folder}", image_size=8, **options)


def values(images: torch.Tensor) -> list[int]:
    return [int(image.max()) for image in images]


def refused(folder: Path, **options) -> str:
    before = sorted(folder.rglob("*")) if folder.is_dir() else []
    with pytest.raises(UserError) as caught:
        load(folder, **options)
    message = str(caught.value)
    assert "\n" not in message
    assert "expected" in message
    assert "got" in message
    assert before == (sorted(folder.rglob("*")) if folder.is_dir() else [])
    return message


def test_grey(tmp_path):
    data = load(fill(tmp_path))
    assert data.image_shape == (1, 8, 8)
    assert not data.colour
    assert (len(data.train), len(data.validation), len(data.test)) == (17, 1, 2)
    assert sorted(values(data.train) + values(data.validation) + values(data.test)) == list(range(10, 30))
    assert data.train_labels is data.validation_labels is data.test_labels is None
    assert data.name == f"folder:{tmp_path}"


def test_the_split_is_always_the_same(tmp_path):
    first, second = load(fill(tmp_path / "a")), load(fill(tmp_path / "b"))
    for part in ("train", "validation", "test"):
        assert getattr(first, part).equal(getattr(second, part))


def test_test_images_do_not_depend_on_the_validation_share(tmp_path):
    assert load(fill(tmp_path), validation_share=0.5).test.equal(load(tmp_path).test)
    assert len(load(tmp_path, validation_share=0.5).validation) == 9


def test_colour(tmp_path):
    data = load(fill(tmp_path, colour=True))
    assert data.image_shape == (3, 8, 8)
    assert data.colour
    assert (data.train[:, 1] == 0).all()
    assert (data.train[:, 2] == 100).all()


def test_one_coloured_image_makes_all_coloured(tmp_path):
    save(fill(tmp_path) / "x.png", 200, colour=True)
    assert load(tmp_path).colour


def test_grey_saved_as_colour_is_grey(tmp_path):
    for index in range(6):
        Image.fromarray(np.full((12, 12, 3), 40 * index, np.uint8)).save(tmp_path / f"{index}.jpg")
    assert not load(tmp_path).colour


def test_suffixes_and_subfolders(tmp_path):
    for index, name in enumerate(["a.png", "b.PNG", "c.jpg", "d.JPEG", "deep/er/e.JPG", "deep/f.jpeg"]):
        save(tmp_path / name, 20 * index)
    data = load(tmp_path)
    assert len(data.train) + len(data.validation) + len(data.test) == 6
    assert data.train_labels is None


def test_direct_subfolders_are_labels(tmp_path):
    for label, name in enumerate(["ape", "bee", "cat"]):
        for index in range(20):
            save(tmp_path / name / f"{index}.png", 80 * label + index)
    data = load(tmp_path, validation_share=0.2)
    for images, labels in (
        (data.train, data.train_labels),
        (data.validation, data.validation_labels),
        (data.test, data.test_labels),
    ):
        assert labels is not None
        assert [value // 80 for value in values(images)] == labels.tolist()
    assert data.test_labels is not None
    assert data.test_labels.bincount().tolist() == [2, 2, 2]


def test_an_image_beside_the_classes_makes_none_of_them(tmp_path):
    for name in ("ape", "bee"):
        fill(tmp_path / name, 5)
    save(tmp_path / "loose.png", 5)
    data = load(tmp_path)
    assert data.train_labels is None
    assert data.class_names is None
    assert any("no classes: 1 image" in note and "'loose.png'" in note for note in data.notes)


def test_one_subfolder_is_no_label(tmp_path):
    fill(tmp_path / "all")
    assert load(tmp_path).train_labels is None


def test_hidden_files_are_ignored(tmp_path):
    fill(tmp_path, 4)
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "._001.png", ".hidden/x.txt", "__MACOSX/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("x")
    assert len(load(tmp_path).train) == 2


def test_fewest(tmp_path):
    data = load(fill(tmp_path, 4))
    assert (len(data.train), len(data.validation), len(data.test)) == (2, 1, 1)


def test_mixed_sizes(tmp_path):
    fill(tmp_path)
    save(tmp_path / "odd.png", 200, size=(30, 9))
    message = refused(tmp_path)
    for told in ("000.png", "12x10", "odd.png", "30x9", "--mixed_sizes true"):
        assert told in message
    data = load(tmp_path, mixed_sizes=True)
    assert len(data.train) + len(data.validation) + len(data.test) == 21


def test_missing(tmp_path):
    assert "does not exist" in refused(tmp_path / "nowhere")


def test_file_instead_of_folder(tmp_path):
    save(tmp_path / "a.png", 1)
    assert "is a file" in refused(tmp_path / "a.png")


def test_empty(tmp_path):
    assert "got 0" in refused(tmp_path)


def test_too_few(tmp_path):
    assert "got 3" in refused(fill(tmp_path, 3))


def test_other_files_are_passed_over_and_counted(tmp_path):
    fill(tmp_path)
    for name in ("notes.txt", "sub/readme", "Icon\r", "a.csv", "b.CSV", "ehthumbs.db", ".DS_Store", "scan.heic"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text("text")
    data = load(tmp_path)
    assert len(data.train) == 17
    assert data.notes[0] == (
        "passed over 8 files that are no images: 2 .csv, 2 without an ending, 1 .db, 1 .heic, 1 .txt, 1 hidden; .heic "
        "cannot be read here: convert them to PNG to have them"
    )


@pytest.mark.parametrize("name", ["x.jpg", "clip.gif", "y.TIFF"])
@pytest.mark.parametrize("content", [b"", b"text"])
def test_false_images(tmp_path, name, content):
    (fill(tmp_path) / name).write_bytes(content)
    assert name in refused(tmp_path)


def test_truncated_image(tmp_path):
    content = (fill(tmp_path) / "003.png").read_bytes()
    (tmp_path / "003.png").write_bytes(content[: len(content) // 2])
    assert "003.png" in refused(tmp_path)


def test_validation_share_leaves_nothing(tmp_path):
    assert "left to train on" in refused(fill(tmp_path, 4), validation_share=0.9)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_unreadable_folder(tmp_path):
    fill(tmp_path)
    (tmp_path / "locked").mkdir(mode=0)
    assert "locked" in refused(tmp_path)
