"""Pixels of any depth as bytes."""

import numpy as np
from PIL import Image

from rnp_pyro.errors import UserError
from rnp_pyro.shapes import UInt8

FULL_BYTES, FULL_WORDS = 255.0, 65535.0
"""White in images of 8 and of 16 bits."""

_ROWS = 256
"""Rows at a time: sums need more than the image's own bits."""


def full_scale(mode: str, pixels: np.ndarray) -> float:
    """Return the value that is white in a picture: 255, 65535, or 1 for floating-point numbers that stay below it.

    Args:
        mode: Pillow's name of the picture's kind.
        pixels: Its values.

    Raises:
        UserError: They are not numbers from 0 to one of these.
    """
    if mode != "F" and not mode.startswith("I"):
        return FULL_BYTES
    least, most = float(pixels.min()), float(pixels.max())
    if not (np.isfinite(least) and np.isfinite(most)) or least < 0 or most > FULL_WORDS:
        raise UserError(f"it holds values from {least:g} to {most:g}, where 0 to 1, 255 or 65535 are expected")
    if mode.startswith("I"):
        return FULL_WORDS
    return 1.0 if most <= 1 else FULL_BYTES if most <= FULL_BYTES else FULL_WORDS


def to_bytes(pixels: np.ndarray, white: float) -> UInt8[np.ndarray, "..."]:
    """Scale so that ``white`` becomes 255, rounded; what is brighter becomes 255 as well."""
    if pixels.dtype == np.uint8 and white == FULL_BYTES:
        return pixels
    narrow = np.empty(pixels.shape, np.uint8)
    for top in range(0, len(pixels), _ROWS):
        scaled = pixels[top : top + _ROWS].astype(np.float64) * (255 / white)
        narrow[top : top + _ROWS] = np.clip(np.floor(scaled + 0.5), 0, 255)
    return narrow


def rgb_of(image: Image.Image, white: float | None) -> tuple[Image.Image, float, float]:
    """Return an opaque picture as RGB, with its brightest value and the value that is white by its type.

    Args:
        image: Of any mode.
        white: The value that counts as white; None: the type's, and so does a value below every pixel's reach.

    Raises:
        UserError: The values are not those of a picture.
    """
    wide = image.mode == "F" or image.mode.startswith("I")
    rgb = image if wide else image.convert("RGB")
    pixels = np.asarray(rgb)
    full = full_scale(image.mode, pixels)
    if not wide and white is None:
        return rgb, float(pixels.max()), full
    scaled = Image.fromarray(to_bytes(pixels, full if white is None else white))
    return scaled.convert("RGB"), float(pixels.max()), full
