"""Single image files: what is drawn into the square, and what is refused."""

import contextlib
import io
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from rnp_pyro.errors import UserError
from rnp_pyro.pictures.picture import read_picture


def glyph(rows: int = 20, columns: int = 20) -> np.ndarray:
    """A grey F on black: no symmetry."""
    pixels = np.zeros((rows, columns), np.uint8)
    pixels[2:18, 4:7] = 250
    pixels[2:5, 4:16] = 200
    pixels[8:11, 4:12] = 150
    return pixels


def read(path: Path, image_size: int = 20) -> np.ndarray:
    """[rows, columns, RGB]."""
    return read_picture(path, image_size).pixels.permute(1, 2, 0).numpy()


def refused(path: Path) -> str:
    with pytest.raises(UserError) as caught:
        read_picture(path, 20)
    message = str(caught.value)
    assert "\n" not in message
    assert path.name in message
    assert "expected" in message
    assert "got" in message
    return message


def save(path: Path, pixels: np.ndarray, **options) -> Path:
    Image.fromarray(pixels).save(path, **options)
    return path


def test_grey_png_is_exact(tmp_path):
    pixels = read(save(tmp_path / "a.png", glyph()))
    assert (pixels == glyph()[..., None]).all()


def test_colour_png_is_exact(tmp_path):
    colour = np.stack([glyph(), glyph().T, glyph()[::-1]], -1)
    assert (read(save(tmp_path / "a.PNG", colour)) == colour).all()


def test_palette_and_bilevel(tmp_path):
    Image.fromarray(glyph()).convert("P").save(tmp_path / "p.png")
    assert (read(tmp_path / "p.png") == glyph()[..., None]).all()
    Image.fromarray(glyph()).convert("1", dither=Image.Dither.NONE).save(tmp_path / "1.png")
    assert (read(tmp_path / "1.png")[..., 0] == 255 * (glyph() > 127)).all()


def test_jpeg_is_close(tmp_path):
    for mode in ("L", "RGB", "CMYK"):
        Image.fromarray(glyph()).convert(mode).save(tmp_path / "a.jpg", quality=95)
        assert abs(read(tmp_path / "a.jpg").astype(int) - glyph()[..., None]).max() < 40


def test_sixteen_bits_are_scaled(tmp_path):
    wide = glyph().astype(np.uint16) * 257
    assert (read(save(tmp_path / "a.png", wide)) == glyph()[..., None]).all()


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("depth", [1, 257])
def test_exif_orientation(tmp_path, orientation, depth):
    upright = glyph(20, 16).astype(np.uint8 if depth == 1 else np.uint16) * depth
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.T,
        6: np.rot90(upright),  # the stored top row is the right side
        7: upright.T[::-1, ::-1],
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = save(tmp_path / "a.png", np.ascontiguousarray(stored), exif=exif)
    assert read_picture(path, 20).size == (16, 20)
    assert (read(path)[:, 2:18, 0] == glyph(20, 16)).all()


def test_proportions_centre_and_border(tmp_path):
    wide = np.full((10, 40, 3), (200, 100, 50), np.uint8)
    wide[3:7, 10:30] = 0
    picture = read_picture(save(tmp_path / "a.png", wide), 20)
    assert picture.size == (40, 10)
    pixels = picture.pixels.permute(1, 2, 0).numpy()
    assert (pixels[:7] == (200, 100, 50)).all()
    assert (pixels[-7:] == (200, 100, 50)).all()
    assert (pixels[9, 7:13] == 0).all()


def test_small_images_grow(tmp_path):
    small = np.zeros((4, 4), np.uint8)
    small[:2, :2] = 255
    pixels = read(save(tmp_path / "a.png", small))
    assert (pixels[:8, :8] == 255).all()
    assert (pixels[12:] == 0).all()


def test_large_jpeg_is_antialiased(tmp_path):
    stripes = np.zeros((400, 400), np.uint8)
    stripes[:, ::2] = 200
    pixels = read(save(tmp_path / "a.jpg", stripes, quality=95))
    assert abs(pixels.astype(int) - 100).max() < 6
    assert read_picture(tmp_path / "a.jpg", 20).size == (400, 400)


def test_transparent_becomes_black(tmp_path):
    pixels = np.zeros((20, 20, 4), np.uint8)
    pixels[...] = (200, 100, 50, 0)
    pixels[5:10, 5:10, 3] = 255
    pixels[10:12, 5:10, 3] = 128
    shown = read(save(tmp_path / "a.png", pixels))
    assert (shown[:5] == 0).all()
    assert (shown[5:10, 5:10] == (200, 100, 50)).all()
    assert abs(shown[10, 7].astype(int) - (100, 50, 25)).max() <= 1


