"""A tree as a drawing: views in a row, thumbnails at nodes, lines to each child."""

from collections.abc import Callable

import pytest
import torch
from matplotlib.colors import to_rgb

from rnp_pyro.figures import tree_drawing
from rnp_pyro.figures.colour import part_colour
from rnp_pyro.figures.printing import on_paper
from rnp_pyro.part_tree.edit import truncate, unfold_value
from rnp_pyro.part_tree.value import TreeValue
from rnp_pyro.tree import Tree

MakeTree = Callable[..., Tree]


@pytest.fixture
def value(make_tree: MakeTree) -> TreeValue:
    with torch.no_grad():
        return unfold_value(make_tree(num_steps=(2, 3)), torch.randn(6))


@pytest.fixture
def image() -> torch.Tensor:
    return torch.rand(1, 12, 12)


def test_views_then_nodes(value: TreeValue, image: torch.Tensor, pictures):
    figure = tree_drawing(image, value)
    shown = pictures(figure)
    # Image, reconstruction, parts, two boxes; root, two parts, six sub-parts.
    assert len(shown) == 5 + 1 + 2 + 6
    assert (shown[0][0] == on_paper(image)).all()
    assert (shown[1][0] == on_paper(value.fold())).all()
    assert (shown[2][0] == shown[5][0]).all(), "the root's thumbnail is the parts in colour"
    names = [text.get_text() for text in figure.axes[0].texts]
    assert names == ["image", "reconstruction", "parts", "part 1", "part 2"]


def test_a_line_to_every_child_in_its_colour(value: TreeValue, image: torch.Tensor):
    lines = tree_drawing(image, value).axes[0].lines
    colours = [to_rgb(line.get_color()) for line in lines]
    assert colours == [part_colour(step) for step in [0, 1, 0, 1, 2, 0, 1, 2]]
    starts = [(line.get_xdata()[0], line.get_ydata()[0]) for line in lines]
    assert len(set(starts[:2])) == 1
    assert len(set(starts[2:5])) == len(set(starts[5:])) == 1
    assert all(line.get_ydata()[1] > line.get_ydata()[0] for line in lines)


def test_a_picture_is_shown_as_it_is_and_its_ink_bright(value: TreeValue, image: torch.Tensor, pictures):
    picture = torch.randint(0, 256, (3, 30, 40), dtype=torch.uint8)
    figure = tree_drawing(image, value, picture)
    shown = pictures(figure)
    assert (shown[0][0] == picture.movedim(0, -1).numpy()).all()
    assert (shown[1][0] == on_paper(image.expand(3, -1, -1))).all()
    assert figure.axes[0].texts[1].get_text() == "seen, ink bright"


@pytest.mark.thorough
def test_one_level_and_a_truncated_tree(make_tree: MakeTree, value: TreeValue, image: torch.Tensor, pictures):
    with torch.no_grad():
        flat = unfold_value(make_tree(num_steps=(3,)), torch.randn(6))
    assert len(pictures(tree_drawing(image, flat))) == 3 + 3 + 1 + 3
    assert len(pictures(tree_drawing(image, truncate(value, 1)))) == 3 + 2 + 1 + 2


@pytest.mark.thorough
def test_three_levels_and_colour(make_tree: MakeTree, pictures):
    with torch.no_grad():
        tree = make_tree(num_steps=(2, 2, 3), image_shape=(3, 12, 12))
        value = unfold_value(tree, torch.randn(6))
    shown = pictures(tree_drawing(torch.rand(3, 12, 12), value))
    assert len(shown) == 2 + 2 + 1 + 2 + 4 + 12


def test_everything_stays_on_the_sheet(value: TreeValue, image: torch.Tensor, printed):
    figure = tree_drawing(image, value, torch.zeros(3, 30, 90, dtype=torch.uint8))
    page = printed(figure)
    assert (page[0] == 255).all()
    assert (page[-1] == 255).all()
    assert (page[:, [0, -1]] == 255).all()
    for text in figure.axes[0].texts:
        box = text.get_window_extent()
        assert box.x0 >= 0
        assert box.x1 <= page.shape[1]
