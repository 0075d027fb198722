"""Rows of images with a line above each."""

import numpy as np
import pytest

from rnp_pyro.figures import Panel, Row, panels

GLYPH = np.arange(4 * 5 * 3, dtype=np.uint8).reshape(4, 5, 3)


def test_rows_are_shown_in_order(pictures):
    rows = [Row([Panel("a", GLYPH), Panel("b", GLYPH[::-1])], "both"), Row([Panel("c", GLYPH[:, ::-1])])]
    figure = panels(rows)
    shown = [picture for picture, _ in pictures(figure)]
    assert all((one == other).all() for one, other in zip(shown, (GLYPH, GLYPH[::-1], GLYPH[:, ::-1]), strict=True))
    assert [text.get_text() for text in figure.axes[0].texts] == ["both", "a", "b", "c"]
    tops = [image.get_extent()[3] for image in figure.axes[0].images]
    assert tops[0] == tops[1] < tops[2]


def test_titles_and_edges_fit(printed):
    figure = panels([Row([Panel("x", GLYPH, frame=(1.0, 0.0, 0.0))], "a title that is longer than one image is wide")])
    page = printed(figure)
    assert (page[:, [0, -1]] == 255).all()
    assert (page[[0, -1]] == 255).all()
    assert all(text.get_window_extent().x1 <= page.shape[1] for text in figure.axes[0].texts)


def test_nothing_to_show_is_an_error():
    with pytest.raises(ValueError, match="at least one image"):
        panels([])
    with pytest.raises(ValueError, match="at least one image"):
        panels([Row([])])
