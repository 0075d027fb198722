"""Square images at another size."""

import torch
from torch.nn.functional import interpolate

from rnp_pyro.shapes import Tensor, UInt8

Square = UInt8[Tensor, "N C S S"]
Resized = UInt8[Tensor, "N C {image_size} {image_size}"]

_CHUNK = 4096
"""Images at a time; as floats 60,000 of them would take many times their memory."""


def resize_images(images: Square, image_size: int) -> Resized:
    """Square images at ``image_size`` x ``image_size`` pixels, bilinear with antialiasing; as they are if they fit."""
    if images.shape[-2:] == (image_size, image_size):
        return images
    return torch.cat([_resize(chunk, image_size) for chunk in images.split(_CHUNK)])


def _resize(images: Square, image_size: int) -> Resized:
    size = (image_size, image_size)
    resized = interpolate(images.float(), size=size, mode="bilinear", antialias=True, align_corners=False)
    return resized.round().clamp(0, 255).to(torch.uint8)
