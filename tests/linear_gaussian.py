"""A model whose evidence and posterior are known: images that are linear in a normal latent, with normal pixels.

    z ~ N(0, I),  x | z ~ N(V z + b, scale^2 I),  so  x ~ N(b, V V' + scale^2 I)

    z | x ~ N(S V' (x - b) / scale^2, S),  S = (I + V' V / scale^2)^-1

The columns of V are orthogonal, so that S is diagonal and a diagonal normal guide can be exact.
"""

from math import prod

import pyro
import torch
from pyro.distributions import MultivariateNormal, Normal
from pyro.nn import PyroModule
from torch import nn

from models.prior import StandardNormal

IMAGE_SHAPE = (1, 3, 2)
LATENT_SIZE = 3


class LinearDecoder(nn.Module):
    """The map from latents to images, with what a guide must know of a decoder."""

    num_levels = 0
    root_site = "z.0"
    image_shape = IMAGE_SHAPE
    latent_size = LATENT_SIZE

    def __init__(self) -> None:
        super().__init__()
        directions, _ = torch.linalg.qr(torch.randn(prod(IMAGE_SHAPE), LATENT_SIZE))
        self.weight = nn.Parameter(directions * torch.linspace(0.5, 2, LATENT_SIZE))
        self.bias = nn.Parameter(torch.randn(prod(IMAGE_SHAPE)))

    def forward(self, z: torch.Tensor) -> torch.Tensor:
        return (z @ self.weight.mT + self.bias).unflatten(-1, IMAGE_SHAPE)


class LinearGaussian(PyroModule):
    """p(x, z), with the interface of the project's models."""

    def __init__(self, scale: float = 0.7, prior: nn.Module | None = None) -> None:
        super().__init__()
        self.decoder = LinearDecoder()
        self.scale = scale
        self.prior = StandardNormal(LATENT_SIZE) if prior is None else prior

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        decoder = self.decoder
        prior = self.prior(images)
        with pyro.plate("images", images.shape[-4], dim=-1):
            canvas = decoder(pyro.sample(decoder.root_site, prior))
            pyro.sample("image", Normal(canvas, self.scale).to_event(3), obs=images)
        return canvas


class LinearGuide(PyroModule):
    """q(z | x): the exact posterior, its mean shifted and its standard deviation stretched if asked for."""

    def __init__(self, model: LinearGaussian, shift: float = 0.0, stretch: float = 1.0) -> None:
        super().__init__()
        _, scale = exact_posterior(model, torch.zeros(1, *IMAGE_SHAPE))
        precision = model.scale**2
        self.slope = nn.Parameter((scale.square() * model.decoder.weight / precision).detach())
        self.offset = nn.Parameter((shift - model.decoder.bias @ self.slope).detach())
        self.scale = nn.Parameter(stretch * scale)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        posterior = Normal(images.flatten(-3) @ self.slope + self.offset, self.scale).to_event(1)
        with pyro.plate("images", images.shape[-4], dim=-1):
            return pyro.sample(LinearDecoder.root_site, posterior)


def exact_posterior(model: LinearGaussian, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean ``[images, Z]`` and standard deviation ``[Z]`` of z given images ``[images, C, H, W]``."""
    weight, variance = model.decoder.weight.detach(), model.scale**2
    covariance = 1 / (1 + weight.square().sum(-2) / variance)
    loc = (images.flatten(-3) - model.decoder.bias.detach()) @ weight / variance * covariance
    return loc, covariance.sqrt()


def exact_evidence(model: LinearGaussian, images: torch.Tensor) -> torch.Tensor:
    """``log p(x)`` of each image, nats, ``[images]``."""
    weight = model.decoder.weight.detach()
    covariance = weight @ weight.mT + model.scale**2 * torch.eye(len(weight))
    return MultivariateNormal(model.decoder.bias.detach(), covariance).log_prob(images.flatten(-3))


def draw_images(model: LinearGaussian, number: int) -> torch.Tensor:
    """Images from the model, ``[number, C, H, W]``."""
    with torch.no_grad():
        canvas = model.decoder(torch.randn(number, LATENT_SIZE))
        return canvas + model.scale * torch.randn_like(canvas)


def rotated(model: LinearGaussian) -> LinearGaussian:
    """Turn the latent space of a model, so that the posterior's covariance is no longer diagonal."""
    turn, _ = torch.linalg.qr(torch.randn(LATENT_SIZE, LATENT_SIZE))
    with torch.no_grad():
        model.decoder.weight.copy_(model.decoder.weight @ turn)
    return model


def dense_posterior(model: LinearGaussian, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Mean ``[images, Z]`` and covariance ``[Z, Z]`` of z given images, for any weight."""
    weight, variance = model.decoder.weight.detach(), model.scale**2
    covariance = torch.linalg.inv(torch.eye(LATENT_SIZE) + weight.mT @ weight / variance)
    return (images.flatten(-3) - model.decoder.bias.detach()) @ weight / variance @ covariance, covariance
