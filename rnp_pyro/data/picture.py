"""One of the user's image files as a square of RGB pixels."""

import io
import warnings
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from rnp_pyro.data.messages import one_line
from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Tensor, UInt8

_SMALLEST, _LARGEST = 4, 10_000
"""Sides of an image that is taken seriously, in pixels."""

_DARK = 48
"""Brightest value, of 255, of an image that would vanish on black."""


@dataclass(frozen=True)
class Picture:
    """A decoded image file.

    Attributes:
        size: Columns and rows of the file's image as a viewer shows it, in pixels.
        pixels: The image scaled to fit, in the middle of a square, 0 to 255.
    """

    size: tuple[int, int]
    pixels: UInt8[Tensor, "3 S S"]


def read_picture(path: Path, image_size: int) -> Picture:
    """Reads a PNG or JPEG file, turned as its EXIF orientation says.

    The image keeps its proportions: its longer side becomes ``image_size`` pixels (bilinear, antialiased) and the
    rest of the square is filled with the median colour of its border. Transparent pixels become black, the empty
    canvas of the model. 16 bits are scaled to eight. Ink is not inverted: the model paints bright on black, so dark ink
    on white is best inverted beforehand. Of an animation the first frame counts.

    Raises:
        UserError: The file is empty, truncated, not an image, too small or too large, or nearly black on transparent.
    """
    content = _read(path)
    size, image = _decode(content, path, image_size)
    return Picture(size, _fit(image, image_size))


def _read(path: Path) -> bytes:
    try:
        content = path.read_bytes() if path.is_file() else None
    except OSError as error:
        raise UserError(
            f"expected an image that can be read, got {str(path)!r} ({error.strerror}): remove it or change its rights"
        ) from error
    if content is None:
        raise UserError(f"expected an image file, got {str(path)!r}, a broken link or a device: remove it")
    if not content:
        raise UserError(f"expected a PNG or JPEG image, got {str(path)!r}, which is empty (0 bytes): remove it")
    return content


def _decode(content: bytes, path: Path, image_size: int) -> tuple[tuple[int, int], Image.Image]:
    """The size before any reduction, and the image as RGB; both upright."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata that do not matter here
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=["PNG", "JPEG"]) as image:
                _check_size(image.size, path)
                columns, rows = image.size
                on_its_side = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
                image.draft(None, (2 * image_size, 2 * image_size))  # lets JPEG decode large photographs small
                upright = _to_rgb(ImageOps.exif_transpose(image), path)
                return ((rows, columns) if on_its_side else (columns, rows)), upright
    except UserError:
        raise
    except UnidentifiedImageError as error:
        raise UserError(
            f"expected a PNG or JPEG image, got {str(path)!r}, whose content is neither: remove it or convert it"
        ) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UserError(
            f"expected images of {_SMALLEST} to {_LARGEST} pixels a side, got {str(path)!r}, which would unpack to far "
            "more: remove it or make it smaller"
        ) from error
    except Exception as error:  # decoders raise almost anything on damaged bytes
        raise UserError(
            f"expected a whole PNG or JPEG image, got {str(path)!r}, which is truncated or damaged "
            f"({one_line(error)}): replace it or remove it"
        ) from error


def _check_size(size: tuple[int, int], path: Path) -> None:
    if min(size) < _SMALLEST or max(size) > _LARGEST:
        raise UserError(
            f"expected images of {_SMALLEST} to {_LARGEST} pixels a side, got {str(path)!r} of {size[0]}x{size[1]}: "
            "remove it or resize it"
        )


def _to_rgb(image: Image.Image, path: Path) -> Image.Image:
    """Any mode as eight bits of red, green and blue, transparent pixels black."""
    if image.mode.startswith("I"):  # 16 bits of grey: 65535 = 257 * 255
        wide = np.asarray(image).astype(np.int64)
        return Image.fromarray(((wide + 128) // 257).astype(np.uint8)).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    cut_out = image.convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", cut_out.size, (0, 0, 0, 255)), cut_out).convert("RGB")
    alpha = np.asarray(cut_out.getchannel("A"))
    if alpha.min() < 255 and alpha.max() > 0 and np.asarray(flat).max() < _DARK:
        raise UserError(
            f"expected an image that can be seen on black, which is what transparent pixels become, got {str(path)!r}, "
            "nearly black on transparent: put it on a white background or invert it"
        )
    return flat


def _fit(image: Image.Image, image_size: int) -> UInt8[Tensor, "3 S S"]:
    """Scales to fit the square and centres."""
    scale = image_size / max(image.size)
    columns, rows = (max(1, round(side * scale)) for side in image.size)
    resized = np.asarray(image.resize((columns, rows), Image.Resampling.BILINEAR))
    square = np.empty((image_size, image_size, 3), np.uint8)
    square[:] = _border_colour(resized)
    top, left = (image_size - rows) // 2, (image_size - columns) // 2
    square[top : top + rows, left : left + columns] = resized
    return torch.from_numpy(square).permute(2, 0, 1).contiguous()


def _border_colour(pixels: np.ndarray) -> np.ndarray:
    """The median, channel by channel, of the outermost pixels of [rows, columns, 3]."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return np.median(border, axis=0).astype(np.uint8)
