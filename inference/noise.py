"""The standard normal noise that a guide's draws are functions of, and how to move it."""

from dataclasses import dataclass
from typing import Any

import pyro.distributions as dist
from pyro.distributions import MultivariateNormal, Normal
from pyro.poutine.messenger import Messenger
from torch.distributions import Distribution, Independent, TransformedDistribution
from torch.distributions import MultivariateNormal as TorchMultivariateNormal
from torch.distributions import Normal as TorchNormal

from rnp_pyro.errors import UserError
from rnp_pyro.precision import own_precision
from rnp_pyro.shapes import Float, Tensor


@dataclass(frozen=True)
class NoiseMove:
    """A site's shift and log stretch, for each image; both 0 leave it where it is.

    Args:
        shift: Of the noise, in its standard deviations.
        log_stretch: Of the noise's standard deviation.
    """

    shift: Float[Tensor, "images *event"]
    log_stretch: Float[Tensor, "images *event"]


NoiseMoves = dict[str, NoiseMove]
"""From the names of a guide's sites."""


class MoveNoise(Messenger):
    """Move the noise of a guide's sites.

    Args:
        moves: By site; what is drawn has their gradients.
    """

    def __init__(self, moves: NoiseMoves) -> None:
        super().__init__()
        self.moves = moves

    def _pyro_sample(self, msg: Any) -> None:
        if (move := self.moves.get(msg["name"])) is not None:
            msg["fn"] = with_moved_noise(msg["fn"], move.shift, move.log_stretch)


def with_moved_noise(fn: Distribution, shift: Float[Tensor, "*batch"], log_stretch: Float[Tensor, "*batch"]) -> Any:
    """Return the distribution of ``T(shift + exp(log_stretch) e)`` where ``fn`` is that of ``T(e)``, e ~ N(0, I).

    Args:
        fn: A normal, independent or dense, or a flow from one; batch ``[*draws images]``.
        shift: ``[images *event]``.
        log_stretch: ``[images *event]``.

    Raises:
        UserError: If it is not a function of normal noise.
    """
    if isinstance(fn, Independent):
        return with_moved_noise(fn.base_dist, shift, log_stretch).to_event(fn.reinterpreted_batch_ndims)
    if isinstance(fn, TransformedDistribution):
        return dist.TransformedDistribution(with_moved_noise(fn.base_dist, shift, log_stretch), fn.transforms)
    if isinstance(fn, TorchNormal):
        return Normal(fn.loc + fn.scale * shift, fn.scale * log_stretch.exp())
    if isinstance(fn, TorchMultivariateNormal):
        factor = fn.scale_tril
        with own_precision(factor):
            loc = fn.loc + (factor @ shift.unsqueeze(-1)).squeeze(-1)
        return MultivariateNormal(loc, scale_tril=factor * log_stretch.exp().unsqueeze(-2))
    raise UserError(f"refinement moves normals and flows from normals: got a guide that draws {type(fn).__name__}")