def test_transparency_of_palettes_and_grey(tmp_path):
    Image.fromarray(glyph()).save(tmp_path / "l.png", transparency=250)
    assert (read(tmp_path / "l.png")[..., 0] == np.where(glyph() == 250, 0, glyph())).all()
    Image.fromarray(glyph()).convert("P").save(tmp_path / "p.png", transparency=bytes([255] * 200 + [0] * 56))
    assert (read(tmp_path / "p.png")[..., 0] == np.where(glyph() >= 200, 0, glyph())).all()


def test_opaque_alpha_is_nothing(tmp_path):
    opaque = np.dstack([glyph()] * 3 + [np.full((20, 20), 255, np.uint8)])
    assert (read(save(tmp_path / "a.png", opaque)) == glyph()[..., None]).all()
    black = np.zeros((20, 20, 4), np.uint8)
    black[..., 3] = 255
    assert (read(save(tmp_path / "b.png", black)) == 0).all()


def test_black_on_transparent_is_refused(tmp_path):
    ink = np.dstack([np.zeros((20, 20, 3), np.uint8), glyph()])
    assert "nearly black on transparent" in refused(save(tmp_path / "a.png", ink))


@pytest.mark.parametrize("name", ["a.png", "a.jpg"])
def test_empty_file(tmp_path, name):
    (tmp_path / name).touch()
    assert "0 bytes" in refused(tmp_path / name)


@pytest.mark.parametrize("content", [b"hello", b"\n", b"GIF89a" + bytes(50), b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff"])
def test_other_content(tmp_path, content):
    (tmp_path / "a.png").write_bytes(content)
    refused(tmp_path / "a.png")


def test_sound_files_of_other_formats(tmp_path):
    Image.fromarray(glyph()).save(tmp_path / "a.tga")
    (tmp_path / "a.tga").rename(tmp_path / "a.png")
    assert "whose content is none of these" in refused(tmp_path / "a.png")


def test_content_counts_not_the_suffix(tmp_path):
    Image.fromarray(glyph()).save(tmp_path / "a.png")
    (tmp_path / "a.png").rename(tmp_path / "a.jpg")
    assert (read(tmp_path / "a.jpg") == glyph()[..., None]).all()


def encoded(kind: str) -> bytes:
    rng = np.random.default_rng(0)
    out = io.BytesIO()
    Image.fromarray(rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)).save(out, kind)
    return out.getvalue()


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_truncated(tmp_path, kind, share):
    content = encoded(kind)
    path = tmp_path / "cut.png"
    path.write_bytes(content[: int(share * len(content))])
    refused(path)


@pytest.mark.thorough
@settings(deadline=None, max_examples=150)
@given(st.sampled_from(["PNG", "JPEG"]), st.data())
def test_damaged_bytes_are_refused_or_harmless(tmp_path_factory, kind, data):
    content = bytearray(encoded(kind))
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, min(len(content) - 1, 300)))] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("bad") / "bad.png"
    path.write_bytes(content)
    with contextlib.suppress(UserError):
        read_picture(path, 8)


def png_header(columns: int, rows: int) -> bytes:
    """A PNG that claims to be large."""
    header = struct.pack(">IIBBBBB", columns, rows, 8, 0, 0, 0, 0)
    chunks = [(b"IHDR", header), (b"IDAT", zlib.compress(bytes(100))), (b"IEND", b"")]
    body = [
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(body)


@pytest.mark.parametrize("size", [(9900, 9900), (60000, 60000)])
def test_decompression_bombs(tmp_path, size):
    (tmp_path / "bomb.png").write_bytes(png_header(*size))
    assert "unpack to far more" in refused(tmp_path / "bomb.png")


@pytest.mark.parametrize("size", [(1, 1), (3, 50), (50, 3), (10001, 50)])
def test_absurd_sizes(tmp_path, size):
    (tmp_path / "odd.png").write_bytes(png_header(*size))
    assert f"of {size[0]}x{size[1]}" in refused(tmp_path / "odd.png")


def test_broken_link_and_folder(tmp_path):
    (tmp_path / "link.png").symlink_to(tmp_path / "nowhere.png")
    assert "broken link" in refused(tmp_path / "link.png")


def test_warning_filters_are_left_alone(tmp_path):
    before = list(warnings.filters)
    read(save(tmp_path / "a.png", glyph()))
    assert warnings.filters == before


def test_line_breaks_in_names_stay_in_one_line(tmp_path):
    path = tmp_path / "a\nb.png"
    path.touch()
    with pytest.raises(UserError) as caught:
        read_picture(path, 20)
    assert "\n" not in str(caught.value)
