"""Posteriors of the root's latent: small modules from an encoder's features to a distribution. A guide takes one.

| name | posterior |
|---|---|
| ``diagonal`` | N(loc, scale), the appendix's |
| ``full_rank`` | N(loc, L L'), a full covariance for each image |
| ``flow`` | the diagonal one pushed through affine couplings (Dinh et al. 2017), all given the image |

The latter two start as the first.
"""

from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from pyro.distributions import MultivariateNormal, Normal
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import nn

from flows.couplings import make_couplings, push, reversal
from rnp_pyro.config import GuideConfig
from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Float, Tensor

SMALLEST_SCALE = 1e-4


class DiagonalRoot(nn.Module):
    """N(loc, scale).

    Departure: line 16 of Algorithm 1 multiplies noise with exp(logvar); here scale is a standard deviation everywhere,
    in sampling and in the KL.

    Args:
        in_size: Number of features.
        latent_size: |z|.
    """

    def __init__(self, in_size: int, latent_size: int) -> None:
        super().__init__()
        self.loc_and_scale = nn.Linear(in_size, 2 * latent_size)

    def forward(self, features: Float[Tensor, "*batch in"]) -> TorchDistributionMixin:
        """Return the posterior given features, event shape ``Z``."""
        return Normal(*loc_and_scale(self.loc_and_scale(features))).to_event(1)


class FullRankRoot(nn.Module):
    """N(loc, L L'), L lower triangular. Below its diagonal it starts at zero.

    Args:
        in_size: Number of features.
        latent_size: |z|.
    """

    def __init__(self, in_size: int, latent_size: int) -> None:
        super().__init__()
        self.loc_and_factor = nn.Linear(in_size, latent_size + latent_size * (latent_size + 1) // 2)
        nn.init.zeros_(self.loc_and_factor.weight[2 * latent_size :])
        nn.init.zeros_(self.loc_and_factor.bias[2 * latent_size :])
        self.latent_size = latent_size

    def forward(self, features: Float[Tensor, "*batch in"]) -> TorchDistributionMixin:
        """Return the posterior given features, event shape ``Z``."""
        raw, size = _wide(self.loc_and_factor(features)), self.latent_size
        loc, raw_diagonal, below = raw.split([size, size, raw.shape[-1] - 2 * size], dim=-1)
        return MultivariateNormal(loc, scale_tril=cholesky_factor(raw_diagonal, below))


class FlowRoot(nn.Module):
    """A diagonal normal pushed through affine couplings, which start as the identity.

    Args:
        in_size: Number of features.
        latent_size: |z|, at least 2.
    """

    order: Tensor

    def __init__(self, in_size: int, latent_size: int) -> None:
        super().__init__()
        self.loc_and_scale = nn.Linear(in_size, 2 * latent_size)
        self.couplings = make_couplings(latent_size, in_size)
        self.register_buffer("order", reversal(latent_size), persistent=False)

    def forward(self, features: Float[Tensor, "*batch in"]) -> TorchDistributionMixin:
        """Return the posterior given features, event shape ``Z``."""
        loc, scale = loc_and_scale(self.loc_and_scale(features))
        return push(Normal(loc, scale).to_event(1), self.couplings, self.order, context=features.to(loc))


ROOTS: dict[str, Callable[[int, int], nn.Module]] = {
    "diagonal": DiagonalRoot,
    "full_rank": FullRankRoot,
    "flow": FlowRoot,
}
"""From the number of features and |z| to a posterior. A new one is one line here, and its name in ``Root``."""

MOVED = ("loc_and_scale.", "loc_and_factor.", "couplings.")
"""Weights that guides once held themselves, and now their root does."""


def move_old_weights(state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
    """Rename, in place, the weights of a guide that was saved before roots were modules: a hook before loading."""
    for name in [one for one in state_dict if one.startswith(tuple(prefix + moved for moved in MOVED))]:
        state_dict[f"{prefix}root.{name.removeprefix(prefix)}"] = state_dict.pop(name)


def loc_and_scale(raw: Float[Tensor, "*batch twice"]) -> tuple[Float[Tensor, "*batch Z"], Float[Tensor, "*batch Z"]]:
    """Cut a layer's output into a mean and a standard deviation, in float32 or wider."""
    loc, raw_scale = _wide(raw).chunk(2, dim=-1)
    return loc, F.softplus(raw_scale) + SMALLEST_SCALE


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


def _wide(raw: Tensor) -> Tensor:
    """Densities are computed in float32 or wider, whatever the precision of the networks."""
    return raw.to(torch.promote_types(raw.dtype, torch.float32))


def root_name(config: GuideConfig) -> str:
    """Resolve the posterior of the root's latent: guides called ``full_rank`` and ``flow`` are named after theirs.

    Raises:
        UserError: If name and root contradict each other.
    """
    named = config.name if config.name in ("full_rank", "flow") else None
    if named is not None and config.root not in (None, named):
        raise UserError(
            f"the guide {named} is resnet with root {named}: expected --guide.name resnet --guide.root {config.root}, "
            f"got --guide.name {named} --guide.root {config.root}"
        )
    return config.root or named or "diagonal"
