"""Images of any usual type and order of dimensions as bytes ``[N, C, S, S]``."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from math import isqrt

import numpy as np
import torch
from torch.nn.functional import interpolate

from rnp_pyro.data.array_scale import check_numbers, read_scale
from rnp_pyro.data.image_data import Scale
from rnp_pyro.data.source import White
from rnp_pyro.data.white import choose_white
from rnp_pyro.errors import UserError
from rnp_pyro.pictures.formats import LARGEST, SMALLEST
from rnp_pyro.pictures.levels import FULL_BYTES, to_bytes
from rnp_pyro.shapes import ByteImages, Tensor, UInt8

CHANNELS = (1, 3, 4)

_CHUNK = 1024


def channels_first(array: np.ndarray, key: str) -> np.ndarray:
    """Return a view ``[N, C, H, W]`` of ``[N, H, W]``, ``[N, H, W, C]`` or ``[N, C, H, W]``, C of 1, 3 or 4.

    Raises:
        UserError: The shape is none of these, or there are no images in it.
    """
    expected = "[N, rows, columns], [N, rows, columns, channels] or [N, channels, rows, columns] of 1, 3 or 4 channels"
    shape = array.shape
    if array.dtype.kind not in "buif":
        check_numbers(array, key)
    if 0 in shape:
        raise UserError(f"expected at least one image, got {key} {list(shape)}, which is empty: add images")
    if (way_on := _way_on(shape)) is not None:
        raise UserError(f"expected images as {expected}, got {key} {list(shape)}: {way_on}")
    first = array.ndim == 4 and shape[1] in CHANNELS
    last = array.ndim == 4 and shape[3] in CHANNELS
    if array.ndim != 3 and not first and not last:
        raise UserError(f"expected images as {expected}, got {key} {list(shape)}: save them in one of these orders")
    if array.ndim == 3 and shape[2] in CHANNELS and min(shape[:2]) >= SMALLEST:
        grey = f"; if these are {shape[0]} grey ones, images[:, None]" if shape[2] >= SMALLEST else ""
        raise UserError(
            f"expected a batch of images, got {key} {list(shape)}, one image: make it one, images[None], of at "
            f"least 4 to train on{grey}"
        )
    if first and last and min(shape[2:]) == min(shape[1:3]):
        raise UserError(
            f"expected images as {expected}, got {key} {list(shape)}, which could be either: images of more than 4 "
            "pixels a side are needed"
        )
    if array.ndim == 3:
        images = array[:, None]
    elif first and last:  # the order that makes the images larger
        images = array if min(shape[2:]) >= min(shape[1:3]) else array.transpose(0, 3, 1, 2)
    else:
        images = array if first else array.transpose(0, 3, 1, 2)
    rows, columns = images.shape[2:]
    if min(rows, columns) < SMALLEST or max(rows, columns) > LARGEST:
        size = "larger" if min(rows, columns) < SMALLEST else "smaller"
        raise UserError(
            f"expected images of {SMALLEST} to {LARGEST} pixels a side, got {key} {list(shape)}: save {size} images, "
            "or put the dimensions into the order N, rows, columns"
        )
    return images


_ALONE = "if it is one image, make it a batch, images[None] (training takes at least 4)"


def _way_on(shape: tuple[int, ...]) -> str | None:
    """Return what brings flattened images, or those whose number comes last, into order; None if they are neither."""
    if len(shape) == 2:
        sides = {channels: isqrt(shape[1] // channels) for channels in (1, 3)}
        for channels, side in sides.items():
            if side > 1 and channels * side * side == shape[1]:
                order = f"{side}, {side}" if channels == 1 else f"{channels}, {side}, {side}"
                flat = f"if a row is an image, save images.reshape(-1, {order})"
                return f"{flat}; {_ALONE}" if shape[0] == shape[1] else flat
        return _ALONE if min(shape) >= SMALLEST else None
    if len(shape) == 3 and shape[0] == shape[1] != shape[2] and shape[0] not in CHANNELS and shape[2] not in CHANNELS:
        return (
            f"if these are {shape[2]} images, save images.transpose(2, 0, 1); if {shape[0]} oblong ones, save "
            "images[:, None]"
        )
    if len(shape) == 4 and shape[0] == shape[1] and shape[2] in CHANNELS and shape[1] not in CHANNELS:
        return (
            f"if these are {shape[3]} images, save images.transpose(3, 0, 1, 2)" if shape[3] not in CHANNELS else None
        )
    return None


@dataclass(frozen=True)
class ReadImages:
    """Images as bytes, and how they were read.

    Attributes:
        images: By split.
        white: The value that counted as white; None: the type's largest.
        scale: How the numbers were read; None: they were true or false.
        notes: What to say.
    """

    images: dict[str, ByteImages]
    white: float | None = None
    scale: Scale | None = None
    notes: tuple[str, ...] = ()


def to_byte_images(arrays: Mapping[str, np.ndarray], wish: White, like: Scale | None = None) -> ReadImages:
    """Return the splits' images as bytes.

    One scale serves all splits. Whole numbers up to 255 are bytes, up to 65535 words of 16 bits; floating-point
    numbers reach from 0 to 1, from 0 to 255, from 0 to 65535, or from -1 to 1.

    Args:
        arrays: Images ``[N, C, H, W]`` by split.
        wish: The value that counts as white, or auto, or full.
        like: How others were read that these are compared with: numbers of the same kind are read so, too, however
            bright the brightest of these is, and ``wish`` is only for them.

    Raises:
        UserError: The values are not those of pixels.
    """
    for split, array in arrays.items():
        check_numbers(array, images_of(split, arrays))
    kinds = {array.dtype.kind.replace("u", "i") for array in arrays.values()}
    if len(kinds) > 1:
        told = ", ".join(f"{split} {array.dtype}" for split, array in arrays.items())
        raise UserError(
            f"expected images of one type in all splits, got {told}: save all as uint8, numbers of 0 to 1 as "
            "(255 * images).round().astype('uint8')"
        )
    if kinds == {"b"}:
        return ReadImages({split: _bytes(array, 0.0, 1.0) for split, array in arrays.items()})
    scale, most, told = read_scale(arrays, like)
    wish = wish if like is None or scale == like else "full"
    white, said = choose_white([most], [scale.full], wish) if scale.black == 0 else (None, ())
    reach = scale.full - scale.black if white is None else white
    images = {split: _bytes(array, scale.black, reach) for split, array in arrays.items()}
    return ReadImages(images, white, scale, (*told, *said))


def images_of(split: str, splits: Collection[str]) -> str:
    """Return what messages call a split's images: where there is no other split, no split is named."""
    return "the images" if len(splits) == 1 else f"the {split} images"


