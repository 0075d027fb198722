"""An asymmetric glyph, and figures as arrays of printed pixels."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

Printed = Callable[[Figure], np.ndarray]
Pictures = Callable[[Figure], list[tuple[np.ndarray, np.ndarray]]]


@pytest.fixture
def glyph() -> torch.Tensor:
    """An F, grey, [1, 6, 5]: no two of its flips and turns are equal."""
    rows = ("     ", " ### ", " #   ", " ##  ", " #   ", "     ")
    return torch.tensor([[[float(mark == "#") for mark in row] for row in rows]])


@pytest.fixture
def printed() -> Printed:
    """Print a figure: [rows, columns, 3], row 0 on top."""

    def pixels(figure: Figure) -> np.ndarray:
        canvas = FigureCanvasAgg(figure)
        canvas.draw()
        return np.asarray(canvas.buffer_rgba())[..., :3].copy()

    return pixels


@pytest.fixture
def pictures(printed: Printed) -> Pictures:
    """Cut a sheet's pictures out of its print, in the order of their drawing.

    Each comes with its pixels, [H, W, 3], and its surroundings: itself and the frame, one printed pixel more.
    """

    def cut(figure: Figure) -> list[tuple[np.ndarray, np.ndarray]]:
        print_ = printed(figure)
        return [_cut(print_, image) for image in figure.axes[0].images]

    return cut


def _cut(print_: np.ndarray, image: AxesImage) -> tuple[np.ndarray, np.ndarray]:
    left, right, bottom, top = (round(edge) for edge in image.get_extent())
    rows, columns = image.get_size()
    step_down, step_right = (bottom - top) / rows, (right - left) / columns
    lines = [int(top + (row + 0.5) * step_down) for row in range(rows)]
    places = [int(left + (column + 0.5) * step_right) for column in range(columns)]
    return print_[lines][:, places], print_[top - 1 : bottom + 1, left - 1 : right + 1]
