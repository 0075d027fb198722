"""A guide whose posterior of the root latent is a normalizing flow, conditioned on the image."""

import pyro
from pyro.distributions import Normal
from pyro.nn import PyroModule
from torch import nn

from flows.couplings import make_couplings, push, reversal
from guides.nodes import draw_nodes, tree_of
from guides.resnet import Decoder, Encoder, loc_and_scale
from rnp_pyro.config import GuideConfig
from rnp_pyro.networks import ResNetEncoder
from rnp_pyro.programs import unique_name
from rnp_pyro.shapes import Canvas, Float, Tensor
from rnp_pyro.tree import Tree


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
        self.couplings = make_couplings(latent_size, encoder.out_size)
        self.register_buffer("order", reversal(latent_size), persistent=False)
        self.site = site
        self.tree = tree

    def forward(self, images: Canvas) -> Float[Tensor, "*draws Z"]:
        """Draw the root latent given images ``[images C H W]``, and the nodes below it."""
        features = self.encoder(images)
        loc, scale = loc_and_scale(self.loc_and_scale(features))
        posterior = push(Normal(loc, scale).to_event(1), self.couplings, self.order, features.to(loc))
        with pyro.plate("images", images.shape[-4], dim=-1):
            z = pyro.sample(self.site, posterior)  # [*batch images] | [Z]
            draw_nodes(self.tree, z)
        return z


def build(config: GuideConfig, decoder: Decoder) -> FlowGuide:
    """Build the guide for a tree, or for the flat baseline's decoder.

    Raises:
        UserError: If the latent has a single dimension.
    """
    encoder = ResNetEncoder(decoder.image_shape)
    return FlowGuide(encoder, decoder.latent_size, decoder.root_site, tree_of(decoder))
