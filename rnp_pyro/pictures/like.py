"""A user's own picture as a data set's pictures are: read as a digit, inverted, scaled."""

from dataclasses import dataclass
from pathlib import Path

import torch

from rnp_pyro.data.image_data import Appearance
from rnp_pyro.pictures.colour import to_grey
from rnp_pyro.pictures.digit import read_digit
from rnp_pyro.pictures.ground import dark_on_bright
from rnp_pyro.pictures.picture import read_picture, read_upright
from rnp_pyro.shapes import Tensor, UInt8

SHOWN_SIDE = 400
"""Longest side of a user's picture in a figure, pixels."""


@dataclass(frozen=True)
class Like:
    """A file, made to look like a data set's pictures.

    Attributes:
        pixels: 0 to 255.
        shown: The picture itself, upright, in colour.
        note: What was done to it, for the user.
    """

    pixels: UInt8[Tensor, "C S S"]
    shown: UInt8[Tensor, "3 rows columns"]
    note: str


def read_like(path: Path, image_size: int, channels: int, appearance: Appearance, as_is: bool = False) -> Like:
    """Read an image file and make it look like a data set's pictures.

    Args:
        path: The file.
        image_size: Rows and columns of the data set's images, in pixels.
        channels: 1 for grey or 3 for colour.
        appearance: What the data set's pictures look like. Where they were inverted, a picture with dark ink on a
            bright ground is inverted too; the value that counted as white counts in a picture that does not exceed it.
        as_is: Only scale the picture to fit, whatever the others look like.

    Raises:
        UserError: The file is no image, or there is no digit in it.
    """
    shown = torch.from_numpy(read_upright(path, SHOWN_SIDE)[1].copy()).permute(2, 0, 1)
    if appearance.digits and channels == 1 and not as_is:
        digit = read_digit(path, image_size)
        if appearance.inverted:
            return Like(255 - digit.pixels, shown, f"{digit.note}, dark and bright exchanged")
        return Like(digit.pixels, shown, digit.note)
    picture, done = read_picture(path, image_size, dark_on_white=not as_is), ""
    if appearance.white is not None and not as_is and picture.brightest <= appearance.white < picture.full:
        picture = read_picture(path, image_size, appearance.white, dark_on_white=True)
        done += f", {appearance.white:g} taken as white"
    grey = to_grey(picture.pixels[None])
    pixels = picture.pixels if channels == 3 else grey[0]
    if appearance.inverted and not as_is and (channels == 3 or dark_on_bright(grey)[0]):
        pixels, done = 255 - pixels, f"{done}, dark and bright exchanged"
    return Like(pixels, shown, f"scaled to fit {image_size}x{image_size} pixels{done or ', otherwise as it is'}")
