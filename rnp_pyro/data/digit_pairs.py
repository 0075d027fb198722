"""``digit-pairs``: two digits per image, each small, turned and shifted, made on the fly, and where each is."""

from math import pi

import torch
import torch.nn.functional as F
from jaxtyping import Int64

from rnp_pyro.data import mnist_sample
from rnp_pyro.data.image_data import Split
from rnp_pyro.data.source import Request, Source
from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Float, Tensor, UInt8
from rnp_pyro.streams import Purpose, keys_of, stream_key, uniforms

_DIGITS = 2
_SHRINK, _ROTATION, _SHEAR, _SHIFT = 1.5, pi, 1.0, 0.8
"""The authors' ranges: every digit is 1.5 times smaller, turned by up to pi, sheared by up to 1, and shifted by up to
0.8 of half the image, to either side."""

_CHUNK = 2048
_SEED = 0
_NUMBERS = 5
"""Random numbers per digit: which one, its rotation, its shear, and its two shifts."""


def load(request: Request) -> Source:
    """Make 10,000 training and 2,000 test images from the bundled digits: the same for a seed on every machine.

    The seed is the argument, 0 by default: it belongs to the data, so that runs with other seeds see the same images.
    Test images show test digits. An image's label is its first digit times 10 plus its second. Where two digits
    overlap, the brighter pixel shows.

    Raises:
        UserError: The argument is no seed.
    """
    seed = _read_seed(request.argument)
    digits = mnist_sample.load(request)
    assert digits.test is not None
    train, test = (_make(split, seed, number) for number, split in enumerate((digits.train, digits.test)))
    return Source(train, test, class_names=tuple(f"{first}{second}" for first in range(10) for second in range(10)))


def _read_seed(argument: str) -> int:
    if not argument:
        return _SEED
    if not argument.isascii() or not argument.isdecimal() or int(argument) >= 2**63:
        raise UserError(f"expected digit-pairs:SEED with a whole number from 0 to under 2^63, got {argument!r}")
    return int(argument)


def _make(digits: Split, seed: int, number: int) -> Split:
    """Return as many pairs as there are digits."""
    assert digits.labels is not None
    count = len(digits)
    noise = uniforms(keys_of(stream_key(Purpose.PAIRS, seed, number), torch.arange(count)), _NUMBERS * _DIGITS)
    noise = noise.view(count, _DIGITS, _NUMBERS)
    chosen: Int64[Tensor, "N 2"] = (noise[..., 0] * count).long().clamp(max=count - 1)
    inverse = inverse_pose(2 * noise[..., 1:5] - 1)
    masks = torch.cat(
        [
            _place(digits.images[one.flatten()], pose.flatten(0, 1)).view(len(one), _DIGITS, *digits.images.shape[-2:])
            for one, pose in zip(chosen.split(_CHUNK), inverse.split(_CHUNK), strict=True)
        ]
    )
    labels = digits.labels[chosen]
    return Split(masks.amax(1, keepdim=True), 10 * labels[:, 0] + labels[:, 1], masks=masks)


def inverse_pose(draws: Float[Tensor, "N 2 4"]) -> Float[Tensor, "N 2 2 3"]:
    """Return the maps from an image's coordinates to its digits', both over [-1, 1].

    A digit's own map is ``A = R(pi r) Shear(h) / 1.5`` with translation ``0.8 t``; this is its inverse.

    Args:
        draws: r, h and the two t of every digit, in [-1, 1].
    """
    turn, shear, shift = _ROTATION * draws[..., 0], _SHEAR * draws[..., 1], _SHIFT * draws[..., 2:4]
    rotation = torch.stack([turn.cos(), -turn.sin(), turn.sin(), turn.cos()], -1).unflatten(-1, (2, 2))
    slant = torch.eye(2, dtype=draws.dtype).repeat(*shear.shape, 1, 1)
    slant[..., 0, 1] = shear
    inverse = torch.linalg.inv((rotation @ slant) / _SHRINK)
    return torch.cat([inverse, -inverse @ shift[..., None]], -1)


def _place(images: UInt8[Tensor, "N 1 H W"], inverse: Float[Tensor, "N 2 3"]) -> UInt8[Tensor, "N 1 H W"]:
    """Return each digit at its place on black."""
    grid = F.affine_grid(inverse, list(images.shape), align_corners=False)
    placed = F.grid_sample(images.to(inverse.dtype), grid, mode="bilinear", padding_mode="zeros", align_corners=False)
    return placed.round().clamp(0, 255).to(torch.uint8)
