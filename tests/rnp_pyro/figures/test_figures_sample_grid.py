"""Samples, and the same samples in colours."""

import pytest
import torch

from rnp_pyro.figures import colourise, prior_samples
from rnp_pyro.figures.colour import part_colour
from rnp_pyro.figures.printing import on_paper


def test_both_panels_show_the_same_samples(glyph: torch.Tensor, pictures):
    samples = torch.stack([glyph, glyph.flip(-1), glyph.flip(-2)])
    parts = torch.stack([0.5 * samples, samples.roll(1, -1)], dim=1)
    figure = prior_samples(samples, parts)
    shown = pictures(figure)
    assert len(shown) == 6
    for index in range(3):
        assert (shown[index][0] == on_paper(samples[index])).all()
        assert (shown[3 + index][0] == on_paper(colourise(parts[index]))).all()
    corners = [(image.get_extent()[0], image.get_extent()[3]) for image in figure.axes[0].images]
    shifts = {(right[0] - left[0], right[1] - left[1]) for left, right in zip(corners[:3], corners[3:], strict=True)}
    assert len(shifts) == 1
    assert shifts.pop()[1] == 0


@pytest.mark.parametrize(("num_samples", "num_shown", "num_rows"), [(1, 1, 1), (10, 10, 3), (70, 64, 8)])
def test_a_square_of_at_most_eight_by_eight(num_samples: int, num_shown: int, num_rows: int):
    samples = torch.zeros(num_samples, 1, 4, 4)
    images = prior_samples(samples, samples[:, None]).axes[0].images
    assert len(images) == 2 * num_shown
    assert len({image.get_extent()[3] for image in images}) == num_rows


def test_the_key_gives_the_order(printed):
    samples = torch.zeros(4, 1, 4, 4)
    figure = prior_samples(samples, samples[:, None].expand(4, 4, 1, 4, 4))
    page = printed(figure)
    first_seen = []
    for step in range(4):
        colour = [round(255 * channel) for channel in part_colour(step)]
        first_seen.append((page == colour).all(-1).any(0).argmax())
    assert first_seen[0] > 0
    assert first_seen == sorted(set(first_seen))


@pytest.mark.parametrize("num_steps", [1, 8, 12])
def test_headings_stay_on_their_panels(printed, num_steps: int):
    samples = torch.zeros(1, 1, 28, 28)
    figure = prior_samples(samples, samples[:, None].expand(1, num_steps, 1, 28, 28))
    page = printed(figure)
    left, right = (text.get_window_extent() for text in figure.axes[0].texts)
    assert left.x1 < figure.axes[0].images[1].get_extent()[0]
    assert right.x1 < page.shape[1]


def test_colour_samples_are_shown_once(pictures):
    samples = torch.rand(4, 3, 5, 4, generator=torch.Generator().manual_seed(3))
    shown = pictures(prior_samples(samples, samples[:, None]))
    assert len(shown) == 4
    assert all((picture[0] == on_paper(sample)).all() for picture, sample in zip(shown, samples, strict=True))


def test_nothing_to_show_is_an_error():
    with pytest.raises(ValueError, match="at least one sample"):
        prior_samples(torch.zeros(0, 1, 4, 4), torch.zeros(0, 2, 1, 4, 4))
