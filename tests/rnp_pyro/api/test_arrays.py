"""A user's images: every way of giving the same ones, and everything that is refused."""

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from rnp_pyro.api.arrays import as_bytes, gather, named_arrays
from rnp_pyro.data import images_from_arrays
from rnp_pyro.errors import UserError

GREY = np.random.default_rng(0).integers(0, 256, (5, 8, 8), np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (5, 8, 8, 3), np.uint8)


class Pairs(Dataset):
    """Images with labels, as torchvision has them."""

    def __init__(self, images, labels=None):
        self.images, self.labels = images, labels

    def __len__(self):
        return len(self.images)

    def __getitem__(self, index):
        return self.images[index] if self.labels is None else (self.images[index], self.labels[index])


class Stream(IterableDataset):
    def __iter__(self):
        return iter(GREY)


SAME_GREY = {
    "array": GREY,
    "channels last": GREY[..., None],
    "channels first": GREY[:, None],
    "read-only": np.broadcast_to(GREY, GREY.shape),
    "reversed strides": GREY[::-1][::-1],
    "floats": GREY / 255,
    "half floats": (GREY / 255).astype(np.float32),
    "tensor": torch.from_numpy(GREY),
    "float tensor": torch.from_numpy(GREY) / 255,
    "a tensor with a gradient": (torch.from_numpy(GREY) / 255).requires_grad_(),
    "list of arrays": list(GREY),
    "list of tensors": list(torch.from_numpy(GREY)[:, None]),
    "list of pictures": [Image.fromarray(one) for one in GREY],
    "data set of tensors": TensorDataset(torch.from_numpy(GREY)[:, None] / 255),
    "data set of pictures": Pairs([Image.fromarray(one) for one in GREY]),
    "data set of pairs": Pairs(list(GREY), [0, 1, 2, 1, 0]),
}


GREY_RUN, COLOUR_RUN = (1, 8, 8), (3, 8, 8)


def trained_on(images, **options):
    """All images as ``fit`` takes them, in whatever order."""
    data = images_from_arrays(named_arrays(images), invert=False, **options)
    return torch.cat([data.train, data.validation, data.test])


def ordered(images):
    return sorted(image.flatten().tolist() for image in images)


@pytest.mark.thorough_after(7)
@pytest.mark.parametrize("name", SAME_GREY)
def test_grey_images(name):
    images = as_bytes(SAME_GREY[name], GREY_RUN)
    assert images.dtype == torch.uint8
    assert torch.equal(images, torch.from_numpy(GREY)[:, None])
    assert ordered(trained_on(SAME_GREY[name])) == ordered(images)


@pytest.mark.parametrize(
    "colour",
    [COLOUR, np.moveaxis(COLOUR, -1, 1), [Image.fromarray(one) for one in COLOUR], Pairs(list(COLOUR / 255))],
    ids=["last", "first", "pictures", "data set"],
)
def test_colour_images(colour):
    images = as_bytes(colour, COLOUR_RUN)
    assert torch.equal(images, torch.from_numpy(np.moveaxis(COLOUR, -1, 1).copy()))
    assert ordered(trained_on(colour)) == ordered(images)


def test_masks():
    assert set(as_bytes(GREY > 100, GREY_RUN).unique().tolist()) == {0, 255}
    assert set(trained_on((GREY > 100).astype(np.uint8)).unique().tolist()) == {0, 255}
    assert set(as_bytes((GREY > 100).astype(np.uint8), GREY_RUN, white=1.0).unique().tolist()) == {0, 255}


def picture(mode: str) -> Image.Image:
    """The first grey image as PIL has it in another mode, as bright."""
    words = GREY[0].astype(np.uint16) * 257
    made = {
        "I;16": lambda: Image.fromarray(words),
        "I": lambda: Image.fromarray(words.astype(np.int32)),
        "F": lambda: Image.fromarray((GREY[0] / 255).astype(np.float32)),
    }
    return made.get(mode, lambda: Image.fromarray(GREY[0]).convert("RGB" if mode == "P" else mode).convert(mode))()


