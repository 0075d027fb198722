import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnp_pyro.data import binarise, binarise_fixed, to_unit


def grey(num_images: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """Images whose pixels take all values between 0 and 1."""
    return torch.linspace(0, 1, 64, dtype=dtype).view(1, 1, 8, 8).expand(num_images, 1, 8, 8)


def test_to_unit():
    images = torch.tensor([0, 51, 255], dtype=torch.uint8).view(1, 1, 1, 3)
    unit = to_unit(images)
    assert unit.dtype == torch.float32
    torch.testing.assert_close(unit.flatten(), torch.tensor([0.0, 0.2, 1.0], dtype=torch.float32))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_draws_have_the_pixels_as_means(dtype):
    images = grey(4000, dtype)
    for drawn in (binarise(images, 1, 7), binarise_fixed(images, 1, torch.arange(4000))):
        assert drawn.dtype == dtype
        assert drawn.shape == images.shape
        assert set(drawn.unique().tolist()) == {0.0, 1.0}
        standard_error = (images[0] * (1 - images[0]) / 4000).sqrt()
        # 64 pixels are tested: 4.5 standard errors; 0 and 1 are exact.
        assert (abs(drawn.mean(0) - images[0]) <= 4.5 * standard_error).all()


def test_training_noise_is_a_function_of_seed_and_step():
    images = grey(50)
    again = binarise(images, 3, 10)
    assert again.equal(binarise(images, 3, 10))
    for other in (binarise(images, 3, 11), binarise(images, 4, 10), binarise(images, 10, 3)):
        # Two independent draws of a pixel differ with probability 2 p (1 - p).
        differ = 2 * images * (1 - images)
        standard_error = math.sqrt((differ * (1 - differ)).sum())
        assert abs((again != other).sum() - differ.sum()) < 4 * standard_error


def test_global_generator_is_left_alone():
    before = torch.get_rng_state()
    binarise(grey(2), 0, 0)
    binarise_fixed(grey(2), 0, torch.arange(2))
    assert torch.get_rng_state().equal(before)


@pytest.mark.thorough
@settings(deadline=None, max_examples=30)
@given(st.lists(st.integers(0, 99), max_size=20))
def test_evaluation_noise_of_an_image_does_not_depend_on_its_batch(chosen):
    images = torch.rand(100, 1, 5, 4, generator=torch.Generator().manual_seed(0))
    whole = binarise_fixed(images, 5, torch.arange(100))
    indices = torch.tensor(chosen, dtype=torch.int64)
    assert binarise_fixed(images[indices], 5, indices).equal(whole[indices])


def test_evaluation_noise_depends_on_seed_and_index():
    images = torch.full((1, 1, 28, 28), 0.5)
    draws = [binarise_fixed(images, seed, torch.tensor([index])) for seed in (0, 1) for index in (0, 1)]
    for first in range(4):
        for second in range(first):
            assert abs((draws[first] != draws[second]).float().mean() - 0.5) < 4 * 0.5 / 28


def test_float64_sees_the_pixels_of_float32():
    images = to_unit((torch.arange(50 * 784) % 256).to(torch.uint8).view(50, 1, 28, 28))
    indices = torch.arange(50)
    assert binarise_fixed(images.double(), 0, indices).float().equal(binarise_fixed(images, 0, indices))
    assert binarise((images.double()), 0, 9).float().equal(binarise(images, 0, 9))


def test_bytes_are_refused():
    with pytest.raises(Exception, match=r"uint8|Float"):  # by the function, or by the shape checks before it
        binarise(torch.zeros(1, 1, 2, 2, dtype=torch.uint8), 0, 0)
