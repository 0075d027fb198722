"""The appendix's guide: a ResNet reads the image, and the root latent's posterior is a diagonal normal."""

from typing import Protocol, runtime_checkable

import pyro
import torch
import torch.nn.functional as F
from pyro.distributions import Normal
from pyro.nn import PyroModule
from torch import nn

from rnp_pyro.config import GuideConfig
from rnp_pyro.networks import ResNetEncoder
from rnp_pyro.shapes import Canvas


@runtime_checkable
class Decoder(Protocol):
    """What this guide must know of the model: a tree knows it, and so does the flat baseline's decoder."""

    latent_size: int
    root_site: str
    image_shape: tuple[int, int, int]


SMALLEST_SCALE = 1e-4


class ResNetGuide(PyroModule):
    """q(z^K | x) = N(loc(x), scale(x)), amortized.

    Departure: line 16 of Algorithm 1 multiplies noise with exp(logvar); here scale is a standard deviation everywhere,
    in sampling and in the KL.

    Args:
        encoder: From images to features.
        latent_size: |z|.
        site: Name of the root latent's sample site.
    """

    def __init__(self, encoder: ResNetEncoder, latent_size: int, site: str) -> None:
        super().__init__()
        self.encoder = encoder
        self.loc_and_scale = nn.Linear(encoder.out_size, 2 * latent_size)
        self.site = site

    def forward(self, images: Canvas) -> torch.Tensor:
        """Draw the root latent given images ``[images C H W]``."""
        loc, raw_scale = self.loc_and_scale(self.encoder(images)).chunk(2, dim=-1)
        wide = torch.promote_types(loc.dtype, torch.float32)
        posterior = Normal(loc.to(wide), F.softplus(raw_scale.to(wide)) + SMALLEST_SCALE).to_event(1)
        with pyro.plate("images", images.shape[-4], dim=-1):
            return pyro.sample(self.site, posterior)  # [*batch images] | [Z]


def build(config: GuideConfig, decoder: Decoder) -> ResNetGuide:
    """Build the guide for a tree, or for the flat baseline's decoder."""
    return ResNetGuide(ResNetEncoder(decoder.image_shape), decoder.latent_size, decoder.root_site)