@pytest.mark.parametrize("mode", ["I;16", "I", "F", "L", "LA", "RGB", "RGBA", "CMYK", "YCbCr", "HSV"])
def test_pictures_of_any_mode_are_as_bright(mode):
    (image,) = as_bytes([picture(mode)], GREY_RUN)
    assert (image[0].int() - torch.from_numpy(GREY[0]).int()).abs().max() <= (2 if mode in ("YCbCr", "HSV") else 0)
    assert trained_on([picture(mode)] * 4).shape[1] == 1


@pytest.mark.parametrize("mode", ["RGBA", "LA"])
def test_transparent_pixels_are_black(mode):
    cut_out = Image.fromarray(np.full((8, 8), 255, np.uint8)).convert(mode)
    alpha = np.zeros((8, 8), np.uint8)
    alpha[2:5] = 255
    cut_out.putalpha(Image.fromarray(alpha))
    (image,) = as_bytes([cut_out], GREY_RUN)
    assert np.array_equal(image[0].numpy(), alpha)
    stacked = np.asarray(cut_out.convert("RGBA"))[None]
    assert torch.equal(as_bytes(stacked, GREY_RUN)[0], image)


def test_what_vanishes_on_black_is_refused():
    cut_out = Image.new("RGBA", (8, 8), (0, 0, 0, 0))
    cut_out.paste((9, 9, 9, 255), (2, 2, 6, 6))
    assert "image 1, nearly black on transparent" in refusal([picture("RGBA"), cut_out]).replace("'", "")


def test_a_grey_picture_among_coloured_ones():
    images = as_bytes([Image.fromarray(GREY[0]), Image.fromarray(COLOUR[1])], COLOUR_RUN)
    assert images.shape == (2, 3, 8, 8)
    assert torch.equal(images[0], torch.from_numpy(GREY[0]).expand(3, -1, -1))


def test_the_users_array_is_left_alone():
    given = GREY.copy()
    as_bytes(given, GREY_RUN).zero_()
    assert np.array_equal(given, GREY)


WIDE = GREY.copy()
WIDE[:, 0, 0] = 255


@pytest.mark.parametrize(
    "images",
    [
        WIDE.astype(float),
        WIDE * 257.0,
        WIDE.astype(np.int64),
        WIDE.astype(np.uint16) * np.uint16(257),
        WIDE / 127.5 - 1,
    ],
    ids=["to 255", "to 65535", "int64", "16 bits", "from -1"],
)
def test_other_ranges_are_read_as_those_of_a_file(images):
    expected = torch.from_numpy(WIDE)[:, None]
    assert (as_bytes(images, GREY_RUN).int() - expected.int()).abs().max() <= 1
    assert trained_on(images).float().mean().item() == pytest.approx(expected.float().mean().item(), abs=1)


def test_oblong_images_are_fitted_into_squares():
    assert trained_on(GREY[:, :6]).shape == (5, 1, 8, 8)


@pytest.mark.parametrize(
    "labels", [[0, 1, 2, 1, 0], list(torch.tensor([0, 1, 2, 1, 0])), list(np.array([0, 1, 2, 1, 0])), list("abcba")]
)
def test_labels(labels):
    found = gather(Pairs(list(GREY), labels))[1]
    assert found is not None
    assert found.tolist() == [int(one) if not isinstance(one, str) else one for one in labels]


def test_labels_that_are_none():
    assert gather(Pairs(list(GREY), ["a", 1, "c", "b", "a"]))[1] is None
    assert gather(GREY)[1] is None


def nan() -> np.ndarray:
    images = GREY / 255
    images[3, 2, 1] = np.nan
    return images


class Table:
    """Rows of numbers, as pandas has them."""

    def __init__(self, images):
        self.shape, self.columns = (len(images), images[0].size), {}

    def __len__(self):
        return self.shape[0]

    def __getitem__(self, name):
        return self.columns[name]

    def to_numpy(self):
        raise AssertionError


