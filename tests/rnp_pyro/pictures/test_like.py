"""A user's own picture as the data set's pictures are."""

import numpy as np
import pytest
from PIL import Image

from rnp_pyro.data.image_data import Appearance
from rnp_pyro.pictures.like import read_like


def glyph() -> np.ndarray:
    pixels = np.zeros((28, 28), np.uint8)
    pixels[4:24, 8:12] = 255
    pixels[4:8, 8:20] = 255
    return pixels


def saved(path, pixels: np.ndarray):
    Image.fromarray(pixels).save(path / "a.png")
    return path / "a.png"


def test_as_it_is(tmp_path):
    like = read_like(saved(tmp_path, glyph()), 28, 1, Appearance())
    assert like.pixels[0].numpy().tolist() == glyph().tolist()
    assert like.note == "scaled to fit 28x28 pixels, otherwise as it is"
    assert like.shown.shape == (3, 28, 28)


def test_inverted_as_the_data_were(tmp_path):
    like = read_like(saved(tmp_path, 255 - glyph()), 28, 1, Appearance(inverted=True))
    assert like.pixels[0].numpy().tolist() == glyph().tolist()
    assert "dark and bright exchanged" in like.note
    # A picture that shows bright ink on black already is left alone, and so is all with as_is.
    assert (
        read_like(saved(tmp_path, glyph()), 28, 1, Appearance(inverted=True)).pixels[0].numpy().tolist()
        == glyph().tolist()
    )
    as_is = read_like(saved(tmp_path, 255 - glyph()), 28, 1, Appearance(inverted=True), as_is=True)
    assert as_is.pixels[0].numpy().tolist() == (255 - glyph()).tolist()


@pytest.mark.parametrize(("pixels", "white"), [(glyph() // 255, 1.0), (glyph().astype(np.uint16) * 16, 4080.0)])
def test_white_as_in_the_data(tmp_path, pixels, white):
    like = read_like(saved(tmp_path, pixels), 28, 1, Appearance(white=white))
    assert like.pixels[0].numpy().tolist() == glyph().tolist()
    assert f"{white:g} taken as white" in like.note
    assert read_like(saved(tmp_path, glyph()), 28, 1, Appearance(white=1.0)).pixels.max() == 255


def test_colour(tmp_path):
    path = saved(tmp_path, np.dstack([255 - glyph(), 255 - glyph() // 2, 255 - 0 * glyph()]))
    like = read_like(path, 28, 3, Appearance(inverted=True))
    assert like.pixels.permute(1, 2, 0).numpy().tolist() == np.dstack([glyph(), glyph() // 2, 0 * glyph()]).tolist()


def test_digits_are_read_as_digits(tmp_path):
    path = saved(tmp_path, 255 - np.pad(glyph(), 40))
    like = read_like(path, 28, 1, Appearance(digits=True))
    assert "dark ink on a bright ground" in like.note
    assert like.pixels.float().mean() > 20
    inverted = read_like(path, 28, 1, Appearance(digits=True, inverted=True))
    assert inverted.pixels.equal(255 - like.pixels)


@pytest.mark.parametrize("light", [1.0, 0.6, 0.35])
def test_dark_ink_on_paper_for_bright_ink_on_black(tmp_path, light):
    shade = np.linspace(0.7, 0.9, 28)[:, None] * light
    path = saved(tmp_path, (shade * (255 - 0.8 * glyph())).astype(np.uint8))
    like = read_like(path, 28, 1, Appearance(), on_black=True)
    assert np.abs(like.pixels[0].numpy().astype(int) - glyph()).max() <= 40
    assert like.pixels[0].numpy()[glyph() == 0].max() == 0
    assert like.note.endswith("dark ink on a bright ground made bright ink on black (--as_is true leaves it)")
    inverted = read_like(path, 28, 1, Appearance(inverted=True), on_black=True)
    assert inverted.pixels.equal(like.pixels)
    assert "otherwise as it is" in read_like(path, 28, 1, Appearance(), as_is=True, on_black=True).note
    assert "otherwise as it is" in read_like(path, 28, 3, Appearance(), on_black=True).note
    own = read_like(saved(tmp_path, glyph()), 28, 1, Appearance(), on_black=True)
    assert own.pixels[0].numpy().tolist() == glyph().tolist(), "bright ink on black stays"
