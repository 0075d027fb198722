"""Affine couplings (Dinh et al. 2017): an invertible map whose inverse has a closed form, given a context or nothing.

Each coupling moves half of a latent given the other half; turned round, the next moves the other. They start as the
identity. Any value can be scored, not only what was drawn: the closed inverse is what guides and priors need alike.
"""

from typing import Any

import torch
from pyro.distributions import ConditionalTransformedDistribution
from pyro.distributions.torch_distribution import TorchDistributionMixin
from pyro.distributions.transforms import ConditionalAffineCoupling, Permute
from pyro.nn import ConditionalDenseNN
from torch import nn

from rnp_pyro.errors import UserError
from rnp_pyro.precision import own_precision
from rnp_pyro.shapes import Float, Tensor

NUM_COUPLINGS = 4
"""An even number of turns is none."""

HIDDEN_SIZE = 64


class OwnPrecisionNet(ConditionalDenseNN):
    """The network of a coupling, at its own width wherever it is run: a value is scored after it was drawn."""

    def forward(self, x: Tensor, context: Tensor) -> Any:
        """Return shift and log scale; arguments are the parent's."""
        with own_precision(x):
            return super().forward(x, context)


def make_couplings(latent_size: int, context_size: int = 0) -> nn.ModuleList:
    """Make couplings that start as the identity.

    Args:
        latent_size: |z|, at least 2.
        context_size: Numbers that each coupling is given besides; 0: none.

    Raises:
        UserError: If the latent has a single dimension.
    """
    if latent_size < 2:
        raise UserError(
            "the flow moves half of a latent given the other half: expected latent_size of 2 or more, "
            f"got {latent_size}"
        )
    return nn.ModuleList(_coupling(latent_size, context_size) for _ in range(NUM_COUPLINGS))


def reversal(latent_size: int) -> Tensor:
    """Return the order in which a latent is turned round after each coupling: a buffer of the module that has them."""
    return torch.arange(latent_size).flip(0)


def push(
    base: TorchDistributionMixin, couplings: nn.ModuleList, order: Tensor, context: Float[Tensor, "*batch context"]
) -> TorchDistributionMixin:
    """Push a distribution of latents through couplings.

    Args:
        base: Event shape ``Z``.
        couplings: From :func:`make_couplings`.
        order: From :func:`reversal`, on the base's device.
        context: What they are conditioned on; of size 0: nothing.
    """
    layers = [layer for coupling in couplings for layer in (coupling, Permute(order))]
    pushed: Any = ConditionalTransformedDistribution(base, layers).condition(context)
    return pushed


def _coupling(latent_size: int, context_size: int) -> ConditionalAffineCoupling:
    kept = latent_size // 2
    network = OwnPrecisionNet(kept, context_size, [HIDDEN_SIZE], [latent_size - kept, latent_size - kept])
    for parameter in network.layers[-1].parameters():
        nn.init.zeros_(parameter)
    return ConditionalAffineCoupling(kept, network)