REFUSED = {
    "one picture": (Image.fromarray(GREY[0]), r"make a list, \[image\]"),
    "a generator": ((one for one in GREY), r"got generator: pass list\(images\)"),
    "lists": (GREY.tolist(), r"pass numpy.array\(images\)"),
    "a table": (Table(GREY), r"images.to_numpy\(\).reshape\(-1, 8, 8\)"),
    "items by keys": (Pairs([{"image": one} for one in GREY]), "or the pair"),
    "a list of pairs": ([(one, 0) for one in GREY], "pass the images alone"),
    "flattened": (list(GREY.reshape(5, -1)), r"image.reshape\(8, 8\)"),
    "texts": (np.array([["a"]]), "expected pixels of type"),
    "dates": (np.zeros((5, 8, 8), "M8[s]"), "got datetime64"),
    "a mean subtracted": (GREY / 255 - 0.5, "a mean seems to be subtracted"),
    "normalised": ((GREY / 255 - 0.13) / 0.3, "undo what was subtracted"),
    "divided twice": (GREY / 255 / 255, "nearly black"),
    "nan": (nan(), "1 NaN or infinite"),
    "infinite": (np.where(GREY > 250, np.inf, 0.0), "NaN or infinite"),
    "masks as bytes": ((GREY > 100).astype(np.uint8), r"images.astype\(bool\)"),
    "negative": (GREY.astype(np.int64) - 9, "shift or scale"),
    "complex": (GREY.astype(complex), "got complex128"),
    "objects": (np.array([GREY[0], GREY[1, :4]], dtype=object), "Python objects"),
    "masked": (np.ma.masked_array(GREY, GREY > 9), "a masked one"),
    "sparse": (torch.from_numpy(GREY).to_sparse(), "a plain tensor"),
    "empty": (GREY[:0], "got none"),
    "no list": ([], "got none"),
    "a number": (np.float32(3), "expected images"),
    "too many dimensions": (GREY[None, None], r"\[1,1,5,8,8\]"),
    "a file's name": ("photos", "got str"),
    "a dictionary": ({"images": GREY}, "got dict"),
    "nothing": (None, "got NoneType: pass the images first"),
    "a loader": (DataLoader(TensorDataset(torch.from_numpy(GREY))), "pass its .dataset"),
    "a stream": (Stream(), r"with a length, got Stream: pass list\(images\)"),
    "differing sizes": ([GREY[0], GREY[1, :4]], "image 1 of"),
    "differing types": ([GREY[0], GREY[1] / 255], "image 1 of"),
    "names": (["a.png", "b.png"], "image 0 of str: of files pass their folder, 'folder:PATH'"),
    "premultiplied": ([Image.new("RGBA", (8, 8)).convert("La")], "of PIL's mode La"),
}


@pytest.mark.thorough_after(15)
@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line(name):
    images, message = REFUSED[name]
    with pytest.raises(UserError, match=message) as caught:
        as_bytes(images, GREY_RUN)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("images", "shape", "message"),
    [
        (GREY, (1, 9, 9), r"grey images \[N,9,9\]"),
        (GREY, (3, 8, 8), r"colour images \[N,3,8,8\]"),
        (COLOUR, (1, 8, 8), r"grey images \[N,8,8\]"),
        (COLOUR[0], (3, 8, 8), r"images\[None\]"),
        (GREY[0], (1, 8, 8), r"images\[None\]"),
        (GREY[:1], (3, 8, 8), r"got \[1,8,8\]"),
    ],
)
def test_another_size_than_the_runs(images, shape, message):
    with pytest.raises(UserError, match=message):
        as_bytes(images, shape)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (GREY[0], r"images\[None\]"),
        (COLOUR[0], r"images\[None\]"),
        (GREY.reshape(5, -1), r"images.reshape\(-1, 8, 8\)"),
        (np.zeros((5, 4, 8, 4), np.uint8), "could be either"),
        (GREY[:, :2, :2], "4 to 10000 pixels"),
        (np.zeros((5, 8, 8, 2), np.uint8), "1, 3 or 4 channels"),
    ],
    ids=["one image", "one colour image", "flattened", "either order", "tiny", "two channels"],
)
def test_images_that_cannot_be_trained_on(images, message):
    with pytest.raises(UserError, match=message) as caught:
        trained_on(images)
    assert "\n" not in str(caught.value)


