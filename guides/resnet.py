"""The appendix's guide: a ResNet reads the image, and the root latent's posterior is a diagonal normal."""

from typing import Protocol, runtime_checkable

import pyro
import torch
import torch.nn.functional as F
from pyro.distributions import Normal
from pyro.nn import PyroModule
from torch import nn

from guides.nodes import draw_nodes, tree_of
from rnp_pyro.config import GuideConfig
from rnp_pyro.networks import ResNetEncoder
from rnp_pyro.programs import unique_name
from rnp_pyro.shapes import Canvas, Float, Tensor
from rnp_pyro.tree import Tree


@runtime_checkable
class Decoder(Protocol):
    """What a guide must know of the model. A tree has it, and so has the flat baseline's decoder."""

    latent_size: int
    root_site: str
    image_shape: tuple[int, int, int]


@runtime_checkable
class Encoder(Protocol):
    """A network that reads an image: the appendix's ResNet, or another in its place."""

    out_size: int
    """Number of features."""

    def __call__(self, images: Canvas) -> Float[Tensor, "*batch out"]:
        """Map images to features."""
        ...


SMALLEST_SCALE = 1e-4


class ResNetGuide(PyroModule):
    """q(z^K | x) = N(loc(x), scale(x)), amortized; nodes, where they are random, follow the prior given the root.

    Departure: line 16 of Algorithm 1 multiplies noise with exp(logvar); here scale is a standard deviation everywhere,
    in sampling and in the KL.

    Args:
        encoder: From images to features.
        latent_size: |z|.
        site: Name of the root latent's sample site.
        tree: The model's, if its nodes are random.
    """

    def __init__(self, encoder: Encoder, latent_size: int, site: str, tree: Tree | None = None) -> None:
        super().__init__(unique_name("guide"))
        self.encoder = encoder
        self.loc_and_scale = nn.Linear(encoder.out_size, 2 * latent_size)
        self.site = site
        self.tree = tree

    def forward(self, images: Canvas) -> Float[Tensor, "*draws Z"]:
        """Draw the root latent given images ``[images C H W]``, and the nodes below it."""
        posterior = Normal(*loc_and_scale(self.loc_and_scale(self.encoder(images)))).to_event(1)
        with pyro.plate("images", images.shape[-4], dim=-1):
            z = pyro.sample(self.site, posterior)  # [*batch images] | [Z]
            draw_nodes(self.tree, z)
        return z


def loc_and_scale(raw: Float[Tensor, "*batch twice"]) -> tuple[Float[Tensor, "*batch Z"], Float[Tensor, "*batch Z"]]:
    """Cut a layer's output into a mean and a standard deviation, in float32 or wider."""
    loc, raw_scale = raw.to(torch.promote_types(raw.dtype, torch.float32)).chunk(2, dim=-1)
    return loc, F.softplus(raw_scale) + SMALLEST_SCALE


def build(config: GuideConfig, decoder: Decoder) -> ResNetGuide:
    """Build the guide for a tree, or for the flat baseline's decoder."""
    encoder = ResNetEncoder(decoder.image_shape)
    return ResNetGuide(encoder, decoder.latent_size, decoder.root_site, tree_of(decoder))
