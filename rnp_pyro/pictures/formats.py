"""Which files are taken for images, and what is taken out of them before they are decoded."""

import struct

FORMATS = ("PNG", "JPEG", "TIFF", "BMP", "WEBP", "GIF", "PPM")
"""As Pillow calls them."""

ENDINGS = (
    ".png",
    ".jpg",
    ".jpeg",
    ".jpe",
    ".jfif",
    ".tif",
    ".tiff",
    ".bmp",
    ".webp",
    ".gif",
    ".ppm",
    ".pgm",
    ".pbm",
    ".pnm",
)
"""Of the files that are taken for images, in small letters."""

SMALLEST, LARGEST = 4, 10_000
"""Sides of an image that is taken seriously, in pixels."""

KINDS = "PNG, JPEG, TIFF, BMP, WebP, GIF or PPM"
"""The formats, as messages name them."""

_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_DROPPED = {b"iCCP", b"tEXt", b"zTXt", b"iTXt"}


def without_texts(content: bytes) -> bytes:
    """Return a PNG file without its texts and colour profile, any other file as it is.

    Neither changes a pixel here, and Pillow refuses files in which they are large. From the first byte on that is not
    a chunk of PNG's, the file is kept as it is, for the decoder to judge.
    """
    if not content.startswith(_SIGNATURE):
        return content
    kept, at = [_SIGNATURE], len(_SIGNATURE)
    while at + 12 <= len(content):
        length, kind = struct.unpack_from(">I4s", content, at)
        end = at + 12 + length
        if end > len(content):
            break
        if kind not in _DROPPED:
            kept.append(content[at:end])
        at = end
    return b"".join([*kept, content[at:]])
