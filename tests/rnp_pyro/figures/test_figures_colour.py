"""Colours of steps, exactly."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnp_pyro.figures import colourise
from rnp_pyro.figures.colour import PART_COLOURS, part_colour, tint

SEEDS = st.integers(0, 2**31 - 1)


def ink(*steps: float) -> torch.Tensor:
    """One pixel of so much ink a step, [T, 1, 1, 1]."""
    return torch.tensor(steps, dtype=torch.float64)[:, None, None, None]


def pixel(*steps: float) -> list[float]:
    """The colour of that pixel."""
    return colourise(ink(*steps)).flatten().tolist()


def test_no_ink_is_white_paper():
    assert pixel(0, 0, 0, 0) == [1, 1, 1]


@pytest.mark.parametrize("step", range(8))
def test_full_ink_of_one_step_is_its_colour(step: int):
    one_hot = [float(other == step) for other in range(8)]
    assert pixel(*one_hot) == pytest.approx(part_colour(step), abs=1e-15)


def test_the_order_is_blue_red_green_orange():
    blue, red, green, orange = (part_colour(step) for step in range(4))
    assert blue[2] > 1.5 * max(blue[:2])
    assert red[0] > 3 * max(red[1:])
    assert green[1] > 1.5 * max(green[0], green[2])
    assert orange[0] > 1.3 * orange[1] > 1.3 * orange[2]


def test_eight_colours_then_again():
    assert len(set(PART_COLOURS)) == len(PART_COLOURS) >= 8
    assert part_colour(len(PART_COLOURS)) == part_colour(0)
    assert pixel(*[0.0] * len(PART_COLOURS), 1) == pixel(1)


def test_overlapping_inks_multiply():
    blue, red = part_colour(0), part_colour(1)
    expected = [(1 - 0.5 * (1 - b)) * (1 - 0.25 * (1 - r)) for b, r in zip(blue, red, strict=True)]
    assert pixel(0.5, 0.25) == pytest.approx(expected, abs=1e-15)


def test_ink_outside_of_its_range_is_clamped():
    assert pixel(1.7, -0.4) == pixel(1, 0)


def test_each_pixel_keeps_its_place(glyph: torch.Tensor):
    red_glyph = colourise(torch.stack([torch.zeros_like(glyph), glyph]))
    colour = torch.tensor(part_colour(1))[:, None, None]
    torch.testing.assert_close(red_glyph, torch.where(glyph == 1, colour, torch.ones(3, 1, 1)))


@pytest.mark.thorough
@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_more_ink_is_never_brighter(seed: int):
    parts = torch.rand(4, 1, 3, 3, generator=torch.Generator().manual_seed(seed))
    assert (colourise(parts) <= colourise(0.9 * parts)).all()


@settings(max_examples=25, deadline=None)
@given(SEEDS)
def test_batched_equals_looped(seed: int):
    parts = torch.rand(2, 3, 5, 1, 4, 3, generator=torch.Generator().manual_seed(seed))
    looped = torch.stack([torch.stack([colourise(image) for image in row]) for row in parts])
    assert torch.equal(colourise(parts), looped)


def test_parts_alone_multiply_to_the_whole(glyph: torch.Tensor):
    parts = torch.stack([glyph, glyph.flip(-1), 0.5 * glyph.flip(-2)])
    torch.testing.assert_close(tint(parts).prod(-4), colourise(parts))
    torch.testing.assert_close(tint(parts)[0], colourise(parts[:1]))


def test_colour_parts_are_refused():
    with pytest.raises((ValueError, TypeError), match=r"1 channel|parts"):
        colourise(torch.zeros(4, 3, 2, 2))
