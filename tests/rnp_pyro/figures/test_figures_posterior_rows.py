"""A guide's moments against a reference's."""

import numpy as np
import pytest
import torch
from matplotlib.colors import to_rgb

from rnp_pyro.figures import Moments, posterior_intervals
from rnp_pyro.figures.posterior_rows import GUIDE, REFERENCE, SHIFT
from rnp_pyro.figures.printing import on_paper


@pytest.fixture
def reference() -> Moments:
    return Moments(torch.randn(3, 5), torch.tensor([[0.9, 0.1, 0.5, 0.3, 0.7]]).repeat(3, 1))


@pytest.fixture
def guide() -> Moments:
    return Moments(torch.randn(3, 5), torch.rand(3, 5) + 0.1)


def draw(glyph: torch.Tensor, reference: Moments, guide: Moments):
    images = torch.stack([glyph, glyph.flip(-1), glyph.flip(-2)])
    return images, posterior_intervals(images, reference, guide, ["one", "two", "three"])


@pytest.mark.thorough
def test_intervals_are_moments_in_the_order_of_the_references_scale(
    glyph: torch.Tensor, reference: Moments, guide: Moments, printed
):
    _, figure = draw(glyph, reference, guide)
    printed(figure)
    order = [1, 3, 2, 4, 0]
    for row in range(3):
        axes = figure.axes[2 * row + 1]
        assert [label.get_text() for label in axes.get_xticklabels()] == list("13240")
        assert axes.get_title(loc="left") == ["one", "two", "three"][row]
        for bars, moments, colour, shift in zip(
            axes.containers, (reference, guide), (REFERENCE, GUIDE), (-SHIFT, SHIFT), strict=True
        ):
            points, _, (segments,) = bars
            assert np.allclose(points.get_xdata(), np.arange(5) + shift)
            assert np.allclose(points.get_ydata(), moments.loc[row, order])
            half = [np.ptp(segment[:, 1]) / 2 for segment in segments.get_segments()]
            assert np.allclose(half, moments.scale[row, order])
            assert np.allclose(to_rgb(points.get_color()), colour)


@pytest.mark.thorough
def test_each_image_stands_beside_its_row(glyph: torch.Tensor, reference: Moments, guide: Moments, printed):
    images, figure = draw(glyph, reference, guide)
    printed(figure)
    for row in range(3):
        (picture,) = figure.axes[2 * row].images
        assert (picture.get_array() == on_paper(images[row])).all()
        assert picture.origin == "upper"
        left, right = (figure.axes[2 * row + column].get_position() for column in (0, 1))
        assert left.x1 <= right.x0
        assert left.y0 < (right.y0 + right.y1) / 2 < left.y1


@pytest.mark.thorough
def test_text_does_not_leave_the_figure(glyph: torch.Tensor, printed):
    moments = Moments(torch.randn(1, 32), torch.rand(1, 32))
    caption = "test image 1234: r-hat 1.123, approximation gap 12.34 ± 0.12, amortization gap 12.34 ± 0.12 nats"
    figure = posterior_intervals(glyph[None], moments, moments, [caption])
    printed(figure)
    width, height = figure.canvas.get_width_height()
    texts = [figure.axes[1].title, figure.axes[1]._left_title, figure.axes[1].xaxis.label, *figure.legends[0].texts]
    for text in texts:
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= width
        assert box.y0 >= 0
        assert box.y1 <= height
    assert [text.get_text() for text in figure.legends[0].texts] == ["prior", "NUTS", "guide"]


def test_no_image_is_an_error():
    empty = Moments(torch.zeros(0, 3), torch.zeros(0, 3))
    with pytest.raises(ValueError, match="at least one image"):
        posterior_intervals(torch.zeros(0, 1, 4, 4), empty, empty, [])
