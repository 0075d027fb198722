"""A user's images as the project's: uint8 ``[N C H W]``, 0 to 255. What can be misread is refused, in one line.

Taken are NumPy arrays, tensors, lists of pictures, and data sets of images or of (image, label) pairs; ``[N H W]``,
``[N H W C]`` or ``[N C H W]``; uint8 (0 to 255), floating point (0 to 1) or boolean.
"""

from collections.abc import Iterator, Sequence
from math import isqrt
from typing import Any

import numpy as np
import torch
from PIL import Image

from rnp_pyro.errors import UserError
from rnp_pyro.shapes import ByteImages

CHANNELS = (1, 3)
SMALLEST = 4
"""Rows and columns of the smallest image."""

Shape = tuple[int, int, int]
"""Channels, rows and columns of an image."""


def as_bytes(images: Any, image_shape: Shape | None = None) -> ByteImages:
    """Return a user's images as bytes.

    Args:
        images: See the top of this file.
        image_shape: What every image must be; None: of any one size, square, grey or colour.

    Raises:
        UserError: If they are something else, or could be several things.
    """
    return split_labels(images, image_shape)[0]


def split_labels(images: Any, image_shape: Shape | None = None) -> tuple[ByteImages, list[int] | None]:
    """Return a user's images as bytes, and the labels of a data set of pairs; see :func:`as_bytes`."""
    labels = None
    if isinstance(images, torch.Tensor):
        array = _from_tensor(images)
    elif isinstance(images, np.ndarray):
        array = _plain(images)
    elif isinstance(images, str | bytes | dict) or not hasattr(images, "__len__") or not hasattr(images, "__getitem__"):
        raise UserError(
            f"expected images as a NumPy array, a tensor, a list of pictures or a torch data set with a length, got "
            f"{type(images).__name__}" + (": pass its .dataset" if hasattr(images, "dataset") else "")
        )
    else:
        array, labels = _collect(images)
    array = _order(array, image_shape)
    return torch.from_numpy(np.array(_to_bytes(array))), labels


def _from_tensor(images: torch.Tensor) -> np.ndarray:
    if images.layout != torch.strided or images.is_quantized or images.is_complex():
        raise UserError(f"expected a plain tensor of images, got one of {images.dtype} and {images.layout}")
    wide = images.detach().cpu()
    return (wide.float() if wide.dtype == torch.bfloat16 else wide).numpy()


def _plain(images: np.ndarray) -> np.ndarray:
    if isinstance(images, np.ma.MaskedArray):
        raise UserError("expected a plain array of images, got a masked one: fill it first, images.filled(0)")
    return np.asarray(images)


def _collect(pictures: Any) -> tuple[np.ndarray, list[int] | None]:
    """Join the pictures of a list or a data set, and their labels if each has one."""
    if not len(pictures):
        raise UserError("expected images, got none")
    items = list(_items(pictures))
    found = [_picture(item[0], at) for at, item in enumerate(items)]
    if len({picture.ndim for picture in found}) > 1:  # PIL's grey beside PIL's colour
        found = [np.stack([one] * 3, -1) if one.ndim == 2 else one for one in found]
    for at, picture in enumerate(found):
        if picture.shape != found[0].shape or picture.dtype != found[0].dtype:
            raise UserError(
                f"expected images of one size and type, got image 0 of {_text(found[0])} and image {at} of "
                f"{_text(picture)}: make them equal first"
            )
    labels = [item[1] for item in items]
    known = all(isinstance(label, int | np.integer) and label >= 0 for label in labels)
    return np.stack(found), [int(label) for label in labels] if known else None


def class_names(images: Any, labels: Sequence[int] | None) -> tuple[str, ...] | None:
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
        return np.asarray(item.convert("L" if item.mode in ("1", "L") else "RGB"))
    array = _from_tensor(item) if isinstance(item, torch.Tensor) else item
    if not isinstance(array, np.ndarray) or array.ndim not in (2, 3):
        raise UserError(
            f"expected each image as an array, a tensor or a PIL image of 2 or 3 dimensions, got image {at} of "
            f"{type(item).__name__}" + (f" {list(array.shape)}" if isinstance(array, np.ndarray) else "")
        )
    return _plain(array)


