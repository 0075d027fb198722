"""The flat baseline: a convolutional variational autoencoder, with the guides and the encoder of the RNP."""

from math import prod

import pyro
import torch
from pyro.nn import PyroModule
from torch import nn

from models.likelihood import Likelihood, build_likelihood
from models.prior import PRIORS
from rnp_pyro.config import ModelConfig, TreeConfig
from rnp_pyro.errors import UserError
from rnp_pyro.networks import ConvDecoder, StampDecoder
from rnp_pyro.patches.primitives import load, names
from rnp_pyro.programs import check_images, unique_name
from rnp_pyro.shapes import Float, Tensor
from rnp_pyro.sites import IMAGE


class VAE(PyroModule):
    """p(x, z) = p(z) p(x | decoder(z)) (Kingma & Welling 2014); p(z) = N(0, I) unless another prior is chosen.

    Args:
        decoder: From latents to pixels before their activation, a sigmoid; with ``patch_decoder primitives`` one
            that stamps the tree's fixed images and draws nothing else.
        prior: Distribution of z; see ``models/prior.py``.
        likelihood: Distribution of an image given its canvas.
    """

    def __init__(self, decoder: ConvDecoder | StampDecoder, prior: nn.Module, likelihood: Likelihood) -> None:
        super().__init__(unique_name("vae"))
        self.decoder = decoder
        self.prior = prior
        self.likelihood = likelihood

    def forward(self, images: Float[Tensor, "images C H W"]) -> Float[Tensor, "*batch images C H W"]:
        """Draw z, decode, observe; arguments and result are those of the RNP."""
        decoder = self.decoder  # Read once: Pyro registers all its parameters each time.
        check_images(images, decoder.image_shape)
        prior = self.prior(images)
        with pyro.plate("images", images.shape[-4], dim=-1):
            z = pyro.sample(decoder.root_site, prior)  # [*batch images] | [Z]
            canvas = torch.sigmoid(decoder(z))
            pyro.sample(IMAGE, self.likelihood(canvas), obs=images)  # [*batch images] | [C H W]
        return canvas


def build(config: ModelConfig, image_shape: tuple[int, int, int]) -> VAE:
    """Build the baseline for images of one shape (channels, rows, columns).

    Raises:
        UserError: If settings do not fit.
    """
    if config.node_latents != "none":
        raise UserError(f"the vae has no nodes: expected --model.node_latents none, got {config.node_latents}")
    if config.latent_size < 1:
        raise UserError(f"latent_size must be at least 1, got {config.latent_size}")
    if config.tree.patch_decoder == "primitives":
        decoder = StampDecoder(config.latent_size, image_shape, _stamps(config.tree, image_shape))
    else:
        decoder = ConvDecoder(config.latent_size, image_shape)
    return VAE(decoder, PRIORS[config.prior](config.latent_size), build_likelihood(config, image_shape))


def _stamps(config: TreeConfig, image_shape: tuple[int, int, int]) -> Float[Tensor, "K C p p"]:
    """Load the primitives of a tree as large as its largest leaves are on the image."""
    if not names(config):
        raise UserError("primitives must name at least 1 image, got none")
    limits = config.scale_limits * len(config.num_steps) if len(config.scale_limits) == 1 else config.scale_limits
    share = prod(largest for _, largest in limits)
    size = max(3, round(share * max(image_shape[1:])))
    return torch.stack([load(name, size, image_shape[0]) for name in names(config)])
