"""Priors of the root's latent z^K. Each is one small module and one line in the table.

A prior that is learned with the model takes the shape of what the guide makes of all images together, so that samples
come from where the images' codes are (Tomczak & Welling 2018; Chen et al. 2017 for flows). VampPrior, whose components
are the guide's posteriors of learned images, is not here: the model would have to know its guide, and any guide must
fit any model.
"""

from collections.abc import Callable
from math import log, sqrt

import pyro.distributions as dist
import torch
from pyro.distributions import Normal
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import nn

from flows.couplings import make_couplings, push, reversal
from rnp_pyro.shapes import Tensor

NUM_COMPONENTS = 50

SPREAD = 0.1
"""Standard deviation of the components' means at the start, in each dimension."""


class StandardNormal(nn.Module):
    """The paper's prior, N(0, I): no parameters.

    Args:
        latent_size: |z|.
    """

    def __init__(self, latent_size: int) -> None:
        super().__init__()
        self.latent_size = latent_size

    def forward(self, like: Tensor) -> TorchDistributionMixin:
        """Return the distribution of one latent, event shape ``Z``, on the device and of the type of ``like``."""
        return Normal(like.new_zeros(self.latent_size), 1).to_event(1)


class FlowPrior(nn.Module):
    """N(0, I) pushed through affine couplings, which start as the identity.

    Departure: the paper's prior is N(0, I). The codes of all images together are not normal, and samples of N(0, I)
    fall between them. The couplings learn where they are.

    Args:
        latent_size: |z|, at least 2.
    """

    order: Tensor

    def __init__(self, latent_size: int) -> None:
        super().__init__()
        self.couplings = make_couplings(latent_size)
        self.register_buffer("order", reversal(latent_size), persistent=False)

    def forward(self, like: Tensor) -> TorchDistributionMixin:
        """Return the distribution of one latent, event shape ``Z``, on the device and of the type of ``like``."""
        base = Normal(like.new_zeros(len(self.order)), 1).to_event(1)
        return push(base, self.couplings, self.order, context=like.new_zeros(0))


class MixturePrior(nn.Module):
    """A mixture of diagonal normals, whose means, scales and weights are learned.

    Departure: the paper's prior is N(0, I). Images come in kinds, and codes in as many regions, each of which a few
    components can stand for. At the start the mixture's mean and variance are about 0 and 1 in each dimension,
    and components differ by little: equal ones would have equal gradients for ever.

    Args:
        latent_size: |z|.
    """

    def __init__(self, latent_size: int) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(NUM_COMPONENTS))
        self.loc = nn.Parameter(SPREAD * torch.randn(NUM_COMPONENTS, latent_size))
        self.log_scale = nn.Parameter(torch.full((NUM_COMPONENTS, latent_size), log(sqrt(1 - SPREAD**2))))

    def forward(self, like: Tensor) -> TorchDistributionMixin:
        """Return the distribution of one latent, event shape ``Z``, on the device and of the type of ``like``."""
        logits, loc, log_scale = (one.to(like) for one in (self.logits, self.loc, self.log_scale))
        components = Normal(loc, log_scale.exp()).to_event(1)
        return dist.MixtureSameFamily(dist.Categorical(logits=logits), components)


PRIORS: dict[str, Callable[[int], nn.Module]] = {
    "normal": StandardNormal,
    "flow": FlowPrior,
    "mixture": MixturePrior,
}
"""From |z| to a module that returns the distribution of z^K. A new one is a line here, and its name in ``Prior``."""
