"""The posterior predictive check: images right side up, and statistics that tell images apart."""

import numpy as np
import pytest
import torch

from rnp_pyro.figures import posterior_predictive
from rnp_pyro.figures.predictive_check import ink, outline


@pytest.fixture
def observed(glyph: torch.Tensor) -> np.ndarray:
    return torch.stack([glyph, glyph.flip(-1), 1 - glyph]).numpy()


def test_statistics():
    board = (np.indices((4, 6)).sum(0)[None, None] % 2).repeat(3, 0)
    assert ink(board).tolist() == [0.5, 0.5, 0.5]
    assert outline(board).tolist() == [1, 1, 1]
    assert outline(board.astype(np.uint8)).tolist() == [1, 1, 1]
    half = np.zeros((1, 1, 4, 6))
    half[..., :3] = 1
    assert ink(half) == pytest.approx(np.array([0.5]))
    assert outline(half) == pytest.approx(np.array([0.1]))


def test_draws_that_are_the_image_are_all_inside(observed: np.ndarray):
    figure = posterior_predictive(observed, observed[None].repeat(4, 0))
    for axes in figure.axes[1:]:
        assert axes.get_title(loc="left") == "100% of 3 images inside the 90 % interval"


def test_draws_that_differ_are_outside(observed: np.ndarray):
    figure = posterior_predictive(observed, np.zeros_like(observed)[None].repeat(4, 0))
    assert [axes.get_title(loc="left")[:2] for axes in figure.axes[1:]] == ["0%", "0%"]


@pytest.mark.thorough
def test_images_stand_right_side_up_beside_their_mean_and_draws(observed: np.ndarray, printed):
    drawn = np.stack([observed, 1 - observed])
    figure = posterior_predictive(observed, drawn)
    (image,) = figure.axes[0].images
    sheet = np.asarray(image.get_array())
    height, width = 6, 5
    for row in range(3):
        line = sheet[row * (height + 1) : row * (height + 1) + height]
        cells = [line[:, column * (width + 1) : column * (width + 1) + width, 0] for column in range(4)]
        ink_on_paper = 255 * (1 - observed[row, 0])
        assert (cells[0] == ink_on_paper).all()
        assert (np.abs(cells[1].astype(int) - 127) <= 1).all()
        assert (cells[2] == ink_on_paper).all()
        assert (cells[3] == 255 - ink_on_paper).all()
    assert printed(figure).std() > 0


@pytest.mark.thorough
def test_colour_and_bytes(printed):
    images = np.random.default_rng(0).integers(0, 2, (2, 3, 6, 5)).astype(np.uint8)
    assert printed(posterior_predictive(images, images[None].repeat(3, 0))).std() > 0
