"""One of the user's image files as a square of RGB pixels."""

import contextlib
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
from rnp_pyro.pictures.formats import FORMATS, KINDS, LARGEST, SMALLEST, without_texts
from rnp_pyro.pictures.levels import FULL_BYTES, rgb_of
from rnp_pyro.shapes import Tensor, UInt8

_DARK = 48
"""Brightest value, of 255, of an image that would vanish on black."""


@dataclass(frozen=True)
class Picture:
    """A decoded image file.

    Attributes:
        size: Columns and rows of the file's image as a viewer shows it, in pixels.
        pixels: The image scaled to fit, in the middle of a square, 0 to 255.
        brightest: The largest value of the file's pixels.
        full: The value that is white by the file's type: 255, 65535, or 1.
        frames: Pictures in the file, of which this is the first.
        ground: What transparent pixels became: white, black, or nothing where there are none.
    """

    size: tuple[int, int]
    pixels: UInt8[Tensor, "3 S S"]
    brightest: float
    full: float
    frames: int
    ground: str = ""


def read_picture(path: Path, image_size: int, white: float | None = None, dark_on_white: bool = False) -> Picture:
    """Read an image file, turned as its EXIF orientation says.

    The image keeps its proportions: its longer side becomes ``image_size`` pixels (bilinear, antialiased) and the
    rest of the square is filled with the median colour of its border. Transparent pixels become black, the empty
    canvas of the model. Of an animation, or several pages, the first counts. Dark and bright stay as they are.

    Args:
        path: A file of one of ``formats.FORMATS``, whatever its ending.
        image_size: Rows and columns of the square, in pixels.
        white: The value of the file's pixels that becomes 255; by default the largest that their type has.
        dark_on_white: Whether what is nearly black on transparent is put on white, or else refused.

    Raises:
        UserError: The file is empty, truncated, not an image, too small or too large, or nearly black on transparent.
    """
    decoded = _decode(_read(path), path, image_size, _on_white_or_black if dark_on_white else _on_black, white)
    pixels = _fit(decoded.image, image_size)
    return Picture(decoded.size, pixels, decoded.brightest, decoded.full, decoded.frames, decoded.ground)


def read_upright(path: Path, longest: int) -> tuple[tuple[int, int], UInt8[np.ndarray, "rows columns 3"]]:
    """Read an image file upright, as RGB of at most ``longest`` pixels a side, with its own size before that.

    Transparent pixels become white where what is drawn on them is dark, else black.

    Raises:
        UserError: As ``read_picture``.
    """
    decoded = _decode(_read(path), path, longest, _on_contrast, None)
    decoded.image.thumbnail((longest, longest), Image.Resampling.BOX, reducing_gap=None)
    return decoded.size, np.asarray(decoded.image)


def without_transparency(image: Image.Image, name: str) -> Image.Image:
    """Return a picture in memory without transparency: transparent pixels become black; others stay as they are.

    Args:
        image: Of any mode.
        name: What to call it in messages.

    Raises:
        UserError: It is nearly black on transparent.
    """
    return _on_black(image.convert("RGBA"), name) if image.has_transparency_data else image


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
        raise UserError(f"expected a {KINDS} image, got {str(path)!r}, which is empty (0 bytes): remove it")
    return content


Ground = Callable[[Image.Image, Path | str], Image.Image]
"""From an image with transparent pixels (RGBA) to one without (RGB)."""


@dataclass(frozen=True)
class _Decoded:
    """An upright RGB image; the other fields are those of ``Picture``."""

    size: tuple[int, int]
    image: Image.Image
    brightest: float
    full: float
    frames: int
    ground: str


def _decode(content: bytes, path: Path, image_size: int, ground: Ground, white: float | None) -> _Decoded:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of metadata that do not matter here
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(without_texts(content)), formats=FORMATS) as image:
                return _upright(image, path, image_size, ground, white)
    except UserError as error:
        if str(path) in str(error):
            raise
        raise UserError(f"expected an image of grey or colour, got {str(path)!r}: {error}") from error
    except UnidentifiedImageError as error:
        raise UserError(
            f"expected a {KINDS} image, got {str(path)!r}, whose content is none of these: remove it or convert it"
        ) from error
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise UserError(
            f"expected images of {SMALLEST} to {LARGEST} pixels a side and at most "
            f"{(Image.MAX_IMAGE_PIXELS or 0) // 10**6} million in all, got {str(path)!r}, which would unpack to far "
            "more: remove it or make it smaller"
        ) from error
    except Exception as error:  # decoders raise almost anything on damaged bytes
        raise UserError(
            f"expected a whole {KINDS} image, got {str(path)!r}, which is truncated or damaged "
            f"({one_line(error)}): replace it or remove it"
        ) from error


