"""Tensors to pixels."""

import numpy as np
import pytest
import torch

from rnp_pyro.figures.printing import on_paper


def test_grey_ink_is_dark_on_white(glyph: torch.Tensor):
    pixels = on_paper(glyph)
    assert pixels.shape == (6, 5, 3)
    assert pixels.dtype == np.uint8
    assert (pixels == 255 * (1 - glyph[0].numpy())[..., None]).all()


def test_colour_is_kept():
    image = torch.tensor([0.0, 0.2, 1.0])[:, None, None]
    assert on_paper(image).tolist() == [[[0, 51, 255]]]


def test_what_is_not_a_colour_is_mended():
    image = torch.tensor([[[-1.0, 2.0, float("nan"), float("inf")]]])
    assert on_paper(image)[0, :, 0].tolist() == [255, 0, 255, 0]


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_any_precision_with_a_gradient(glyph: torch.Tensor, dtype: torch.dtype):
    batch = glyph.expand(2, 3, *glyph.shape).to(dtype).requires_grad_()
    pixels = on_paper(batch)
    assert pixels.shape == (2, 3, 6, 5, 3)
    assert (pixels == on_paper(glyph)).all()


def test_two_channels_are_refused():
    with pytest.raises(ValueError, match="1 or 3 channels to be printed, got 2"):
        on_paper(torch.zeros(2, 4, 4))
