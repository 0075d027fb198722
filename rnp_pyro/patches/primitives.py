"""Given images are the only patches; a program chooses among them, and how much ink they get.

    patch = sigmoid(i) sum_k softmax(w)_k primitive_k

One layer generates i (per channel) and w from the child's latent. Departure: the paper does not say how its fixed
primitives (figure 1b) get their ink. Here ink has a sigmoid of its own, because a softmax alone
adds up to one: with a single primitive every leaf of every image would be drawn in full, and a 1 needs fewer strokes
than an 8. The choice is a softmax, so that a patch stays within [0, 1] and tends to be one primitive, not all at once.
``patch_activation`` has no part in it.

Above the leaves latents are decoded alike, but no primitive can look like a whole part: the model leaves the second
term of eq. (1), which asks this of them, out.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from rnp_pyro.activations import USUAL_INK, USUAL_PATCH, compress, ink_start
from rnp_pyro.config import TreeConfig
from rnp_pyro.errors import UserError
from rnp_pyro.heads import Head, layer
from rnp_pyro.pictures.colour import to_grey
from rnp_pyro.pictures.picture import read_picture
from rnp_pyro.program import linear
from rnp_pyro.shapes import Float, Tensor

Distance = Callable[[Tensor, Tensor], Tensor]
"""From x and y, both in [-1, 1], to the distance from the middle of a stroke."""

THICKNESS = 0.25
"""Half the width of a drawn stroke; the patch's half side is 1."""


class Primitives(nn.Module):
    """Weights over fixed images.

    Args:
        images: The primitives, in [0, 1]. They are saved with the weights.
        latent_size: |z|.
        compress: Whether numbers far beyond what is usual are compressed.
        ink: Mean brightness, 0 to 1, that patches start with; None: it is not known.
    """

    images: Tensor
    draws_wholes = False

    def __init__(
        self,
        images: Float[Tensor, "K C p p"],
        latent_size: int,
        compress: bool = True,
        ink: float | None = None,
    ) -> None:
        super().__init__()
        self.register_buffer("images", images)
        self.latent_size = latent_size
        self.compress = compress
        self.ink = ink

    @property
    def patch_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of a patch."""
        _, channels, rows, columns = self.images.shape
        return channels, rows, columns

    @property
    def heads(self) -> tuple[Head, ...]:
        """One layer: the ink of each channel, and the weights of all primitives, to which a common start is nothing."""
        brightness = max(self.images.mean().item(), 1e-3)
        start = ink_start((USUAL_INK if self.ink is None else self.ink) / brightness, self.compress)
        return (layer(self.latent_size, self.images.shape[1] + len(self.images), start),)

    def forward(self, generated: tuple[Any, ...], z: Float[Tensor, "*batch T Z"]) -> Float[Tensor, "*batch T C p p"]:
        """See :class:`~rnp_pyro.patch.PatchDecoder`."""
        weight, bias = generated
        numbers = linear(weight, bias, z)
        numbers = compress(numbers, USUAL_PATCH) if self.compress else numbers
        ink, choice = numbers.split(self.images.shape[:2][::-1], dim=-1)
        mixed = (choice.softmax(-1) @ self.images.flatten(1)).unflatten(-1, self.patch_shape)
        return torch.sigmoid(ink)[..., None, None] * mixed


def line(x: Tensor, y: Tensor) -> Tensor:
    """An upright stroke."""
    return torch.hypot(x, (y.abs() - 0.7).clamp(min=0))


def arc(x: Tensor, y: Tensor) -> Tensor:
    """The right half of a circle."""
    on_circle = (torch.hypot(x + 0.35, y) - 0.7).abs()
    to_end = torch.hypot(x + 0.35, y.abs() - 0.7)
    return torch.where(x + 0.35 > 0, on_circle, to_end)


def dot(x: Tensor, y: Tensor) -> Tensor:
    """A disc, twice as wide as a stroke."""
    return (torch.hypot(x, y) - THICKNESS).clamp(min=0)


def ring(x: Tensor, y: Tensor) -> Tensor:
    """A circle."""
    return (torch.hypot(x, y) - 0.7).abs()


def blank(x: Tensor, y: Tensor) -> Tensor:
    """Nothing: what takes the place of a primitive that a run's weights hold."""
    return torch.full_like(x, 2.0)


DRAWN: dict[str, Distance] = {"line": line, "arc": arc, "dot": dot, "ring": ring}
"""Primitives that are drawn by code, by name."""

BLANK = "blank"
"""Name of a primitive that is to come with a run's weights."""


def draw(distance: Distance, size: int) -> Float[Tensor, "1 p p"]:
    """Draw a stroke at a patch's size, bright on dark, with an edge one pixel wide."""
    centres = (2 * torch.arange(size, dtype=torch.get_default_dtype()) + 1) / size - 1
    y, x = torch.meshgrid(centres, centres, indexing="ij")
    return (0.5 + (THICKNESS - distance(x, y)) * size / 2).clamp(0, 1)[None]


def load(name: str, size: int, channels: int) -> Float[Tensor, "C p p"]:
    """Draw a primitive, or read it from a file.

    Args:
        name: One of ``DRAWN``, or a PNG or JPEG file, ink bright.
        size: Rows and columns of a patch.
        channels: 1: a coloured file becomes grey; 3: a grey one serves all channels.

    Raises:
        UserError: If there is no such primitive, or the file is no image, or dark.
    """
    if name in DRAWN or name == BLANK:
        return draw(DRAWN.get(name, blank), size).expand(channels, -1, -1)
    path = Path(name)
    if not path.exists():
        raise UserError(f"primitives: expected {', '.join(DRAWN)}, or a PNG or JPEG file that exists, got {name!r}")
    pixels = read_picture(path, size).pixels
    if not pixels.any():
        raise UserError(f"primitives: expected bright ink on black in {name!r}, got an image that is all black")
    image = pixels if channels == 3 else to_grey(pixels[None])[0].expand(channels, -1, -1)
    return image.to(torch.get_default_dtype()) / 255


def build(config: TreeConfig, latent_size: int, channels: int) -> Primitives:
    """Build the decoder.

    Raises:
        UserError: If there is no primitive, or one cannot be loaded.
    """
    if not names(config):
        raise UserError(f"primitives must name at least 1 image: {', '.join(DRAWN)}, or a PNG or JPEG file, got none")
    images = [load(name, config.patch_size, channels) for name in names(config)]
    return Primitives(torch.stack(images), latent_size, config.compress, config.ink)


def names(config: TreeConfig) -> tuple[str, ...]:
    """List the primitives that the settings name; one may stand without a list."""
    given = (config.primitives,) if isinstance(config.primitives, str) else config.primitives
    return tuple(name for name in given if name)
