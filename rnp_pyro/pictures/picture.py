"""One of the user's image files as a square of RGB pixels."""

import io
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from rnp_pyro.errors import UserError
from rnp_pyro.messages import one_line
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


def read_upright(path: Path, longest: int) -> tuple[tuple[int, int], UInt8[np.ndarray, "rows columns 3"]]:
    """Reads a PNG or JPEG file upright, as RGB of at most ``longest`` pixels a side, with its own size before that.

    Transparent pixels become white where what is drawn on them is dark, else black.

    Raises:
        UserError: As ``read_picture``.
    """
    size, image = _decode(_read(path), path, longest, _on_contrast)
    image.thumbnail((longest, longest), Image.Resampling.BOX, reducing_gap=None)
    return size, np.asarray(image)


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


Ground = Callable[[Image.Image, Path], Image.Image]
"""From an image with transparent pixels (RGBA) to one without (RGB)."""


def _decode(
    content: bytes, path: Path, image_size: int, ground: Ground | None = None
) -> tuple[tuple[int, int], Image.Image]:
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
                upright = _to_rgb(ImageOps.exif_transpose(_shrink(image, 2 * image_size)), path, ground or _on_black)
                return ((rows, columns) if on_its_side else (columns, rows)), upright
    except UserError:
        raise
    except UnidentifiedImageError as error:
        raise UserError(
            f"expected a PNG or JPEG image, got {str(path)!r}, whose content is neither: remove it or convert it"
        ) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UserError(
            f"expected images of {_SMALLEST} to {_LARGEST} pixels a side and at most "
            f"{(Image.MAX_IMAGE_PIXELS or 0) // 10**6} million in all, got {str(path)!r}, which would unpack to far "
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


def _shrink(image: Image.Image, enough: int) -> Image.Image:
    """Divides a huge image by a whole factor, as long as it stays ``enough`` pixels a side: copies of it are small."""
    factor = max(image.size) // max(enough, 1024)
    if factor < 2 or image.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return image
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    small = image.reduce(factor)
    small.getexif()[ExifTags.Base.Orientation] = orientation
    return small


def _to_rgb(image: Image.Image, path: Path, ground: Ground) -> Image.Image:
    """Any mode as eight bits of red, green and blue."""
    if image.mode.startswith("I"):
        return Image.fromarray(_eight_bits(np.asarray(image))).convert("RGB")
    if not image.has_transparency_data:
        return image.convert("RGB")
    return ground(image.convert("RGBA"), path)


def _eight_bits(wide: np.ndarray) -> UInt8[np.ndarray, "rows columns"]:
    """16 bits of grey as eight, 65535 = 257 * 255, a few rows at a time: sums need more than 16 bits."""
    narrow = np.empty(wide.shape, np.uint8)
    for top in range(0, len(wide), 256):
        narrow[top : top + 256] = (wide[top : top + 256].astype(np.int64) + 128) // 257
    return narrow


def _on_contrast(cut_out: Image.Image, path: Path) -> Image.Image:
    """Transparent pixels become white under dark strokes, else black."""
    alpha = np.asarray(cut_out.getchannel("A")).astype(np.float32)
    grey = np.asarray(cut_out.convert("RGB").convert("L"))
    dark = (alpha * grey).sum() < 127.5 * alpha.sum()
    shade = 255 if dark else 0
    return Image.alpha_composite(Image.new("RGBA", cut_out.size, (shade, shade, shade, 255)), cut_out).convert("RGB")


def _on_black(cut_out: Image.Image, path: Path) -> Image.Image:
    """Transparent pixels become black."""
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
