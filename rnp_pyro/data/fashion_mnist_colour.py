"""``fashion-mnist-colour``: the paper's fig. 6c, each article of clothing in a colour of its own."""

from dataclasses import replace

import torch

from rnp_pyro.data import fashion_mnist
from rnp_pyro.data.image_data import Split
from rnp_pyro.data.source import Request, Source
from rnp_pyro.shapes import ByteImages, Float, Tensor, UInt8
from rnp_pyro.streams import Purpose, keys_of, stream_key, uniforms

_BRIGHTNESS = 1.4
"""Sum of a colour's three parts: those of the authors' code."""

_CHUNK = 4096


def load(request: Request) -> Source:
    """Load Fashion-MNIST and colour it: the same colours in every run."""
    source = fashion_mnist.load(request)
    splits = {name: _coloured(getattr(source, name), number) for number, name in enumerate(("train", "test"))}
    return replace(source, **splits)


def colours(split: int, count: int) -> Float[Tensor, "{count} 3"]:
    """Return a random colour per image, 1.4 a / sum(a) with a uniform in [0, 1]^3 (the authors' code).

    A function of the split's number and of the image's position only.
    """
    key = stream_key(Purpose.COLOURS, split)
    parts = uniforms(keys_of(key, torch.arange(count)), 3) + 2.0**-25  # never all zero
    return _BRIGHTNESS * parts / parts.sum(-1, keepdim=True)


def paint(images: UInt8[Tensor, "N 1 H W"], colour: Float[Tensor, "N 3"]) -> ByteImages:
    """Return each grey image times its colour; what would be brighter than white is white in that channel."""
    chunks = zip(images.split(_CHUNK), colour.split(_CHUNK), strict=True)
    painted = [(grey * rgb[:, :, None, None]).round().clamp(0, 255).to(torch.uint8) for grey, rgb in chunks]
    return torch.cat(painted)


def _coloured(split: Split, number: int) -> Split:
    return replace(split, images=paint(split.images, colours(number, len(split))))
