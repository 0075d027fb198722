import torch

from rnp_pyro.pictures.colour import any_colour, to_grey


def test_equal_channels_keep_their_value():
    grey = torch.arange(256, dtype=torch.uint8).view(1, 1, 16, 16)
    assert to_grey(grey.expand(1, 3, 16, 16)).equal(grey)


def test_noise_and_tint_are_not_colour():
    noise = torch.randint(-8, 9, (5, 3, 20, 20), generator=torch.Generator().manual_seed(0))
    assert not any_colour((128 + noise).to(torch.uint8))


def test_one_patch_is_colour():
    images = torch.full((5, 3, 20, 20), 200, dtype=torch.uint8)
    assert not any_colour(images)
    images[3, 0, 4:6, 4:6] = 0  # 4 of 400 pixels
    assert any_colour(images)
    images[3, 0, 4, 4] = 200
    assert not any_colour(images)
