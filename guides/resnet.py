"""The appendix's guide: a ResNet reads the image, and gives the posterior of the root's latent."""

from typing import Protocol, runtime_checkable

import pyro
from pyro.nn import PyroModule
from torch import nn

from guides.nodes import draw_nodes, tree_of
from guides.roots import ROOTS, move_old_weights, root_name
from rnp_pyro.config import GuideConfig
from rnp_pyro.networks import ResNetEncoder
from rnp_pyro.precision import own_precision
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


class ResNetGuide(PyroModule):
    """q(z^K | x), amortized, diagonal unless another root is chosen; random nodes follow the prior given the root.

    Args:
        encoder: From images to features.
        root: From features to the posterior of z^K; see ``guides/roots.py``.
        site: Name of the root latent's sample site.
        tree: The model's, if its nodes are random.
    """

    def __init__(self, encoder: Encoder, root: nn.Module, site: str, tree: Tree | None = None) -> None:
        super().__init__(unique_name("guide"))
        self.encoder = encoder
        self.root = root
        self.site = site
        self.tree = tree
        self._register_load_state_dict_pre_hook(move_old_weights)

    def forward(self, images: Canvas) -> Float[Tensor, "*draws Z"]:
        """Draw the root latent given images ``[images C H W]``, and the nodes below it."""
        posterior = self.root(self.encoder(images))
        with pyro.plate("images", images.shape[-4], dim=-1):
            with own_precision(images):  # a dense factor's product with the noise
                z = pyro.sample(self.site, posterior)  # [*batch images] | [Z]
            draw_nodes(self.tree, z)
        return z


def build(config: GuideConfig, decoder: Decoder) -> ResNetGuide:
    """Build the guide for a tree, or for the flat baseline's decoder.

    Raises:
        UserError: If the root's posterior does not fit the guide's name, or the latent.
    """
    encoder = ResNetEncoder(decoder.image_shape)
    root = ROOTS[root_name(config)](encoder.out_size, decoder.latent_size)
    return ResNetGuide(encoder, root, decoder.root_site, tree_of(decoder))
