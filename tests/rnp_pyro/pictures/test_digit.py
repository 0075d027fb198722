"""Digits that people draw and photograph come out as MNIST has them."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw, ImageFilter

from rnp_pyro.data import load_images
from rnp_pyro.errors import UserError
from rnp_pyro.pictures.digit import bounding_box, centre, keep_strokes, label, read_digit


@pytest.fixture(autouse=True)
def _float32():
    """Files are read in float32, as users' are."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    yield
    torch.set_default_dtype(before)


def seven(size: tuple[int, int], left: int, top: int, height: int, width: int) -> Image.Image:
    """A dark 7 on white, of columns and rows ``size``: no two of its flips and turns are equal."""
    image = Image.new("L", size, 255)
    points = [(left, top), (left + 0.6 * height, top), (left + 0.2 * height, top + height)]
    ImageDraw.Draw(image).line(points, fill=0, width=width, joint="curve")
    return image


def photograph(image: Image.Image, grain: float = 0.02) -> Image.Image:
    """Uneven light, yellowish paper, a soft lens and noise."""
    sharp = np.asarray(image.filter(ImageFilter.GaussianBlur(1.2))) / 255
    rows, columns = np.mgrid[: sharp.shape[0], : sharp.shape[1]]
    light = 0.5 + 0.35 * columns / sharp.shape[1] + 0.1 * rows / sharp.shape[0]
    seen = (0.1 + 0.8 * sharp[..., None] * [1, 0.97, 0.9]) * light[..., None]
    noisy = seen + np.random.default_rng(0).normal(0, grain, seen.shape)
    return Image.fromarray(np.uint8(255 * noisy.clip(0, 1)))


def read(path: Path) -> np.ndarray:
    return read_digit(path, 28).pixels[0].numpy() / 255


def check_seven(pixels: np.ndarray) -> None:
    """Upright, bright on black, 20 pixels tall, in the middle."""
    assert pixels.shape == (28, 28)
    assert pixels.max() > 0.99
    assert (pixels[[0, -1]] == 0).all()
    assert (pixels[:, [0, -1]] == 0).all()
    rows, columns = np.nonzero(pixels > 0.3)
    assert 19 <= rows.max() - rows.min() + 1 <= 20
    assert 10 <= columns.max() - columns.min() + 1 <= 16
    total = pixels.sum()
    assert abs((pixels.sum(1) * np.arange(28)).sum() / total - 13.5) < 1
    assert abs((pixels.sum(0) * np.arange(28)).sum() / total - 13.5) < 1
    bar = pixels[rows.min() + 1]
    assert (bar > 0.5).sum() >= 8, "the bar is on top"
    foot = np.nonzero(pixels[rows.max() - 2] > 0.3)[0]
    assert foot.max() < columns.max() - 3, "the stem leans to the left"


