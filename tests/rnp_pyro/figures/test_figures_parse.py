"""Parses: columns, colours and borders."""

import pytest
import torch
from matplotlib.colors import to_rgb

from rnp_pyro.figures import colourise, parse
from rnp_pyro.figures.colour import part_colour, tint
from rnp_pyro.figures.printing import on_paper


@pytest.fixture
def trees(glyph: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Two images, [2 1 6 5]; their four parts, [2 4 1 6 5]; each part's three sub-parts in a frame of 4 x 3."""
    images = torch.stack([glyph, glyph.flip(-1)])
    parts = torch.stack([images.roll(step, -2) for step in range(4)], dim=1)
    sub_parts = torch.rand(2, 4, 3, 1, 4, 3, generator=torch.Generator().manual_seed(1))
    return images, parts, sub_parts


def texts(figure) -> list[str]:
    return [text.get_text() for text in figure.axes[0].texts]


def is_bordered(picture, step: int) -> bool:
    """Whether the picture's surroundings, one printed pixel wide, have the step's colour."""
    _, surroundings = picture
    colour = [round(255 * channel) for channel in part_colour(step)]
    edges = (surroundings[0], surroundings[-1], surroundings[:, 0], surroundings[:, -1])
    return all((edge == colour).all() for edge in edges)


def test_one_row_an_image(trees, pictures):
    images, parts, sub_parts = trees
    shown = pictures(parse(images, 0.5 * images, parts, sub_parts))
    assert len(shown) == 2 * (3 + 4)
    for index in range(2):
        image, reconstruction, superimposed, *boxes = shown[7 * index : 7 * index + 7]
        assert (image[0] == on_paper(images[index])).all()
        assert (reconstruction[0] == on_paper(0.5 * images[index])).all()
        assert (superimposed[0] == on_paper(colourise(parts[index]))).all()
        for step, box in enumerate(boxes):
            assert (box[0] == on_paper(colourise(sub_parts[index, step]))).all()
            assert is_bordered(box, step)


def test_rows_go_down_and_columns_right(trees):
    images, parts, sub_parts = trees
    boxes = [image.get_extent() for image in parse(images, images, parts, sub_parts).axes[0].images]
    lefts, tops = [box[0] for box in boxes], [box[3] for box in boxes]
    assert lefts[:7] == sorted(lefts[:7]) == lefts[7:]
    assert max(tops[:7]) < min(tops[7:])


def test_parts_are_named_in_their_colours(trees):
    figure = parse(*trees[:1], *trees)
    named = {text.get_text(): to_rgb(text.get_color()) for text in figure.axes[0].texts}
    assert [named[f"part {step + 1}"] for step in range(4)] == [part_colour(step) for step in range(4)]
    assert "sub-parts of each part, in the part's own frame" in named


def test_a_tree_of_one_level_shows_each_part_alone(trees, pictures):
    images, parts, _ = trees
    figure = parse(images, images, parts, None)
    boxes = pictures(figure)[3:7]
    assert "each part alone" in texts(figure)
    for step, box in enumerate(boxes):
        assert (box[0] == on_paper(tint(parts[0])[step])).all()
        assert is_bordered(box, step)


def test_colour_parts_keep_their_colours(pictures):
    parts = torch.rand(1, 4, 3, 6, 5, generator=torch.Generator().manual_seed(2))
    images = parts.sum(1).clamp(0, 1)
    figure = parse(images, images, parts, torch.zeros(1, 4, 2, 3, 4, 4))
    shown = pictures(figure)
    assert len(shown) == 2 + 4
    assert "parts" not in texts(figure)
    for step, box in enumerate(shown[2:]):
        assert (box[0] == on_paper(parts[0, step])).all()
        assert is_bordered(box, step)


@pytest.mark.parametrize("num_steps", [1, 9])
def test_any_number_of_steps(glyph: torch.Tensor, pictures, num_steps: int):
    parts = glyph.expand(1, num_steps, *glyph.shape)
    shown = pictures(parse(glyph[None], glyph[None], parts, parts[:, :, None]))
    assert len(shown) == 3 + num_steps
    assert is_bordered(shown[-1], num_steps - 1)


def test_headings_do_not_touch(printed):
    images = torch.zeros(1, 1, 28, 28)
    figure = parse(images, images, images[:, None].expand(1, 4, 1, 28, 28), None)
    page = printed(figure)
    extents = [text.get_window_extent() for text in figure.axes[0].texts]
    for index, one in enumerate(extents):
        assert one.x0 >= 0
        assert one.x1 <= page.shape[1]
        assert not any(one.overlaps(other) for other in extents[index + 1 :])


def test_nothing_to_show_is_an_error(trees):
    images, parts, sub_parts = trees
    with pytest.raises(ValueError, match="at least one image"):
        parse(images[:0], images[:0], parts[:0], sub_parts[:0])
