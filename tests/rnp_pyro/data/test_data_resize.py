import torch

from rnp_pyro.data.resize import resize_images


def glyph() -> torch.Tensor:
    """An asymmetric shape: a bright bar above, a short one on the left."""
    image = torch.zeros(1, 1, 28, 28, dtype=torch.uint8)
    image[..., 2:6, 4:24] = 255
    image[..., 6:20, 4:8] = 128
    return image


def test_same_size_is_the_same_tensor():
    image = glyph()
    assert resize_images(image, 28) is image


def test_halves_are_means():
    # Antialiased bilinear halving weighs four pixels an axis by 1, 3, 3, 1: exact on a linear ramp inside the image.
    ramp = torch.arange(0, 112, 4, dtype=torch.uint8).expand(1, 1, 28, 28)
    small = resize_images(ramp, 14)
    assert small.dtype == torch.uint8
    assert small[0, 0, 0, 1:-1].tolist() == [8 * column + 2 for column in range(1, 13)]


def test_axes_are_kept():
    large = resize_images(glyph(), 56)
    assert large.shape == (1, 1, 56, 56)
    assert large[0, 0, 8, 40] == 255
    assert large[0, 0, 30, 12] == 128
    assert large[0, 0, 44, 12] == 0
    assert large[0, 0, 8, 52] == 0


def test_mean_is_nearly_kept():
    for size in (14, 20, 40):
        assert abs(resize_images(glyph(), size).float().mean() - glyph().float().mean()) < 2


def test_chunks_do_not_show(monkeypatch):
    images = torch.randint(0, 256, (7, 1, 10, 10), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    whole = resize_images(images, 6)
    monkeypatch.setattr("rnp_pyro.data.resize._CHUNK", 3)
    assert resize_images(images, 6).equal(whole)
