"""A user's images in memory, as plain arrays, or as bytes of an opened run's shape.

Taken are NumPy arrays, tensors, lists of pictures, and data sets of images or of (image, label) pairs. What their
numbers and dimensions mean is decided by ``rnp_pyro/data/array_pixels.py``, as for ``--data array:FILE``.
"""

from collections.abc import Iterator, Mapping, Sequence
from math import isqrt
from typing import Any

import numpy as np
import torch
from PIL import Image

from rnp_pyro.api.ways_in import item_way_in, way_in
from rnp_pyro.data.array_pixels import CHANNELS, on_black, to_byte_images
from rnp_pyro.data.array_scale import check_numbers
from rnp_pyro.data.image_data import Scale
from rnp_pyro.errors import UserError
from rnp_pyro.messages import one_line
from rnp_pyro.pictures.colour import any_colour, to_grey
from rnp_pyro.pictures.levels import FULL_BYTES, FULL_WORDS
from rnp_pyro.pictures.picture import without_transparency
from rnp_pyro.shapes import ByteImages

Shape = tuple[int, int, int]
"""Channels, rows and columns of an image."""


def as_bytes(images: Any, image_shape: Shape, white: float | None = None, like: Scale | None = None) -> ByteImages:
    """Return a user's images as bytes ``[N C H W]``.

    Args:
        images: See the top of this file.
        image_shape: What every image must be. Colour without any colours is grey, and transparent pixels are black.
        white: The value that counts as white; None: the largest of the pixels' type.
        like: How the numbers of the run's own images were read; numbers of the same kind are read so, too.

    Raises:
        UserError: If they are something else, or could be several things.
    """
    array = gather(images)[0]
    ordered = _fitted(array, image_shape)
    pixels = to_byte_images({"given": ordered}, "full" if white is None else white, like).images["given"]
    if int(pixels.max()) <= 1 and array.max() > 0:
        raise UserError(
            f"expected pixels of which some are bright, got {array.dtype} with a brightest of {array.max():g}, which "
            "is nearly black: of masks make bool, images.astype(bool), and scale others, images / images.max()"
        )
    pixels = on_black(pixels)
    if image_shape[0] == 1 and pixels.shape[1] == 3:
        if any_colour(pixels):
            raise UserError(_other_shape(array, image_shape))
        pixels = to_grey(pixels)
    return pixels.clone()


def named_arrays(images: Any, test: Any = None) -> dict[str, np.ndarray]:
    """Return a user's images by the keys of a file of arrays, with the labels of a data set of pairs.

    Args:
        images: See the top of this file; or arrays by their keys, such as ``numpy.load`` returns of a ``.npz`` file.
        test: Likewise, without keys; None: there are none.

    Raises:
        UserError: If they are something else.
    """
    if isinstance(images, Mapping):
        if not images:
            raise UserError("expected images by their keys, got none: name them, {'images': images}")
        if test is not None:
            raise UserError("expected the test images among the named arrays, got them apart: add them as x_test")
        return {str(key): _plain(one) for key, one in images.items()}
    arrays = {}
    for split, given in (("train", images), ("test", test)):
        if given is not None or split == "train":
            pixels, labels = gather(_without_labels(given))
            if pixels.ndim < 3:
                raise UserError(f"expected images as [N,H,W], [N,H,W,C] or [N,C,H,W], got {_way_on(pixels)}")
            arrays[f"x_{split}"] = pixels
            arrays |= {} if labels is None else {f"y_{split}": labels}
            names = class_names(given, labels) if split == "train" else None
            arrays |= {} if names is None else {"class_names": np.array(names)}
    return arrays


def _without_labels(given: Any) -> Any:
    """Refuse images and labels as a pair, and return all else.

    Raises:
        UserError: It is a pair of an array of images and an array of their labels.
    """
    if isinstance(given, list | tuple) and len(given) == 2 and len(getattr(given[0], "shape", ())) >= 3:
        first, second = (tuple(getattr(one, "shape", ())) for one in given)
        if len(second) < len(first) and second[:1] == first[:1]:
            raise UserError(
                f"expected images, got a pair of arrays {list(first)} and {list(second)}: of images and labels make a "
                "dictionary, {'images': images, 'labels': labels}"
            )
    return given


