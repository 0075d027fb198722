"""What a user hides of an image."""

import pytest
import torch

from rnp_pyro.errors import UserError
from rnp_pyro.pictures.mask import seen_pixels

SHAPE = (1, 4, 7)


@pytest.mark.parametrize(
    ("hidden", "rows"),
    [
        ("top", ["0000000", "0000000", "1111111", "1111111"]),
        ("bottom", ["1111111", "1111111", "0000000", "0000000"]),
        ("left", ["0001111"] * 4),
        ("right", ["1111000"] * 4),
        ("1,2,3,2", ["1111111", "1111111", "1000111", "1000111"]),
        ("6, 0, 1, 1", ["1111110", "1111111", "1111111", "1111111"]),
    ],
)
def test_what_is_hidden(hidden: str, rows: list[str]):
    expected = torch.tensor([[[mark == "1" for mark in row] for row in rows]])
    assert torch.equal(seen_pixels(hidden, SHAPE), expected)


def test_all_channels_are_hidden():
    seen = seen_pixels("left", (3, 4, 7))
    assert seen.shape == (3, 4, 7)
    assert (seen == seen[:1]).all()


@pytest.mark.parametrize("hidden", ["", "middle", "1,2,3", "1,2,3,4,5", "a,b,c,d", "1.5,0,1,1", "LEFT"])
def test_what_is_no_mask(hidden: str):
    with pytest.raises(UserError, match="left, right, top, bottom, or LEFT,TOP,WIDTH,HEIGHT"):
        seen_pixels(hidden, SHAPE)


@pytest.mark.parametrize("hidden", ["0,0,8,1", "0,0,1,5", "-1,0,2,2", "0,-1,1,1", "7,0,1,1", "2,2,0,1", "2,2,1,-1"])
def test_a_mask_outside_of_the_image(hidden: str):
    with pytest.raises(UserError, match="inside the image of 7x4 pixels"):
        seen_pixels(hidden, SHAPE)


def test_something_must_be_seen():
    with pytest.raises(UserError, match="hides the whole image"):
        seen_pixels("0,0,7,4", SHAPE)
    with pytest.raises(UserError, match="inside the image"):
        seen_pixels("top", (1, 1, 4))
