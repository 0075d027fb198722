"""Images above their reconstructions."""

import pytest
import torch

from rnp_pyro.figures import reconstructions
from rnp_pyro.figures.printing import on_paper


def test_each_reconstruction_is_below_its_image(glyph: torch.Tensor, pictures):
    images = torch.stack([glyph, glyph.flip(-1), glyph.flip(-2)])
    figure = reconstructions(images, 0.5 * images)
    shown = pictures(figure)
    boxes = [image.get_extent() for image in figure.axes[0].images]
    for index in range(3):
        above, below = boxes[2 * index], boxes[2 * index + 1]
        assert above[:2] == below[:2]
        assert above[2] < below[3]
        assert (shown[2 * index][0] == on_paper(images[index])).all()
        assert (shown[2 * index + 1][0] == on_paper(0.5 * images[index])).all()


@pytest.mark.thorough
@pytest.mark.parametrize(("num_images", "num_rows"), [(1, 1), (16, 1), (17, 2), (32, 2), (40, 2)])
def test_at_most_two_rows_of_sixteen(num_images: int, num_rows: int):
    images = torch.zeros(num_images, 1, 4, 6)
    figure = reconstructions(images, images)
    tops = {image.get_extent()[3] for image in figure.axes[0].images}
    assert len(figure.axes[0].images) == 2 * min(num_images, 32)
    assert len(tops) == 2 * num_rows
    assert [text.get_text() for text in figure.axes[0].texts] == ["image", "reconstruction"] * num_rows


def test_labels_fit_in_the_margin(printed):
    images = torch.zeros(1, 1, 28, 28)
    figure = reconstructions(images, images)
    printed(figure)
    left = figure.axes[0].images[0].get_extent()[0]
    for text in figure.axes[0].texts:
        extent = text.get_window_extent()
        assert extent.x0 >= 0
        assert extent.x1 < left


def test_nothing_to_show_is_an_error():
    with pytest.raises(ValueError, match="at least one image"):
        reconstructions(torch.zeros(0, 1, 4, 4), torch.zeros(0, 1, 4, 4))