def _bytes(images: np.ndarray, offset: float, scale: float) -> ByteImages:
    """Scale so that ``offset`` becomes 0 and ``offset + scale`` 255."""
    if images.dtype == np.uint8 and scale == FULL_BYTES:
        return torch.from_numpy(np.require(images, requirements=("C", "W")))
    parts = [to_bytes(part if offset == 0 else part - offset, scale) for part in _chunks(images)]
    return torch.from_numpy(np.concatenate(parts))


def _chunks(images: np.ndarray) -> list[np.ndarray]:
    return [images[start : start + _CHUNK] for start in range(0, len(images), _CHUNK)]


def on_black(images: ByteImages) -> UInt8[Tensor, "N channels H W"]:
    """Return images without their fourth channel, alpha: transparent pixels become black."""
    if images.shape[1] != 4:
        return images
    parts = [(part[:, :3] * (part[:, 3:] / 255.0)).round().to(torch.uint8) for part in images.split(_CHUNK)]
    return torch.cat(parts)


def fitted_note(count: int, total: int, columns: int, rows: int, image_size: int) -> str:
    """Return what a user is told of oblong images."""
    return (
        f"{count} of {total} images are oblong, such as {columns}x{rows} pixels: they keep their proportions, scaled "
        f"to fit a square of {image_size} and centred; cut them square if more of them is to be seen"
    )


def fit_squares(images: ByteImages, image_size: int) -> UInt8[Tensor, "N C S S"]:
    """Scale oblong images to fit a square and centre them on the median colour of their border; squares stay."""
    rows, columns = images.shape[-2:]
    if rows == columns:
        return images
    scale = image_size / max(rows, columns)
    size = max(1, round(rows * scale)), max(1, round(columns * scale))
    top, left = (image_size - size[0]) // 2, (image_size - size[1]) // 2
    fitted = []
    for part in images.split(_CHUNK):
        small = interpolate(part.float(), size, mode="bilinear", antialias=True, align_corners=False)
        edges = torch.cat([small[..., 0, :], small[..., -1, :], small[..., 0], small[..., -1]], -1)
        square = edges.median(-1).values[..., None, None].expand(*small.shape[:2], image_size, image_size).clone()
        square[..., top : top + size[0], left : left + size[1]] = small
        fitted.append(square.round().clamp(0, 255).to(torch.uint8))
    return torch.cat(fitted)
