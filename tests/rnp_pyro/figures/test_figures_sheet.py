"""Images keep their orientation, proportions and square pixels on the sheet."""

import numpy as np
import pytest
import torch

from rnp_pyro.figures.printing import on_paper
from rnp_pyro.figures.sheet import Box, enlarged, fill, fitted, place, sheet


def test_the_print_is_the_image_enlarged(glyph: torch.Tensor, printed):
    figure, axes = sheet(80, 70)
    pixels = on_paper(glyph)
    place(axes, pixels, Box(10, 20, 25, 30), frame=(1.0, 0.0, 0.0), border=2)
    page = printed(figure)
    assert page.shape == (70, 80, 3)
    assert (page[20:50, 10:35] == pixels.repeat(5, axis=0).repeat(5, axis=1)).all()
    page[20:50, 10:35] = (255, 0, 0)
    assert (page[18:52, 8:37] == (255, 0, 0)).all()
    page[18:52, 8:37] = 255
    assert (page == 255).all()


def test_flipped_glyphs_print_differently(glyph: torch.Tensor, printed):
    prints = []
    for turned in (glyph, glyph.flip(-1), glyph.flip(-2), glyph.flip(-1, -2)):
        figure, axes = sheet(10, 12)
        place(axes, on_paper(turned), Box(0, 0, 10, 12))
        prints.append(printed(figure).tobytes())
    assert len(set(prints)) == 4


def test_fill_covers_whole_pixels(printed):
    figure, axes = sheet(9, 7)
    fill(axes, Box(2, 1, 3, 4), (0.0, 0.0, 1.0))
    expected = np.full((7, 9, 3), 255)
    expected[1:5, 2:5] = (0, 0, 255)
    assert (printed(figure) == expected).all()


@pytest.mark.parametrize(
    ("rows", "columns", "expected"), [(28, 28, (112, 112)), (16, 32, (128, 64)), (300, 200, (200, 300))]
)
def test_enlarged_by_a_whole_factor(rows: int, columns: int, expected: tuple[int, int]):
    assert enlarged(rows, columns, 112) == expected


def test_fitted_keeps_proportions_in_the_middle():
    assert fitted(16, 16, Box(5, 7, 32, 48)) == Box(5, 15, 32, 32)
    assert fitted(10, 20, Box(0, 0, 40, 40)) == Box(0, 10, 40, 20)
