"""A guide whose posterior of the root latent is a normalizing flow, conditioned on the image."""

from typing import Any

import pyro
import torch
from pyro.distributions import ConditionalTransformedDistribution, Normal
from pyro.distributions.transforms import ConditionalAffineCoupling, Permute
from pyro.nn import ConditionalDenseNN, PyroModule
from torch import nn

from guides.nodes import draw_nodes, tree_of
from guides.resnet import Decoder, Encoder, loc_and_scale
from rnp_pyro.config import GuideConfig
from rnp_pyro.errors import UserError
from rnp_pyro.networks import ResNetEncoder
from rnp_pyro.precision import own_precision
from rnp_pyro.programs import unique_name
from rnp_pyro.shapes import Canvas, Float, Tensor
from rnp_pyro.tree import Tree

NUM_COUPLINGS = 4
HIDDEN_SIZE = 64


class FlowGuide(PyroModule):
    """q(z^K | x): a diagonal normal pushed through affine couplings (Dinh et al. 2017), all conditioned on the image.

    Couplings have an inverse in closed form, so that any latent can be scored, not only the guide's own draws. They
    start as the identity, so that the guide starts as the diagonal one. Nodes, where they are random, follow the prior
    given the root.

    Args:
        encoder: From images to features.
        latent_size: |z|, at least 2.
        site: Name of the root latent's sample site.
        tree: The model's, if its nodes are random.
    """

    def __init__(self, encoder: Encoder, latent_size: int, site: str, tree: Tree | None = None) -> None:
        super().__init__(unique_name("guide"))
        self.encoder = encoder
        self.loc_and_scale = nn.Linear(encoder.out_size, 2 * latent_size)
        self.couplings = nn.ModuleList(_coupling(latent_size, encoder.out_size) for _ in range(NUM_COUPLINGS))
        self.register_buffer("order", torch.arange(latent_size).flip(0), persistent=False)
        self.site = site
        self.tree = tree

    def forward(self, images: Canvas) -> Float[Tensor, "*draws Z"]:
        """Draw the root latent given images ``[images C H W]``, and the nodes below it."""
        features = self.encoder(images)
        loc, scale = loc_and_scale(self.loc_and_scale(features))
        # Each coupling moves half of the latent given the other half; turned round, the next moves the other.
        layers = [layer for coupling in self.couplings for layer in (coupling, Permute(self.order))]
        flow = ConditionalTransformedDistribution(Normal(loc, scale).to_event(1), layers)
        with pyro.plate("images", images.shape[-4], dim=-1):
            z = pyro.sample(self.site, flow.condition(features.to(loc)))  # [*batch images] | [Z]
            draw_nodes(self.tree, z)
        return z


class OwnPrecisionNet(ConditionalDenseNN):
    """The network of a coupling, at its own width wherever it is run: a value is scored after it was drawn."""

    def forward(self, x: Tensor, context: Tensor) -> Any:
        """Return shift and log scale; arguments are the parent's."""
        with own_precision(x):
            return super().forward(x, context)


def _coupling(latent_size: int, context_size: int) -> ConditionalAffineCoupling:
    kept = latent_size // 2
    network = OwnPrecisionNet(kept, context_size, [HIDDEN_SIZE], [latent_size - kept, latent_size - kept])
    for parameter in network.layers[-1].parameters():
        nn.init.zeros_(parameter)
    return ConditionalAffineCoupling(kept, network)


def build(config: GuideConfig, decoder: Decoder) -> FlowGuide:
    """Build the guide for a tree, or for the flat baseline's decoder.

    Raises:
        UserError: If the latent has a single dimension.
    """
    if decoder.latent_size < 2:
        raise UserError(
            "the flow moves half of a latent given the other half: expected latent_size of 2 or more, "
            f"got {decoder.latent_size}"
        )
    encoder = ResNetEncoder(decoder.image_shape)
    return FlowGuide(encoder, decoder.latent_size, decoder.root_site, tree_of(decoder))
