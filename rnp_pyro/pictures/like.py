"""A user's own picture as a data set's pictures are: read as a digit, inverted, scaled."""

from dataclasses import dataclass
from pathlib import Path

import torch

from rnp_pyro.data.image_data import Appearance
from rnp_pyro.pictures.colour import to_grey
from rnp_pyro.pictures.digit import read_digit
from rnp_pyro.pictures.ground import dark_on_bright, ground_of
from rnp_pyro.pictures.ink import ink_on_paper
from rnp_pyro.pictures.picture import read_picture, read_upright
from rnp_pyro.shapes import Tensor, UInt8

SHOWN_SIDE = 400
"""Longest side of a user's picture in a figure, pixels."""


_WHITE = 224
"""Ground, of 255, from which paper is white."""


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


def read_like(
    path: Path, image_size: int, channels: int, appearance: Appearance, as_is: bool = False, on_black: bool = False
) -> Like:
    """Read an image file and make it look like a data set's pictures.

    Args:
        path: The file.
        image_size: Rows and columns of the data set's images, in pixels.
        channels: 1 for grey or 3 for colour.
        appearance: What the data set's pictures look like. Where they were inverted, a picture with dark ink on a
            bright ground is inverted too; the value that counted as white counts in a picture that does not exceed it.
        as_is: Only scale the picture to fit, whatever the others look like.
        on_black: Whether the data set's pictures are bright ink on black: of a picture with dark ink on paper the ink
            is told from the paper, whose uneven light is divided out, and made bright on black.

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
    shaded = on_black and ground_of(grey)[0] < _WHITE  # exchanged, it would not be black
    if appearance.inverted and not as_is and (channels == 3 or (dark_on_bright(grey)[0] and not shaded)):
        pixels, done = 255 - pixels, f"{done}, dark and bright exchanged"
    elif on_black and channels == 1 and not as_is and dark_on_bright(grey, paper=True)[0]:
        strength = ink_on_paper(grey[0, 0] / 255)
        pixels = (255 * strength).round().to(torch.uint8)[None]
        done += ", dark ink on a bright ground made bright ink on black (--as_is true leaves it)"
    return Like(pixels, shown, f"scaled to fit {image_size}x{image_size} pixels{done or ', otherwise as it is'}")