def _upright(image: Image.Image, path: Path, image_size: int, ground: Ground, white: float | None) -> _Decoded:
    _check_size(image.size, path)
    columns, rows = image.size
    on_its_side = image.getexif().get(ExifTags.Base.Orientation, 1) >= 5
    image.draft(None, (2 * image_size, 2 * image_size))  # lets JPEG decode large photographs small
    turned = ImageOps.exif_transpose(_shrink(image, 2 * image_size))
    opaque, shade = turned, ""
    if turned.has_transparency_data:
        cut_out = turned.convert("RGBA")
        opaque = ground(cut_out, path)
        shade = _shade(cut_out, opaque)
    rgb, brightest, full = rgb_of(opaque, white)
    frames = 1
    with contextlib.suppress(Exception):  # of pages after the first, which do not matter
        frames = getattr(image, "n_frames", 1)
    return _Decoded((rows, columns) if on_its_side else (columns, rows), rgb, brightest, full, frames, shade)


def _check_size(size: tuple[int, int], path: Path) -> None:
    if min(size) < SMALLEST or max(size) > LARGEST:
        raise UserError(
            f"expected images of {SMALLEST} to {LARGEST} pixels a side, got {str(path)!r} of {size[0]}x{size[1]}: "
            "remove it or resize it"
        )


def _shrink(image: Image.Image, enough: int) -> Image.Image:
    """Divide a huge image by a whole factor, as long as it stays ``enough`` pixels a side: copies of it are small."""
    factor = max(image.size) // max(enough, 1024)
    if factor < 2 or image.mode not in ("L", "LA", "RGB", "RGBA", "CMYK"):
        return image
    orientation = image.getexif().get(ExifTags.Base.Orientation, 1)
    small = image.reduce(factor)
    small.getexif()[ExifTags.Base.Orientation] = orientation
    return small


def _on_contrast(cut_out: Image.Image, path: Path | str) -> Image.Image:
    """Transparent pixels become white under dark strokes, else black."""
    alpha = np.asarray(cut_out.getchannel("A")).astype(np.float32)
    grey = np.asarray(cut_out.convert("RGB").convert("L"))
    return _on(cut_out, 255 if (alpha * grey).sum() < 127.5 * alpha.sum() else 0)


def _on_white_or_black(cut_out: Image.Image, path: Path | str) -> Image.Image:
    """Transparent pixels become white where what is drawn would vanish on black, else black."""
    flat = _on(cut_out, 0)
    return _on(cut_out, 255) if _vanishes(cut_out, flat) else flat


def _on_black(cut_out: Image.Image, path: Path | str) -> Image.Image:
    """Transparent pixels become black."""
    flat = _on(cut_out, 0)
    if _vanishes(cut_out, flat):
        raise UserError(
            f"expected an image that can be seen on black, which is what transparent pixels become, got {str(path)!r}, "
            "nearly black on transparent: put it on a white background or invert it"
        )
    return flat


def _shade(cut_out: Image.Image, opaque: Image.Image) -> str:
    """Return what the most transparent pixels became; nothing where all are opaque."""
    alpha = np.asarray(cut_out.getchannel("A"))
    if alpha.min() == FULL_BYTES:
        return ""
    return "black" if np.array_equal(np.asarray(opaque), np.asarray(_on(cut_out, 0))) else "white"


def _on(cut_out: Image.Image, shade: int) -> Image.Image:
    ground = Image.new("RGBA", cut_out.size, (shade, shade, shade, 255))
    return Image.alpha_composite(ground, cut_out).convert("RGB")


def _vanishes(cut_out: Image.Image, on_black: Image.Image) -> bool:
    """Return whether something is drawn on transparent that is nearly black."""
    alpha = np.asarray(cut_out.getchannel("A"))
    return bool(alpha.min() < 255 and alpha.max() > 0 and np.asarray(on_black).max() < _DARK)


def _fit(image: Image.Image, image_size: int) -> UInt8[Tensor, "3 S S"]:
    """Scale to fit the square and centre."""
    scale = image_size / max(image.size)
    columns, rows = (max(1, round(side * scale)) for side in image.size)
    resized = np.asarray(image.resize((columns, rows), Image.Resampling.BILINEAR))
    square = np.empty((image_size, image_size, 3), np.uint8)
    square[:] = _border_colour(resized)
    top, left = (image_size - rows) // 2, (image_size - columns) // 2
    square[top : top + rows, left : left + columns] = resized
    return torch.from_numpy(square).permute(2, 0, 1).contiguous()


def _border_colour(pixels: np.ndarray) -> np.ndarray:
    """Return the median, channel by channel, of the outermost pixels of [rows, columns, 3]."""
    border = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    return np.median(border, axis=0).astype(np.uint8)