def test_images_and_labels_as_a_pair():
    labels = np.arange(5)
    with pytest.raises(UserError, match=r"\{'images': images, 'labels': labels\}"):
        named_arrays((GREY, labels))
    data = images_from_arrays(named_arrays({"images": GREY, "labels": labels}))
    assert data.class_names == ("0", "1", "2", "3", "4")


@pytest.mark.parametrize("wide", ["I;16", "I"])
def test_pictures_of_8_and_of_16_bits_together(wide):
    images = as_bytes([picture("L"), picture(wide), picture("RGB")], GREY_RUN)
    assert all(torch.equal(image, images[0]) for image in images)
    assert torch.equal(images[0, 0], torch.from_numpy(GREY[0]))
    bytes_of_32_bits = Image.fromarray(GREY[0].astype(np.int32))
    assert torch.equal(as_bytes([picture("L"), bytes_of_32_bits], GREY_RUN)[1], images[0])


def test_sizes_are_told_as_they_came():
    pictures = [picture("RGB"), picture("L").resize((6, 6))]
    assert "image 0 of [8,8,3] uint8 and image 1 of [6,6] uint8" in refusal(pictures)


def test_named_arrays_are_read_as_a_file_of_them(tmp_path):
    np.savez(tmp_path / "x.npz", x_train=GREY, y_train=np.arange(5), x_test=GREY[:2])
    data = images_from_arrays(named_arrays(np.load(tmp_path / "x.npz")), invert=False)
    assert (len(data.train), len(data.validation), len(data.test)) == (4, 1, 2)
    with pytest.raises(UserError, match="add them as x_test"):
        named_arrays({"images": GREY}, GREY)


def refusal(images) -> str:
    with pytest.raises(UserError) as caught:
        as_bytes(images, GREY_RUN)
    return str(caught.value)


def own_scale(images: np.ndarray) -> dict:
    """How a run reads later images that was trained on these."""
    own = images_from_arrays({"images": images}, invert=False).appearance
    return {"white": own.white, "like": own.scale}


TRAINED = {
    "0 to 1": GREY / 255,
    "0 to 255": GREY.astype(np.float64),
    "-1 to 1": GREY / 127.5 - 1,
    "0 to 65535": GREY * 257.0,
    "whole words": GREY.astype(np.int32) * 257,
    "12 bits": GREY.astype(np.uint16) * 16,
}
"""The same images by several scales."""


@pytest.mark.parametrize("name", TRAINED)
def test_dark_images_are_read_on_the_scale_that_the_run_was_trained_on(name):
    whole = TRAINED[name]
    own = own_scale(whole)
    bright = as_bytes(whole, GREY_RUN, **own)
    assert (bright[:, 0].int() - torch.from_numpy(GREY).int()).abs().max() <= 1
    dark = as_bytes(np.where(GREY < 20, whole, whole.min()), GREY_RUN, **own)  # alone it could be on another scale
    expected = torch.where(bright < 20, bright, 0)
    assert (dark.int() - expected.int()).abs().max() <= 1


def test_numbers_beyond_the_runs_scale_are_refused():
    with pytest.raises(UserError, match=r"within 0 to 1, as the images that the run was trained on, got 0 to 255"):
        as_bytes(TRAINED["0 to 255"], GREY_RUN, **own_scale(TRAINED["0 to 1"]))
    with pytest.raises(UserError, match="within 0 to 1, as the images"):
        as_bytes(TRAINED["-1 to 1"], GREY_RUN, **own_scale(TRAINED["0 to 1"]))


@pytest.mark.parametrize("name", [None, *TRAINED])
def test_images_of_another_type_are_read_by_their_own(name):
    own = {} if name is None else own_scale(TRAINED[name])
    assert as_bytes(GREY, GREY_RUN, **own)[:, 0].tolist() == GREY.tolist()