DRAWINGS = {
    "any size": seven((90, 120), 20, 30, 60, 6),
    "off centre": seven((400, 300), 260, 20, 90, 8),
    "large and thin": seven((2000, 1500), 1500, 900, 300, 8),
    "thick": seven((200, 200), 40, 30, 130, 22),
    "photograph": photograph(seven((1200, 900), 700, 120, 360, 14)),
    "grainy": photograph(seven((1200, 900), 100, 420, 300, 12), grain=0.06),
    "tight": photograph(seven((240, 340), 20, 15, 300, 26)),
    "bright on dark": Image.eval(seven((300, 300), 90, 60, 160, 14), lambda grey: 255 - grey),
    "pencil": photograph(Image.eval(seven((800, 600), 300, 150, 300, 9), lambda grey: 140 + grey * 115 // 255)),
}


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("name", DRAWINGS)
def test_a_seven_is_a_seven(tmp_path: Path, name: str):
    DRAWINGS[name].save(tmp_path / "a.png")
    check_seven(read(tmp_path / "a.png"))


@pytest.mark.thorough
def test_a_jpeg_and_sixteen_bits(tmp_path: Path):
    image = seven((400, 300), 150, 60, 160, 14)
    image.save(tmp_path / "a.jpg", quality=80)
    check_seven(read(tmp_path / "a.jpg"))
    Image.fromarray(np.asarray(image).astype(np.uint16) * 200).save(tmp_path / "b.png")
    check_seven(read(tmp_path / "b.png"))


@pytest.mark.thorough
@pytest.mark.parametrize("shade", [0, 255])
def test_strokes_on_transparent(tmp_path: Path, shade: int):
    strokes = np.full((300, 300, 4), shade, np.uint8)
    strokes[..., 3] = 255 - np.asarray(seven((300, 300), 90, 60, 160, 14))
    Image.fromarray(strokes).save(tmp_path / "a.png")
    check_seven(read(tmp_path / "a.png"))
    note = read_digit(tmp_path / "a.png", 28).note
    assert note.startswith("dark ink" if shade == 0 else "bright ink")


@pytest.mark.thorough
@pytest.mark.parametrize("size", [(400, 300), (3000, 2200)])
def test_a_turned_photograph_is_put_upright(tmp_path: Path, size: tuple[int, int]):
    """Large ones are made smaller first, which must not lose the orientation."""
    exif = Image.Exif()
    exif[0x0112] = 6
    scale = size[1] / 300
    upright = seven(size, *(round(scale * number) for number in (150, 60, 160, 14)))
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.jpg", exif=exif)
    check_seven(read(tmp_path / "a.jpg"))
    upright.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "a.png", exif=exif)
    check_seven(read(tmp_path / "a.png"))


@pytest.mark.thorough
def test_coloured_ink_on_coloured_paper(tmp_path: Path):
    ink = np.asarray(seven((400, 300), 150, 60, 160, 14))[..., None] / 255
    for colour in ((30, 50, 200), (200, 40, 40), (30, 140, 40)):
        pixels = ink * np.array([245, 240, 215]) + (1 - ink) * np.array(colour)
        Image.fromarray(np.uint8(pixels)).save(tmp_path / "a.png")
        check_seven(read(tmp_path / "a.png"))


@pytest.mark.thorough
def test_specks_and_the_table_around_the_paper_are_left_out(tmp_path: Path):
    scene = np.asarray(seven((1000, 1000), 420, 350, 260, 16)).copy()
    scene[700:706, 300:306] = 0
    scene[:150] = scene[900:] = 60
    scene[:, :180] = scene[:, 880:] = 60
    photograph(Image.fromarray(scene)).save(tmp_path / "a.png")
    check_seven(read(tmp_path / "a.png"))
    assert "specks and what touches the border left out" in read_digit(tmp_path / "a.png", 28).note


@pytest.mark.thorough
def test_the_note_says_what_was_done(tmp_path: Path):
    seven((400, 300), 150, 60, 160, 6).save(tmp_path / "a.png")
    note = read_digit(tmp_path / "a.png", 28).note
    assert note.startswith("dark ink on a bright ground, cut out ")
    assert note.endswith("of 400x300 pixels, strokes thickened, scaled and centred in 28x28")


@pytest.mark.thorough
def test_mnist_itself_stays_nearly_as_it_is(tmp_path: Path):
    """Thin strokes grow a little, and edges move by half a pixel: of the digits' own energy, a third."""
    changes = []
    for digit in load_images("mnist-sample").test[:40, 0].numpy():
        Image.fromarray(digit).save(tmp_path / "a.png")
        change = read(tmp_path / "a.png") - digit / 255
        changes.append((change**2).sum() / ((digit / 255) ** 2).sum())
    assert np.median(changes) < 0.4
    assert max(changes) < 1


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("grain", [0, 2, 8])
def test_an_even_image_has_no_digit(tmp_path: Path, grain: float):
    pixels = 180 + np.random.default_rng(0).normal(0, grain, (300, 300))
    Image.fromarray(np.uint8(pixels)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match=r"got an even image.*--as_is true"):
        read_digit(tmp_path / "a.png", 28)


@pytest.mark.parametrize("content", [b"", b"text", b"\x89PNG\r\n\x1a\n"])
def test_what_is_no_image(tmp_path: Path, content: bytes):
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(UserError, match="PNG, JPEG"):
        read_digit(tmp_path / "a.png", 28)


@pytest.mark.thorough
def test_sizes_that_are_refused(tmp_path: Path):
    Image.new("L", (1, 1)).save(tmp_path / "a.png")
    with pytest.raises(UserError, match="of 1x1"):
        read_digit(tmp_path / "a.png", 28)
    Image.new("1", (10_000, 10_000)).save(tmp_path / "b.png")
    with pytest.raises(UserError, match="at most 89 million in all"):
        read_digit(tmp_path / "b.png", 28)


# -- its parts


def test_connected_patches_are_numbered():
    mask = torch.tensor([[1, 0, 0, 1], [0, 1, 0, 1], [0, 0, 0, 0], [1, 1, 0, 1]], dtype=torch.bool)
    found = label(mask)
    assert found.max() == 4
    assert found[0, 0] == found[1, 1], "diagonal neighbours touch"
    assert len({int(found[0, 0]), int(found[0, 3]), int(found[3, 0]), int(found[3, 3])}) == 4
    assert ((found > 0) == mask).all()


def test_specks_are_dropped_and_strokes_kept():
    ink = torch.zeros(60, 60)
    ink[20:40, 25:30] = 1
    ink[50, 10] = 1
    kept, dropped = keep_strokes(ink)
    assert dropped
    assert kept[50, 10] == 0
    assert torch.equal(kept[20:40, 25:30], ink[20:40, 25:30])
    assert not keep_strokes(kept)[1]
    assert bounding_box(kept > 0.5) == (20, 40, 25, 30)


def test_the_centre_of_mass_is_put_in_the_middle():
    ink = torch.zeros(40, 20)
    ink[:20] = 1
    square = centre(ink, 28)
    rows = (square.sum(1) * torch.arange(28)).sum() / square.sum()
    assert abs(rows - 13.5) < 4.6, "as far as the box allows"
    assert square.count_nonzero(0).max() <= 12
    assert square.shape == (28, 28)
