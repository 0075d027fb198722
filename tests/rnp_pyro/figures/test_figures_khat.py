"""The k-hat plot: every image is there, on its side of the threshold."""

import numpy as np
import pytest

from rnp_pyro.figures import khat

VALUES = np.array([0.1, 0.7, 0.71, 2.0, np.inf, np.nan, -0.2])


def points(axes) -> set[tuple[float, float]]:
    return {tuple(map(float, offset)) for marks in axes.collections for offset in marks.get_offsets()}


@pytest.mark.thorough
def test_every_image_is_a_point_and_counted(printed):
    figure = khat(VALUES, num_particles=50)
    left, right = figure.axes
    top = left.get_ylim()[1]
    assert top > 2
    assert points(left) == {(0, 0.1), (1, 0.7), (2, 0.71), (3, 2.0), (4, top), (6, -0.2)}
    assert left.get_title(loc="left") == "3 of 6 images above 0.7; 1 without a k-hat; 50 particles"
    assert left.get_ylim()[0] <= -0.2
    assert sum(bar.get_width() for bars in right.containers for bar in bars) == pytest.approx(5)
    assert printed(figure).std() > 0


def test_colours_change_at_the_threshold():
    left, right = khat(VALUES, num_particles=50).axes
    good, bad, _ = (marks.get_facecolor()[0].tolist() for marks in left.collections)
    assert good != bad
    edges = {round(bar.get_y(), 6) for bars in right.containers for bar in bars}
    assert 0.7 in edges


@pytest.mark.thorough
@pytest.mark.parametrize("values", [np.array([0.5]), np.full(3, np.nan), np.full(3, np.inf), np.zeros(0)])
def test_few_values(printed, values: np.ndarray):
    assert printed(khat(values, num_particles=1)).std() > 0
