"""Images of any usual type and order of dimensions as bytes ``[N, C, S, S]``."""

from collections.abc import Mapping

import numpy as np
import torch
from torch.nn.functional import interpolate

from rnp_pyro.data.source import White
from rnp_pyro.data.white import choose_white
from rnp_pyro.errors import UserError
from rnp_pyro.pictures.formats import LARGEST, SMALLEST
from rnp_pyro.pictures.levels import FULL_BYTES, FULL_WORDS, to_bytes
from rnp_pyro.shapes import ByteImages, Tensor, UInt8

CHANNELS = (1, 3, 4)
_SLACK = 1e-3
"""How far floating-point numbers may stray over the edge of a range."""

_CHUNK = 1024


def channels_first(array: np.ndarray, key: str) -> np.ndarray:
    """Return a view ``[N, C, H, W]`` of ``[N, H, W]``, ``[N, H, W, C]`` or ``[N, C, H, W]``, C of 1, 3 or 4.

    Raises:
        UserError: The shape is none of these, or there are no images in it.
    """
    expected = "[N, rows, columns], [N, rows, columns, channels] or [N, channels, rows, columns] of 1, 3 or 4 channels"
    shape = array.shape
    if array.ndim == 2 and round(shape[1] ** 0.5) ** 2 == shape[1] > 1:
        side = round(shape[1] ** 0.5)
        raise UserError(
            f"expected images as {expected}, got {key} {list(shape)}: if a row is an image, save "
            f"images.reshape(-1, {side}, {side})"
        )
    first = array.ndim == 4 and shape[1] in CHANNELS
    last = array.ndim == 4 and shape[3] in CHANNELS
    if array.ndim != 3 and not first and not last:
        raise UserError(f"expected images as {expected}, got {key} {list(shape)}: save them in one of these orders")
    if array.ndim == 3 and shape[2] in CHANNELS:
        raise UserError(f"expected a batch of images, got {key} {list(shape)}, one image: make it one, images[None]")
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
    if not len(images) or min(rows, columns) < SMALLEST or max(rows, columns) > LARGEST:
        raise UserError(
            f"expected at least one image, of {SMALLEST} to {LARGEST} pixels a side, got {key} {list(shape)}: save "
            "larger images, or put the dimensions into the order N, rows, columns"
        )
    return images


def to_byte_images(
    arrays: Mapping[str, np.ndarray], wish: White
) -> tuple[dict[str, ByteImages], float | None, tuple[str, ...]]:
    """Return the splits' images as bytes, the value that counted as white if it is not the type's, and what to say.

    One scale serves all splits. Whole numbers up to 255 are bytes, up to 65535 words of 16 bits; floating-point
    numbers reach from 0 to 1, from 0 to 255, from 0 to 65535, or from -1 to 1.

    Args:
        arrays: Images ``[N, C, H, W]`` by split.
        wish: The value that counts as white, or auto, or full.

    Raises:
        UserError: The values are not those of pixels.
    """
    least, most = _range(arrays)
    kinds = {array.dtype.kind.replace("u", "i") for array in arrays.values()}
    if len(kinds) > 1:
        told = ", ".join(f"{split} {array.dtype}" for split, array in arrays.items())
        raise UserError(f"expected images of one type in all splits, got {told}: save all as uint8")
    if kinds == {"b"}:
        return {split: _bytes(array, 0.0, 1.0) for split, array in arrays.items()}, None, ()
    floats = "f" in kinds
    least, most, full, told = (_float_scale if floats else _whole_scale)(least, most, arrays)
    offset = -1.0 if least < 0 else 0.0
    white, said = choose_white([most - offset], [full - offset], wish) if offset == 0 else (None, ())
    scale = full - offset if white is None else white
    return {split: _bytes(array, offset, scale) for split, array in arrays.items()}, white, (*told, *said)


def _range(arrays: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """Return the smallest and the largest value of all images."""
    for split, array in arrays.items():
        if array.dtype.kind not in "buif":
            raise UserError(
                f"expected pixels of type uint8, bool, uint16, another whole number or a floating-point number, got "
                f"{array.dtype} in the {split} images: save them as uint8"
            )
        wrong = 0 if array.dtype.kind != "f" else sum(int((~np.isfinite(part)).sum()) for part in _chunks(array))
        if wrong:
            raise UserError(
                f"expected finite pixels, got {wrong} NaN or infinite ones in the {split} images: replace them, such "
                "as with numpy.nan_to_num"
            )
    return min(float(one.min()) for one in arrays.values()), max(float(one.max()) for one in arrays.values())


def _whole_scale(
    least: float, most: float, arrays: Mapping[str, np.ndarray]
) -> tuple[float, float, float, tuple[str, ...]]:
    if least < 0 or most > FULL_WORDS:
        raise UserError(
            f"expected whole numbers of 0 to 255, or to 65535, as pixels, got {least:g} to {most:g} in the "
            "images: shift or scale them"
        )
    wide = all(array.dtype.itemsize > 1 for array in arrays.values())
    words = wide and (most > FULL_BYTES or (all(array.dtype == np.uint16 for array in arrays.values()) and most > 1))
    return least, most, FULL_WORDS if words and most != FULL_BYTES else FULL_BYTES, ()


def _float_scale(
    least: float, most: float, arrays: Mapping[str, np.ndarray]
) -> tuple[float, float, float, tuple[str, ...]]:
    for low, high in ((0.0, 1.0), (-1.0, 1.0), (0.0, FULL_BYTES), (0.0, FULL_WORDS)):
        if low - _SLACK <= least and most <= high + _SLACK:
            told = f"pixels are floating-point, {least:g} to {most:g}: {low:g} was taken as black and {high:g} as white"
            return (low if low < 0 else 0.0), min(most, high), high, (told,)
    raise UserError(
        f"expected floating-point pixels within 0 to 1, -1 to 1, or 0 to 255, got {least:g} to {most:g} in the images: "
        "undo what was subtracted and divided by, or save them as uint8"
    )


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
