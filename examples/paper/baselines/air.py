"""Attend, infer, repeat (AIR, Eslami et al. 2016): an image is objects, each drawn in a window of its own.

    image <- likelihood <- canvas <- paste <- patch(z_what) at pose(z_where), for each object; all latents ~ N(0, I)

The guide poses a window on the image, reads what is in it, draws it, and repeats with what it has drawn so far.

What differs from AIR, so that it is a strong baseline on pairs of digits and comparable with the others:

- The number of objects is fixed at two. Every image has exactly two digits, so there is nothing to count, and AIR is
  spared the discrete presence variable, whose gradient is noisy.
- Windows can be turned and sheared, not only scaled and shifted, because the digits are.
- Likelihood and composition are the RNP's: Bernoulli pixels and noisy-or. AIR adds up objects under a normal.
- The guide reads the canvas drawn so far and the image, with the encoder of the other guides. In AIR an LSTM remembers
  what was drawn.
"""

from math import pi, prod

import pyro
import torch
from pyro.distributions import Normal
from pyro.distributions.torch_distribution import TorchDistributionMixin
from pyro.nn import PyroModule
from torch import nn

from guides.roots import DiagonalRoot
from inference.pairing import check_pair
from inference.refinement import UNREFINED
from models.likelihood import Likelihood, build_likelihood, observes_binary
from rnp_pyro.api.pair import Pair
from rnp_pyro.canvas import compose_canvases, crop, paste
from rnp_pyro.config import Config
from rnp_pyro.networks import ResNetEncoder
from rnp_pyro.programs import FAR, check_images, unique_name
from rnp_pyro.shapes import Canvas, Float, Pose, Tensor
from rnp_pyro.sites import IMAGE

OBJECTS = 2
SIZE, SIZE_SPREAD = 1 / 1.5, 0.1
"""A window's size as a share of the image: the digits are 1.5 times smaller than the image. Spread of its logarithm."""

TURN, SHEAR, SHIFT = pi / 3**0.5, 1 / 3**0.5, 0.8 / 3**0.5
"""Standard deviations of rotation (radians), shear and shift: those of the digits', uniform to pi, 1 and 0.8."""

WHERE_SIZE = 5
"""Numbers in z_where: size, rotation, shear, and two shifts."""

UNITS = 256
"""Of the hidden layers that write and read patches."""

START_LOGIT, START_RAW_SCALE = -2.0, -2.0
"""Patches start faint. Windows start with a standard deviation of softplus(-2) = 0.13, so that they stay in place."""

LEAK = 0.01
"""Probability of ink without any object at the start, the RNP's; learned."""


def pose_of(where: Float[Tensor, "*batch 5"]) -> Pose:
    """Return a window's pose ``[s R(r) Shear(h) | t]``, the map that places the digits.

    Args:
        where: Size, rotation, shear, shift x, shift y, each standard normal under the prior.
    """
    size = SIZE * torch.exp(SIZE_SPREAD * where[..., 0])
    turn, shear = TURN * where[..., 1], SHEAR * where[..., 2]
    cos, sin = size * turn.cos(), size * turn.sin()
    rows = torch.stack([cos, shear * cos - sin, sin, shear * sin + cos], dim=-1).unflatten(-1, (2, 2))
    return torch.cat([rows, SHIFT * where[..., 3:, None]], dim=-1)


class Windows(nn.Module):
    """What an object looks like, and where it is on the image.

    Args:
        latent_size: |z_what|.
        image_shape: Channels, rows and columns of the images.
    """

    def __init__(self, latent_size: int, image_shape: tuple[int, int, int]) -> None:
        super().__init__()
        self.latent_size, self.image_shape = latent_size, image_shape
        # Patches are about as fine as the image.
        channels, rows, columns = image_shape
        self.patch_shape = (channels, round(1.05 * SIZE * rows), round(1.05 * SIZE * columns))
        self.write = nn.Sequential(*_layers(latent_size), nn.Linear(UNITS, prod(self.patch_shape)))
        self.leak_logit = nn.Parameter(torch.full((channels, 1, 1), LEAK).logit())

    def forward(self, where: Float[Tensor, "*batch 5"], what: Float[Tensor, "*batch Z"]) -> Canvas:
        """Draw an object on a dark canvas ``[*batch C H W]``."""
        patch = torch.sigmoid(self.write(what) + START_LOGIT).unflatten(-1, self.patch_shape)
        return paste(patch, pose_of(where), self.image_shape[1:])

    def compose(self, objects: Float[Tensor, "*batch T C H W"]) -> Canvas:
        """Lay objects over each other: ``1 - (1 - leak) prod_t (1 - object_t)``."""
        return compose_canvases(objects, "noisy_or", torch.sigmoid(self.leak_logit))


