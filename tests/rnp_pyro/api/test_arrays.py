"""A user's images: every way of giving the same ones, and everything that is refused."""

import re

import numpy as np
import pytest
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset, IterableDataset, TensorDataset

from rnp_pyro.api.arrays import as_bytes, split_labels
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


@pytest.mark.parametrize("name", SAME_GREY)
def test_grey_images(name):
    images = as_bytes(SAME_GREY[name])
    assert images.dtype == torch.uint8
    assert torch.equal(images, torch.from_numpy(GREY)[:, None])
    assert torch.equal(images, as_bytes(SAME_GREY[name], (1, 8, 8)))


@pytest.mark.parametrize(
    "colour",
    [COLOUR, np.moveaxis(COLOUR, -1, 1), [Image.fromarray(one) for one in COLOUR], Pairs(list(COLOUR / 255))],
    ids=["last", "first", "pictures", "data set"],
)
def test_colour_images(colour):
    assert torch.equal(as_bytes(colour), torch.from_numpy(np.moveaxis(COLOUR, -1, 1).copy()))
    assert torch.equal(as_bytes(colour), as_bytes(colour, (3, 8, 8)))


def test_masks():
    assert set(as_bytes(GREY > 100).unique().tolist()) == {0, 255}


def test_a_grey_picture_among_coloured_ones():
    images = as_bytes([Image.fromarray(GREY[0]), Image.fromarray(COLOUR[1])])
    assert images.shape == (2, 3, 8, 8)
    assert torch.equal(images[0], torch.from_numpy(GREY[0]).expand(3, -1, -1))


def test_the_users_array_is_left_alone():
    given = GREY.copy()
    as_bytes(given).zero_()
    assert np.array_equal(given, GREY)


@pytest.mark.parametrize(
    "labels", [[0, 1, 2, 1, 0], list(torch.tensor([0, 1, 2, 1, 0])), list(np.array([0, 1, 2, 1, 0]))]
)
def test_labels(labels):
    assert split_labels(Pairs(list(GREY), labels))[1] == [0, 1, 2, 1, 0]


def test_labels_that_are_none():
    assert split_labels(Pairs(list(GREY), ["a", "b", "c", "b", "a"]))[1] is None
    assert split_labels(GREY)[1] is None


def nan() -> np.ndarray:
    images = GREY / 255
    images[3, 2, 1] = np.nan
    return images


REFUSED = {
    "floats up to 255": (GREY.astype(float), "from 0 to 1, got 0 to 255: divide by 255"),
    "larger floats": (GREY * 257.0, "divide by 65535"),
    "normalised": ((GREY / 255 - 0.13) / 0.3, "undo a normalisation"),
    "divided twice": (GREY / 255 / 255, "divided by 255 twice"),
    "nan": (nan(), "1 that are nan or infinite, the first in image 3"),
    "infinite": (np.where(GREY > 250, np.inf, 0.0), "nan or infinite"),
    "masks as bytes": ((GREY > 100).astype(np.uint8), r"images.astype\(bool\)"),
    "integers": (GREY.astype(np.int64), "got int64 from 0 to 255"),
    "16 bits": (GREY.astype(np.uint16), "got uint16"),
    "complex": (GREY.astype(complex), "got complex128"),
    "objects": (np.array([GREY[0], GREY[1, :4]], dtype=object), "Python objects"),
    "masked": (np.ma.masked_array(GREY, GREY > 9), "a masked one"),
    "sparse": (torch.from_numpy(GREY).to_sparse(), "a plain tensor"),
    "empty": (GREY[:0], "got none"),
    "no list": ([], "got none"),
    "one image": (GREY[0], r"images\[None\]"),
    "one colour image": (COLOUR[0], r"images\[None\]"),
    "flattened": (GREY.reshape(5, -1), r"images.reshape\(-1, 8, 8\)"),
    "a number": (np.float32(3), "expected images"),
    "too many dimensions": (GREY[None, None], r"\[1,1,5,8,8\]"),
    "transparency": (np.concatenate([COLOUR, COLOUR[..., :1]], -1), "1 or 3 channels"),
    "either order": (np.zeros((5, 3, 8, 3), np.uint8), "could be either"),
    "not square": (GREY[:, :6], r"numpy.pad\(images, \[\(0, 0\), \(1, 1\), \(0, 0\)\]\)"),
    "tiny": (GREY[:, :2, :2], "at least 4 pixels"),
    "a file's name": ("photos", "got str"),
    "a dictionary": ({"images": GREY}, "got dict"),
    "nothing": (None, "got NoneType"),
    "a loader": (DataLoader(TensorDataset(torch.from_numpy(GREY))), "pass its .dataset"),
    "a stream": (Stream(), "with a length"),
    "differing sizes": ([GREY[0], GREY[1, :4]], "image 1 of"),
    "differing types": ([GREY[0], GREY[1] / 255], "image 1 of"),
    "names": (["a.png", "b.png"], "image 0 of str"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_one_line(name):
    images, message = REFUSED[name]
    with pytest.raises(UserError, match=message) as caught:
        as_bytes(images)
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


def test_advice_helps():
    missing = re.search(r"numpy.pad\(images, (.*)\)$", refusal(GREY[:, :5]))
    assert missing is not None
    assert as_bytes(np.pad(GREY[:, :5], eval(missing[1]))).shape == (5, 1, 8, 8)
    assert torch.equal(as_bytes(GREY.astype(float) / 255), as_bytes(GREY))


def refusal(images) -> str:
    with pytest.raises(UserError) as caught:
        as_bytes(images)
    return str(caught.value)
