"""A user's own arrays."""

import io
import os
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from rnp_pyro.data import ImageData, images_from_arrays, load_images
from rnp_pyro.errors import UserError


def blobs(count: int = 40, rows: int = 28, columns: int = 28) -> np.ndarray:
    """Return bright bars on black, all different."""
    images = np.zeros((count, rows, columns), np.uint8)
    for at in range(count):
        images[at, 2 + at % 10 : 9 + at % 10, 2 + at // 10 : 5 + at // 10] = 255
        images[at, 2 + at % 10, 2 + at // 10 : 12 + at // 10] = 128
    return images


def load(path: Path, **options) -> ImageData:
    return load_images(f"array:{path}", **options)


def saved(folder: Path, **arrays) -> ImageData:
    np.savez(folder / "a.npz", **arrays)
    return load(folder / "a.npz")


def refused(path: Path, **options) -> str:
    with pytest.raises(UserError) as caught:
        load(path, **options)
    assert "\n" not in str(caught.value)
    assert str(path) in str(caught.value) or "images" in str(caught.value)
    return str(caught.value)


def everything(data: ImageData) -> list:
    """Return all images in an order of their own."""
    return sorted(data.split("all").images.flatten(1).tolist())


def test_a_single_array(tmp_path):
    np.save(tmp_path / "a.npy", blobs())
    data = load(tmp_path / "a.npy")
    assert (len(data.train), len(data.validation), len(data.test)) == (34, 2, 4)
    assert data.image_shape == (1, 28, 28)
    assert everything(data) == sorted(blobs().reshape(40, -1).tolist())
    assert data.notes == ()


LABELS = np.arange(40) % 4


KEYS = [
    ("x_train", "y_train", "x_test", "y_test"),
    ("X_train", "Y_train", "X_test", "Y_test"),
    ("train_images", "train_labels", "test_images", "test_labels"),
    ("trainImages", "trainLabels", "testImages", "testLabels"),
    ("train_x", "train_y", "test_x", "test_y"),
    ("xtrain", "ytrain", "xtest", "ytest"),
    ("training-data", "training-targets", "testing-data", "testing-targets"),
    ("train", "train_label", "test", "test_label"),
]
"""Of training images, their labels, test images, their labels."""


@pytest.mark.thorough_after(5)
@pytest.mark.parametrize("keys", KEYS)
@pytest.mark.parametrize("column", [False, True])
def test_usual_keys_of_splits(tmp_path, keys, column):
    labels = LABELS[:, None] if column else LABELS
    arrays = (blobs()[:30], labels[:30], blobs()[30:], labels[30:])
    data = saved(tmp_path, **dict(zip(keys, arrays, strict=True)))
    assert (len(data.train), len(data.validation), len(data.test)) == (28, 2, 10)
    assert data.test[:, 0].numpy().tolist() == blobs()[30:].tolist()
    assert data.test_labels is not None
    assert data.test_labels.tolist() == LABELS[30:].tolist()
    assert data.class_names == ("0", "1", "2", "3")


@pytest.mark.parametrize("key", ["val_images", "valid_images", "validation_images", "x_val", "X_valid", "x_dev"])
def test_a_validation_split(tmp_path, key):
    data = saved(tmp_path, x_train=blobs()[:30], **{key: blobs()[30:33]}, x_test=blobs()[33:])
    assert (len(data.train), len(data.validation), len(data.test)) == (30, 3, 7)
    assert data.train_labels is None


@pytest.mark.parametrize(
    ("images", "labels"),
    [("images", "labels"), ("X", "y"), ("x", "Y"), ("data", "target"), ("arr_0", "arr_1"), ("imgs", "class")],
)
def test_usual_keys_without_splits(tmp_path, images, labels):
    data = saved(tmp_path, **{images: blobs(), labels: LABELS})
    assert (len(data.train), len(data.validation), len(data.test)) == (34, 2, 4)
    assert data.class_names == ("0", "1", "2", "3")


def test_other_keys_are_listed(tmp_path):
    np.savez(tmp_path / "a.npz", weights=np.zeros((3, 4), "f4"), pictures_of_cats=blobs())
    message = refused(tmp_path / "a.npz")
    assert "weights float32 [3, 4], pictures_of_cats uint8 [40, 28, 28]" in message
    assert "images, x_train" in message


def test_an_empty_test_is_none(tmp_path):
    labels = np.zeros(0, int)
    data = saved(tmp_path, x_train=blobs(), y_train=LABELS, x_test=blobs()[:0], y_test=labels)
    assert (len(data.train), len(data.validation), len(data.test)) == (34, 2, 4)
    assert "there are no test images: some of the training images are held out instead" in data.notes


def test_what_is_not_used_is_said(tmp_path):
    data = saved(tmp_path, images=blobs(), ids=np.arange(40))
    assert data.notes == ("took the images from images; passed over ids",)


@pytest.mark.thorough_after(6)
@pytest.mark.parametrize(
    ("arrays", "told"),
    [
        ({"images": blobs() / 255 - np.mean(blobs() / 255)}, "a mean seems to be subtracted"),
        ({"images": blobs()[:, :3, :3]}, "4 to 10000 pixels a side"),
        ({"images": np.zeros((0, 28, 28), "u1")}, "which is empty: add images"),
        ({"images": blobs()[0]}, "if it is one image, make it a batch, images[None]"),
        ({"x_train": blobs(), "x_test": np.where(blobs() > 0, np.nan, 0)}, "in the test images: replace them"),
        ({"images": np.array(["a.png"] * 40)}, "of files' names make a folder"),
        ({"images": np.zeros(40, "M8[s]")}, "got datetime64[s] in the images: name the array"),
        ({"images": np.zeros(40, [("pixels", "u1", (28, 28)), ("id", "i4")])}, "such as images['pixels']"),
        ({"images": blobs()[:, :1, :1]}, "4 to 10000 pixels a side"),
        ({"images": blobs(3)}, "got 3, or one image of channels [3, 28, 28]"),
        ({"images": np.zeros((40, 4, 4), "u1")}, "if these are 40 grey ones, images[:, None]"),
        ({"images": 0.8 * (blobs() / 255) ** 0.5 - 0.2}, "add it again, such as images - images.min()"),
        ({"images": blobs(), "x": blobs()}, "'images' and 'x': keep one"),
        ({"images": blobs(), "x_test": blobs()}, "either in splits or in one array"),
        ({"x_test": blobs()}, "expected images to train on"),
        ({"images": blobs(3)}, "at least 4 images"),
        ({"x_train": blobs(), "x_test": blobs(4, 20, 20)}, "of one shape in all splits"),
        ({"x_train": blobs()[:30], "x_test": blobs()[30:] / 255}, "got train uint8, test float64: save all as uint8"),
        ({"x_train": blobs()[:30], "x_test": blobs()[30:] > 9}, "got train uint8, test bool"),
        ({"images": np.array("text")}, "got <U4 in the images"),
        ({"images": blobs(), "labels": np.array(1)}, "expected labels [40]"),
        ({"images": blobs(), "labels": LABELS[:39]}, "expected labels [40]"),
        ({"images": blobs().reshape(40, -1)}, "images.reshape(-1, 28, 28)"),
        ({"data": np.stack([blobs()] * 3, 1).reshape(40, -1)}, "images.reshape(-1, 3, 28, 28)"),
        ({"images": blobs().transpose(1, 2, 0)}, "if these are 40 images, save images.transpose(2, 0, 1)"),
        ({"X": np.stack([blobs()] * 3, -1).transpose(1, 2, 3, 0)}, "40 images, save images.transpose(3, 0, 1, 2)"),
        ({"images": np.zeros((4, 5, 28, 28), "u1")}, "in one of these orders"),
        ({"images": np.zeros((40, 2, 2), "u1")}, "4 to 10000 pixels a side"),
        ({"images": blobs().astype("c8")}, "got complex64"),
        ({"images": blobs().astype("i2") - 5}, "got -5 to 250"),
        ({"images": np.full((40, 28, 28), 70000)}, "got 70000 to 70000"),
        ({"images": np.where(blobs() > 0, 2.8, -0.4)}, "undo what was subtracted"),
        ({"images": np.where(blobs() > 0, np.nan, 0)}, "NaN or infinite"),
        ({"images": np.where(blobs() > 0, np.inf, 0)}, "NaN or infinite"),
    ],
)
def test_what_does_not_fit(tmp_path, arrays, told):
    np.savez(tmp_path / "a.npz", **arrays)
    assert told in refused(tmp_path / "a.npz")


def test_what_a_refusal_of_a_subtracted_mean_advises():
    grey = blobs() / 255
    off = grey - grey.mean()
    again = images_from_arrays({"images": off - off.min()})
    assert everything(again) == sorted(blobs().reshape(40, -1).tolist())
    dim = 0.4 * grey - 1
    with pytest.raises(UserError, match=r"if -1 is black, \(images \+ 1\) / 2"):
        images_from_arrays({"images": dim})
    assert int(images_from_arrays({"images": (dim + 1) / 2}).train.max()) == 51


@pytest.mark.thorough_after(5)
@pytest.mark.parametrize(
    "change",
    [
        lambda images: images,
        lambda images: images[..., None],
        lambda images: images[:, None],
        lambda images: np.repeat(images[..., None], 3, -1),
        lambda images: np.repeat(images[:, None], 3, 1),
        lambda images: np.concatenate([np.repeat(images[..., None], 3, -1), np.full((40, 28, 28, 1), 255, "u1")], -1),
        lambda images: np.asfortranarray(images),
        lambda images: images.astype(np.int64),
        lambda images: images.astype(">u2"),
        lambda images: images.astype(np.uint16) * 257,
        lambda images: images.astype(np.float32) / 255,
        lambda images: images.astype(np.float64),
        lambda images: images.astype(np.float32) / 127.5 - 1,
        lambda images: images.astype(np.float32) * 257,
    ],
)
def test_types_and_orders_of_dimensions(tmp_path, change):
    np.save(tmp_path / "a.npy", change(blobs()))
    data = load(tmp_path / "a.npy")
    assert data.image_shape == (1, 28, 28)
    assert everything(data) == sorted(blobs().reshape(40, -1).tolist())


def test_half_precision_and_bool(tmp_path):
    np.save(tmp_path / "a.npy", blobs() > 200)
    assert everything(load(tmp_path / "a.npy")) == sorted(((blobs() > 200) * 255).reshape(40, -1).tolist())
    np.save(tmp_path / "b.npy", (blobs() / 255).astype(np.float16))
    assert (
        abs(np.array(everything(load(tmp_path / "b.npy"))) - np.array(sorted(blobs().reshape(40, -1).tolist()))).max()
        <= 1
    )


@pytest.mark.parametrize(
    ("images", "low", "high"), [(blobs() / 255, 0, 1), (blobs() * 1.0, 0, 255), (blobs() / 127.5 - 1, -1, 1)]
)
def test_it_is_said_what_floating_point_numbers_were_taken_for(tmp_path, images, low, high):
    np.save(tmp_path / "a.npy", images)
    told = f"{low} was taken as black and {high} as white"
    assert any(told in note for note in load(tmp_path / "a.npy").notes)


@pytest.mark.parametrize(("images", "white"), [(blobs() // 255, 1), ((blobs() > 0).astype(np.uint16) * 4095, 4095)])
def test_masks_and_12_bits(tmp_path, images, white):
    np.save(tmp_path / "a.npy", images)
    data = load(tmp_path / "a.npy")
    assert int(data.train.max()) == 255
    assert data.appearance.white == white
    assert f"{white} was taken as white" in data.notes[0]


def test_dark_on_bright(tmp_path):
    np.save(tmp_path / "a.npy", 255 - blobs())
    data = load(tmp_path / "a.npy")
    assert data.appearance.inverted
    assert everything(data) == sorted(blobs().reshape(40, -1).tolist())


def test_colour(tmp_path):
    images = np.stack([blobs(), blobs() // 2, 0 * blobs()], -1)
    np.save(tmp_path / "a.npy", images)
    assert load(tmp_path / "a.npy").image_shape == (3, 28, 28)
    np.save(tmp_path / "b.npy", images.transpose(0, 3, 1, 2))
    assert everything(load(tmp_path / "a.npy")) == everything(load(tmp_path / "b.npy"))


def test_oblong_images_are_fitted(tmp_path):
    np.save(tmp_path / "a.npy", blobs(40, 28, 56))
    data = load(tmp_path / "a.npy", image_size=56)
    assert data.image_shape == (1, 56, 56)
    assert (data.train[:, :, :14] == 0).all()
    assert everything(data)[-1] != [0] * 56 * 56
    assert data.notes[0].startswith("40 of 40 images are oblong, such as 56x28 pixels: they keep their proportions")


def test_transparent_pixels_are_said(tmp_path):
    np.save(tmp_path / "a.npy", np.stack([np.full((40, 28, 28), 255, "u1")] * 3 + [blobs()], -1))
    assert load(tmp_path / "a.npy").notes == ("transparent pixels of 40 of 40 images became black",)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (np.array(list("abcd"))[LABELS], ("a", "b", "c", "d")),
        (np.array([b"a", b"b", b"c", b"d"])[LABELS], ("a", "b", "c", "d")),
        (LABELS + 1, ("1", "2", "3", "4")),
        (LABELS.astype(np.float32), ("0", "1", "2", "3")),
        (np.eye(4)[LABELS], ("0", "1", "2", "3")),
    ],
)
def test_labels(tmp_path, labels, names):
    data = saved(tmp_path, x_train=blobs()[:30], y_train=labels[:30], x_test=blobs()[30:], y_test=labels[30:])
    assert data.class_names == names
    assert data.test_labels is not None
    assert data.test_labels.tolist() == LABELS[30:].tolist()


def test_class_names(tmp_path):
    data = saved(tmp_path, images=blobs(), labels=LABELS, class_names=np.array(["ape", "bee", "cat", "dog"]))
    assert data.class_names == ("ape", "bee", "cat", "dog")
    assert data.notes == ()


def test_labels_that_are_no_classes(tmp_path):
    data = saved(tmp_path, images=blobs(), labels=np.random.default_rng(0).random((40, 3)))
    assert data.train_labels is None
    assert "name no class for each image" in data.notes[0]


def test_negative_labels_are_classes_and_said(tmp_path):
    data = saved(tmp_path, images=blobs(), labels=LABELS - 1)
    assert data.class_names == ("-1", "0", "1", "2")
    assert data.notes == ("labels reach down to -1: negative ones are classes, too; leave out what has none",)


class Bomb:
    """An object whose unpickling would be seen."""

    def __reduce__(self):
        return os.system, ("touch exploded",)


@pytest.mark.parametrize("ending", ["npy", "npz"])
def test_pickled_objects_are_never_run(tmp_path, monkeypatch, ending):
    monkeypatch.chdir(tmp_path)
    path, objects = tmp_path / f"a.{ending}", np.array([Bomb(), Bomb()], dtype=object)
    if ending == "npy":
        np.save(path, objects, allow_pickle=True)
    else:
        np.savez(path, images=objects)
    assert "Python objects (pickled), which are never run" in refused(path)
    assert not (tmp_path / "exploded").exists()


def header(shape: tuple[int, ...]) -> bytes:
    out = io.BytesIO()
    np.lib.format.write_array_header_1_0(out, {"descr": "|u1", "fortran_order": False, "shape": shape})
    return out.getvalue()


@pytest.mark.parametrize("shape", [(10**6, 10**3, 10**3), (2**40, 28, 28), (5, 28, 28)])
def test_sizes_are_checked_before_they_are_believed(tmp_path, shape):
    (tmp_path / "a.npy").write_bytes(header(shape) + b"few")
    assert "and 3 are there" in refused(tmp_path / "a.npy")
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", header(shape) + b"few")
    assert "and 3 are there" in refused(tmp_path / "a.npz")


def test_more_than_fits_into_memory(tmp_path, monkeypatch):
    monkeypatch.setattr("rnp_pyro.data.array_file._MEMORY_SHARE", 1e-8)
    np.savez_compressed(tmp_path / "a.npz", images=blobs())
    assert "half of this machine's memory" in refused(tmp_path / "a.npz")


@pytest.mark.parametrize("content", [b"", b"text", b"\x93NUMPY", b"PK\x03\x04 and so on", b"\x93NUMPY\x01\x00\xff\xff"])
def test_other_content(tmp_path, content):
    (tmp_path / "a.npy").write_bytes(content)
    assert "expected a" in refused(tmp_path / "a.npy")


@pytest.mark.parametrize("share", [0.1, 0.5, 0.95])
@pytest.mark.parametrize("write", [np.save, lambda path, images: np.savez_compressed(path, images=images)])
def test_truncated(tmp_path, share, write):
    with (tmp_path / "a.npz").open("wb") as file:
        write(file, blobs())
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(content[: int(share * len(content))])
    assert "truncated or damaged" in refused(tmp_path / "a.npz")


def test_missing_and_folder(tmp_path):
    assert "does not exist" in refused(tmp_path / "none.npz")
    assert f"folder:{tmp_path}" in refused(tmp_path)


def test_an_archive_of_other_files(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.txt", "text")
    assert "archive of other files: write it with numpy.savez" in refused(tmp_path / "a.npz")
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("photos/a.png", "text")
    assert "unpack its 1 image files into a folder, and name that, folder:PATH" in refused(tmp_path / "b.zip")


def test_a_file_of_torchs(tmp_path):
    torch.save(torch.from_numpy(blobs()), tmp_path / "a.pt")
    assert "numpy.save('images.npy', torch.load(FILE).numpy())" in refused(tmp_path / "a.pt")
    np.save(tmp_path / "images.npy", torch.load(tmp_path / "a.pt").numpy())
    assert len(load(tmp_path / "images.npy").train) == 34


def test_arrays_in_memory():
    data = images_from_arrays({"images": torch.from_numpy(blobs()), "labels": torch.from_numpy(LABELS)}, name="mine")
    assert data.name == "mine"
    assert data.image_shape == (1, 28, 28)
    assert data.class_names == ("0", "1", "2", "3")
    before = blobs()
    before.setflags(write=False)
    images_from_arrays({"images": before}, image_size=20, invert=True)
    assert (before == blobs()).all()