class AIR(PyroModule):
    """p(x, z) = prod_t p(z_where_t) p(z_what_t) p(x | canvas(z)).

    Args:
        decoder: From latents to objects.
        likelihood: Distribution of an image given its canvas.
    """

    def __init__(self, decoder: Windows, likelihood: Likelihood) -> None:
        super().__init__(unique_name("air"))
        self.decoder = decoder
        self.likelihood = likelihood

    def forward(self, images: Float[Tensor, "images C H W"]) -> Float[Tensor, "*batch images C H W"]:
        """Draw two objects, lay them over each other, observe."""
        decoder, objects = self.decoder, []
        check_images(images, decoder.image_shape)
        with pyro.plate("images", images.shape[-4], dim=-1):
            for step in range(OBJECTS):
                where = pyro.sample(f"where.{step}", _standard(images, WHERE_SIZE))  # [*batch images] | [5]
                what = pyro.sample(f"what.{step}", _standard(images, decoder.latent_size))  # [*batch images] | [Z]
                objects.append(decoder(where, what))
            canvas = decoder.compose(torch.stack(objects, dim=-4))
            pyro.sample(IMAGE, self.likelihood(canvas), obs=images)  # [*batch images] | [C H W]
        return canvas


class AIRGuide(PyroModule):
    """q(z | x) = prod_t q(z_where_t | x, drawn so far) q(z_what_t | both in the window), amortized and diagonal.

    Args:
        decoder: The model's.
    """

    def __init__(self, decoder: Windows) -> None:
        super().__init__(unique_name("guide"))
        self.decoder = decoder
        channels, *size = decoder.image_shape
        self.attend = ResNetEncoder((2 * channels, size[0], size[1]))
        self.where = DiagonalRoot(self.attend.out_size, WHERE_SIZE)
        self.read = nn.Sequential(*_layers(2 * prod(decoder.patch_shape)))
        self.what = DiagonalRoot(UNITS, decoder.latent_size)
        nn.init.constant_(self.where.loc_and_scale.bias[WHERE_SIZE:], START_RAW_SCALE)

    def forward(self, images: Float[Tensor, "images C H W"]) -> None:
        """Draw where and what of each object given images ``[images C H W]``."""
        decoder, objects = self.decoder, []
        check_images(images, decoder.image_shape, slack=FAR)
        drawn = torch.zeros_like(images)
        with pyro.plate("images", images.shape[-4], dim=-1):
            for step in range(OBJECTS):
                seen = torch.cat([images.expand_as(drawn), drawn], dim=-3)
                where = pyro.sample(f"where.{step}", self.where(self.attend(seen)))  # [*batch images] | [5]
                window = crop(seen.expand(*where.shape[:-1], *seen.shape[-3:]), pose_of(where), decoder.patch_shape[1:])
                what = pyro.sample(f"what.{step}", self.what(self.read(window.flatten(-3))))  # [*batch images] | [Z]
                objects.append(decoder(where, what))
                drawn = compose_canvases(torch.stack(objects, dim=-4), "noisy_or")


def _standard(images: Tensor, size: int) -> TorchDistributionMixin:
    return Normal(images.new_zeros(size), images.new_ones(size)).to_event(1)


def _layers(in_size: int) -> tuple[nn.Module, ...]:
    return nn.Linear(in_size, UNITS), nn.ReLU(), nn.Linear(UNITS, UNITS), nn.ReLU()


def build(config: Config, image_shape: tuple[int, int, int]) -> Pair:
    """Build model and guide, their weights a function of the seed; |z_what| is the settings' ``latent_size``.

    Raises:
        UserError: If the settings do not fit.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        decoder = Windows(config.model.latent_size, image_shape)
        model, guide = AIR(decoder, build_likelihood(config.model, image_shape)), AIRGuide(decoder)
        check_pair(model, guide, image_shape, config.train.objective)
    return Pair(model, guide, UNREFINED, observes_binary(config.model, image_shape), config.seed)