def _order(array: np.ndarray, image_shape: Shape | None) -> np.ndarray:
    """Bring the dimensions into the order ``[N C H W]``."""
    if array.dtype == object:
        raise UserError(
            "expected an array of numbers, got one of Python objects: are its images of differing sizes? Make them "
            "equal, and join them with numpy.stack"
        )
    if array.ndim not in (3, 4):
        raise UserError(f"expected images as [N,H,W], [N,H,W,C] or [N,C,H,W], got {_text(array)}{_way_on(array)}")
    if array.size == 0:
        raise UserError(f"expected images, got none: an array of {_text(array)}")
    ordered = _fitted(array, image_shape) if image_shape is not None else _guessed(array)
    rows, columns = ordered.shape[2:]
    if image_shape is None and rows != columns:
        missing = abs(rows - columns)
        pad = (missing // 2, missing - missing // 2)
        widths = [(0, 0), *([pad, (0, 0)] if rows < columns else [(0, 0), pad])]
        raise UserError(
            f"expected square images, got {rows}x{columns} pixels: pad them first, images [N,H,W] with "
            f"numpy.pad(images, {widths})"
        )
    if min(rows, columns) < SMALLEST:
        raise UserError(f"expected images of at least {SMALLEST} pixels a side, got {rows}x{columns}")
    return ordered


def _way_on(array: np.ndarray) -> str:
    """Say what to do with an array of two dimensions: one image, or flattened ones."""
    if array.ndim != 2:
        return ""
    side = isqrt(array.shape[1])
    if array.shape[0] != array.shape[1] and side * side == array.shape[1] and side >= SMALLEST:
        return f": flattened images are images.reshape(-1, {side}, {side})"
    return ": of one image make a batch, images[None]"


def _guessed(array: np.ndarray) -> np.ndarray:
    """Order the dimensions of images of any size; refuse what could be read in two ways."""
    if array.ndim == 3:
        if array.shape[-1] in CHANNELS:
            raise UserError(f"expected a batch of images, got {_text(array)}, one image: make it one, images[None]")
        return array[:, None]
    first, last = array.shape[1] in CHANNELS, array.shape[-1] in CHANNELS
    if first and last:
        raise UserError(
            f"expected [N,C,H,W] or [N,H,W,C], got {_text(array)}, which could be either: images of at least "
            f"{SMALLEST} pixels a side are needed"
        )
    if not first and not last:
        raise UserError(
            f"expected images of 1 or 3 channels, [N,C,H,W] or [N,H,W,C], got {_text(array)}: leave further channels, "
            "such as transparency, out"
        )
    return array if first else np.moveaxis(array, -1, 1)


def _fitted(array: np.ndarray, shape: Shape) -> np.ndarray:
    """Order the dimensions of images of one known shape."""
    channels, rows, columns = shape
    if array.ndim == 3 and channels == 1 and array.shape[1:] == (rows, columns):
        return array[:, None]
    if array.ndim == 4 and array.shape[1:] == shape:
        return array
    if array.ndim == 4 and array.shape[1:] == (rows, columns, channels):
        return np.moveaxis(array, -1, 1)
    wanted = f"[N,{rows},{columns}]" if channels == 1 else f"[N,{channels},{rows},{columns}]"
    alone = array.shape in (shape, (rows, columns, channels))
    ending = {True: ": of one image make a batch, images[None]", False: ""}[alone]
    kind = "grey" if channels == 1 else "colour"
    raise UserError(f"expected {kind} images {wanted}, as the run was trained on, got {_text(array)}{ending}")


def _to_bytes(array: np.ndarray) -> np.ndarray:
    """Turn numbers into bytes; refuse those that are no brightness."""
    if array.dtype == bool:
        return array * np.uint8(255)
    if array.dtype == np.uint8:
        if array.max() == 1:
            raise UserError(
                "expected bytes from 0 to 255, got a brightest of 1, which is nearly black: are these masks? Pass "
                "images.astype(bool)"
            )
        return array
    if array.dtype.kind in "iu":
        raise UserError(
            f"expected uint8 from 0 to 255 or floats from 0 to 1, got {array.dtype} from {array.min()} to "
            f"{array.max()}: scale to 255 and convert, images.astype('uint8')"
        )
    if array.dtype.kind != "f":
        raise UserError(f"expected uint8 from 0 to 255 or floats from 0 to 1, got {array.dtype}")
    return _from_floats(array)


def _from_floats(array: np.ndarray) -> np.ndarray:
    unsound = ~np.isfinite(array)
    if unsound.any():
        first = int(unsound.reshape(len(array), -1).any(1).argmax())
        raise UserError(
            f"expected finite pixels, got {int(unsound.sum())} that are nan or infinite, the first in image {first}: "
            "mend or leave these images out"
        )
    low, high = float(array.min()), float(array.max())
    if low < 0:
        raise UserError(
            f"expected floats from 0 to 1, got {low:g} to {high:g}: undo a normalisation first, such as "
            "images * std + mean"
        )
    if high > 1:
        raise UserError(
            f"expected floats from 0 to 1, got {low:g} to {high:g}: divide by {255 if high <= 255 else high:g}"
        )
    if 0 < high <= 1 / 255:
        raise UserError(f"expected floats from 0 to 1, got a brightest of {high:g}: were they divided by 255 twice?")
    return np.round(array.astype(np.float64) * 255).astype(np.uint8)


def _text(array: np.ndarray) -> str:
    return f"[{','.join(map(str, array.shape))}]"