def gather(images: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Return a user's images as one array of numbers, and the labels of a data set of pairs if each has one.

    Raises:
        UserError: If they are no images, or differ in size or type.
    """
    if isinstance(images, torch.Tensor | np.ndarray):
        array = _plain(images)
        if not array.size:
            raise UserError(f"expected images, got none: an array of {_text(array)} is empty")
        if array.dtype.kind not in "buif":
            check_numbers(array, "the images")
        return array, None
    if (
        isinstance(images, str | bytes | Mapping)
        or not hasattr(images, "__len__")
        or not hasattr(images, "__getitem__")
    ):
        raise UserError(
            f"expected images as a NumPy array, a tensor, a list of pictures or a torch data set with a length, got "
            f"{type(images).__name__}: {way_in(images)}"
        )
    if hasattr(images, "to_numpy"):
        raise UserError(f"expected images as an array, got {type(images).__name__}: {way_in(images)}")
    return _collect(images)


def _plain(images: Any) -> np.ndarray:
    """Return an array or a tensor as a plain array of numbers."""
    if isinstance(images, torch.Tensor):
        if images.layout != torch.strided or images.is_quantized:
            raise UserError(f"expected a plain tensor of images, got one of {images.dtype} and {images.layout}")
        wide = images.detach().cpu()
        images = (wide.float() if wide.dtype == torch.bfloat16 else wide).numpy()
    if isinstance(images, np.ma.MaskedArray):
        raise UserError("expected a plain array of images, got a masked one: fill it first, images.filled(0)")
    array = np.asarray(images)
    if array.dtype == object:
        raise UserError(
            "expected an array of numbers, got one of Python objects: are its images of differing sizes? Make them "
            "equal, and join them with numpy.stack"
        )
    return array


def _collect(pictures: Any) -> tuple[np.ndarray, np.ndarray | None]:
    """Join the pictures of a list or a data set, and their labels if each has one."""
    if not len(pictures):
        raise UserError(f"expected images, got none: the {type(pictures).__name__} is empty")
    items = list(_items(pictures))
    given = [_picture(item[0], at) for at, item in enumerate(items)]
    found = _of_one_depth(given) if all(isinstance(item[0], Image.Image) for item in items) else given
    if len({picture.ndim for picture in found}) > 1:  # PIL's grey beside PIL's colour
        found = [np.stack([one] * 3, -1) if one.ndim == 2 else one for one in found]
    for at, picture in enumerate(found):
        if picture.shape != found[0].shape or picture.dtype != found[0].dtype:
            raise UserError(
                f"expected images of one size and type, got image 0 of {_text(given[0])} {given[0].dtype} and image "
                f"{at} of {_text(given[at])} {given[at].dtype}: make them equal first"
            )
    return np.stack(found), _labels([item[1] for item in items])


def _of_one_depth(pictures: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Bring PIL's pictures of 8 and of 16 bits to one depth: 16 bits, or 8 where none exceeds them."""
    if {picture.dtype.name for picture in pictures} != {"uint8", "uint16"}:
        return list(pictures)
    if max(picture.max() for picture in pictures) <= FULL_BYTES:
        return [picture.astype(np.uint8) for picture in pictures]
    spread = np.uint16(FULL_WORDS / FULL_BYTES)
    return [picture * spread if picture.dtype == np.uint8 else picture for picture in pictures]


def _labels(labels: Sequence[Any]) -> np.ndarray | None:
    """Return labels that are all whole numbers, or all texts; None if they are anything else."""
    for kinds in ((int, np.integer), (str,)):
        if all(isinstance(label, kinds) for label in labels):
            return np.asarray(labels)
    return None


def class_names(images: Any, labels: np.ndarray | None) -> tuple[str, ...] | None:
    """Return a torch data set's names for its labels, or those of the one that it is a part of; None without any."""
    while not hasattr(images, "classes") and hasattr(images, "dataset"):
        images = images.dataset
    names = getattr(images, "classes", None)
    if labels is None or not isinstance(names, list | tuple) or len(names) <= max(labels, default=0):
        return None
    return tuple(str(name) for name in names)


def _items(pictures: Any) -> Iterator[tuple[Any, Any]]:
    """Go through a list or a data set: each picture, and its label or None."""
    is_list = isinstance(pictures, list | tuple)
    for at in range(len(pictures)):
        item = pictures[at]
        if not is_list and isinstance(item, Sequence) and not isinstance(item, str) and len(item):
            label = item[1] if len(item) > 1 else None
            yield item[0], label.item() if isinstance(label, torch.Tensor) and label.numel() == 1 else label
        else:
            yield item, None


def _picture(item: Any, at: int) -> np.ndarray:
    if isinstance(item, Image.Image):
        return _from_picture(item, at)
    if not isinstance(item, torch.Tensor | np.ndarray) or item.ndim not in (2, 3):
        raise UserError(
            f"expected each image as an array, a tensor or a PIL image of 2 or 3 dimensions, got image {at} of "
            f"{type(item).__name__}{f' {list(item.shape)}' if hasattr(item, 'shape') else ''}: {item_way_in(item)}"
        )
    return _plain(item)


def _from_picture(picture: Image.Image, at: int) -> np.ndarray:
    """Return a PIL image as grey ``[H W]`` of any depth, or RGB ``[H W 3]``, transparent pixels black."""
    try:
        opaque = without_transparency(picture, f"image {at}")
        if opaque.mode == "F":
            return np.asarray(opaque)
        if opaque.mode.startswith("I"):
            values = np.asarray(opaque)
            return values.astype(np.uint16) if values.min() >= 0 and values.max() <= FULL_WORDS else values
        return np.asarray(opaque.convert("L" if opaque.mode in ("1", "L") else "RGB"))
    except (ValueError, OSError) as error:
        raise UserError(
            f"expected images of grey or colour, got image {at} of PIL's mode {picture.mode} ({one_line(error)}): "
            "convert it first, image.convert('RGB')"
        ) from None


def _way_on(array: np.ndarray) -> str:
    """Describe an array of fewer than three dimensions and what to do: it is one image, or flattened ones."""
    if array.ndim != 2:
        return _text(array)
    side = isqrt(array.shape[1])
    if array.shape[0] != array.shape[1] and side * side == array.shape[1] > 1:
        return f"{_text(array)}: flattened images are images.reshape(-1, {side}, {side})"
    return f"{_text(array)}: of one image make a batch, images[None] (training takes at least 4)"


def _fitted(array: np.ndarray, shape: Shape) -> np.ndarray:
    """Bring the dimensions of images of one known shape into the order ``[N C H W]``; C may be 4, the last alpha."""
    channels, size = shape[0], shape[1:]
    several = tuple(one for one in CHANNELS if one >= channels)
    if array.ndim == 3 and channels == 1 and array.shape[1:] == size:
        return array[:, None]
    if array.ndim == 4 and array.shape[2:] == size and array.shape[1] in several:
        return array
    if array.ndim == 4 and array.shape[1:3] == size and array.shape[3] in several:
        return np.moveaxis(array, -1, 1)
    raise UserError(_other_shape(array, shape))


def _other_shape(array: np.ndarray, shape: Shape) -> str:
    channels, rows, columns = shape
    wanted = f"[N,{rows},{columns}]" if channels == 1 else f"[N,{channels},{rows},{columns}]"
    alone = array.shape in (shape, (rows, columns, channels), shape[1:])
    kind = "grey" if channels == 1 else "colour"
    return f"expected {kind} images {wanted}, as the run was trained on, got {_text(array)}" + (
        ": of one image make a batch, images[None]" if alone else ""
    )


def _text(array: np.ndarray) -> str:
    return f"[{','.join(map(str, array.shape))}]"
