"""A guide whose posterior of the root latent is a normal with a full covariance for each image."""

import pyro
import torch
import torch.nn.functional as F
from pyro.distributions import MultivariateNormal
from pyro.nn import PyroModule
from torch import nn

from guides.nodes import draw_nodes, tree_of
from guides.resnet import SMALLEST_SCALE, Decoder, Encoder
from rnp_pyro.config import GuideConfig
from rnp_pyro.networks import ResNetEncoder
from rnp_pyro.precision import own_precision
from rnp_pyro.programs import unique_name
from rnp_pyro.shapes import Canvas, Float, Tensor
from rnp_pyro.tree import Tree


class FullRankGuide(PyroModule):
    """q(z^K | x) = N(loc(x), L(x) L(x)'), amortized; nodes, where they are random, follow the prior given the root.

    The part of L below its diagonal starts at zero, so that the guide starts as the diagonal one.

    Args:
        encoder: From images to features.
        latent_size: |z|.
        site: Name of the root latent's sample site.
        tree: The model's, if its nodes are random.
    """

    def __init__(self, encoder: Encoder, latent_size: int, site: str, tree: Tree | None = None) -> None:
        super().__init__(unique_name("guide"))
        self.encoder = encoder
        self.loc_and_factor = nn.Linear(encoder.out_size, latent_size + latent_size * (latent_size + 1) // 2)
        nn.init.zeros_(self.loc_and_factor.weight[2 * latent_size :])
        nn.init.zeros_(self.loc_and_factor.bias[2 * latent_size :])
        self.latent_size, self.site = latent_size, site
        self.tree = tree

    def forward(self, images: Canvas) -> Float[Tensor, "*draws Z"]:
        """Draw the root latent given images ``[images C H W]``, and the nodes below it."""
        raw = self.loc_and_factor(self.encoder(images))
        size = self.latent_size
        loc, raw_diagonal, below = raw.to(torch.promote_types(raw.dtype, torch.float32)).split(
            [size, size, raw.shape[-1] - 2 * size], dim=-1
        )
        posterior = MultivariateNormal(loc, scale_tril=cholesky_factor(raw_diagonal, below))
        with pyro.plate("images", images.shape[-4], dim=-1):
            with own_precision(loc):  # the factor's product with the noise
                z = pyro.sample(self.site, posterior)  # [*batch images] | [Z]
            draw_nodes(self.tree, z)
        return z


def cholesky_factor(
    raw_diagonal: Float[Tensor, "*batch Z"], below: Float[Tensor, "*batch below"]
) -> Float[Tensor, "*batch Z Z"]:
    """Fill a lower triangular matrix with a positive diagonal.

    Args:
        raw_diagonal: Its diagonal before softplus.
        below: The numbers below the diagonal, Z (Z - 1) / 2, row after row.
    """
    size = raw_diagonal.shape[-1]
    row, column = torch.tril_indices(size, size, offset=-1, device=below.device)
    lower = below.new_zeros(*below.shape[:-1], size * size)
    lower = lower.index_copy(-1, row * size + column, below).unflatten(-1, (size, size))
    return lower + torch.diag_embed(F.softplus(raw_diagonal) + SMALLEST_SCALE)


def build(config: GuideConfig, decoder: Decoder) -> FullRankGuide:
    """Build the guide for a tree, or for the flat baseline's decoder."""
    encoder = ResNetEncoder(decoder.image_shape)
    return FullRankGuide(encoder, decoder.latent_size, decoder.root_site, tree_of(decoder))
