"""From tensors anywhere to pixels on paper."""

import numpy as np
import torch

from rnp_pyro.shapes import Canvas, UInt8

PrintedImage = UInt8[np.ndarray, "H W 3"]
"""An image's pixels as matplotlib takes them, 0 to 255."""

PrintedImages = UInt8[np.ndarray, "*batch H W 3"]
"""Any number of them."""


def on_paper(images: Canvas) -> PrintedImages:
    """Turn images into printable pixels: grey ones as dark ink on white paper, colour ones as they are.

    Args:
        images: ink or colour in [0, 1], clamped, with 1 or 3 channels, on any device; nan counts as 0.

    Returns:
        Rounded pixels, channels last.

    Raises:
        ValueError: Neither 1 nor 3 channels.
    """
    num_channels = images.shape[-3]
    if num_channels not in (1, 3):
        raise ValueError(f"images must have 1 or 3 channels to be printed, got {num_channels}")
    light = images.detach().to("cpu", torch.float32).nan_to_num(0.0).clamp(0, 1)
    light = light if num_channels == 3 else (1 - light).expand(*light.shape[:-3], 3, *light.shape[-2:])
    return (255 * light).round().to(torch.uint8).movedim(-3, -1).numpy()
