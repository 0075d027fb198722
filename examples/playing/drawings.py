"""A drawing becomes what the run has seen: a digit as MNIST has them, or the pad scaled to the image."""

import numpy as np
import torch
import torch.nn.functional as F

from examples.playing.requests import Ink
from rnp_pyro.api.run import Run
from rnp_pyro.errors import UserError
from rnp_pyro.pictures.digit import bounding_box, centre, thicken
from rnp_pyro.shapes import Float, Tensor

PLACES = ("fit", "as drawn")
"""Scaled and centred as the run's digits are, or left where it is on the pad."""


def prepare(run: Run, ink: Ink, placed: str) -> np.ndarray:
    """Make a drawing look like the run's images.

    A run on digits has seen them 20 pixels long in the middle of 28: so is a drawing that is to fit, by the same
    functions as a photographed digit. Other runs have seen no such thing, and their drawings stay where they are.

    Args:
        run: Whose images.
        ink: The drawing.
        placed: One of ``PLACES``.

    Returns:
        Bytes ``[1 1 S S]`` as the run's methods take them.

    Raises:
        UserError: If there is no ink.
    """
    strength = torch.from_numpy(ink).to(torch.float32) / 255
    if not bool((strength > 0.5).any()):
        raise UserError("expected a drawing, got an empty pad")
    side = run.image_shape[-1]
    fitted = placed == "fit" and run.record.appearance.digits
    drawn = centre(thicken(_cut(strength)), side) if fitted else _scale(strength, side)
    pixels = (255 * drawn).round().to(torch.uint8)
    bright = run.record.ink == "bright"
    # The run's methods invert what was inverted for training; `ink` says how the model itself saw it.
    return (pixels if bright != run.record.appearance.inverted else 255 - pixels)[None, None].numpy()


def _cut(strength: Float[Tensor, "rows columns"]) -> Float[Tensor, "cut_rows cut_columns"]:
    top, bottom, left, right = bounding_box(strength > 0.5)
    return strength[top:bottom, left:right]


def _scale(strength: Float[Tensor, "rows columns"], side: int) -> Float[Tensor, "S S"]:
    resized = F.interpolate(strength[None, None], (side, side), mode="bilinear", antialias=True, align_corners=False)
    return resized[0, 0].clamp(0, 1)
