"""Draws that have names: each is a function of (seed, site, image, particle).

So draws do not depend on chunks, on the order, or on how many others there are. A particle that was weighed can be
drawn again.
"""

from functools import lru_cache
from typing import Any

import torch
from jaxtyping import Float64, Int64
from pyro.distributions import Delta
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch.distributions import Distribution, Independent, MultivariateNormal, Normal, TransformedDistribution

from rnp_pyro.shapes import Tensor
from rnp_pyro.streams import Purpose, keys_of, open_uniforms, stream_key

MOST_IMAGES = 2**32
"""Limit of image numbers; particle numbers may be half as large."""


class DrawNamed(Messenger):
    """Draw every latent site by the inverse of its distribution function, at uniform numbers that names determine.

    To be entered before the plates, ``images`` at dimension -1 and those of particles to its left, so that it sees
    their sizes.

    Args:
        seed: Of all draws.
        particles: Which particles, for each image.
        images: Each image's position in its data set. Images of equal numbers get equal draws.
        purpose: Draws of different purposes are independent.
    """

    def __init__(
        self,
        seed: int,
        particles: Int64[Tensor, "*particles images"],
        images: Int64[Tensor, " images"],
        purpose: Purpose = Purpose.PARTICLES,
    ) -> None:
        super().__init__()
        self.seed, self.names, self.purpose = seed, MOST_IMAGES * particles + images, purpose

    def _pyro_sample(self, msg: Any) -> None:
        if msg["is_observed"] or site_is_subsample(msg) or msg["value"] is not None:
            return
        fn = msg["fn"]
        if fn.batch_shape != self.names.shape:
            raise ValueError(
                f"weights are per image: expected site {msg['name']} in the plates of particles and images, with batch "
                f"shape {tuple(self.names.shape)}, got {tuple(fn.batch_shape)}"
            )
        keys = keys_of(_site_key(self.purpose, self.seed, msg["name"]), self.names)
        uniform = open_uniforms(keys.flatten(), fn.event_shape.numel()).view(fn.shape())
        parameter = getattr(_innermost(fn), next(iter(_innermost(fn).arg_constraints)))
        msg["value"] = quantile(fn, uniform).to(parameter.dtype)
        msg["done"] = True


def quantile(fn: Distribution, uniform: Float64[Tensor, "*shape"]) -> Tensor:
    """Map uniform numbers, one for each of the event's numbers, to a draw from a distribution, on its device.

    The uniform numbers stay on the CPU until they are normal: not every accelerator has float64.

    Raises:
        NotImplementedError: If the distribution has no inverse distribution function.
    """
    if isinstance(fn, Independent):
        return quantile(fn.base_dist, uniform)
    if isinstance(fn, TransformedDistribution):
        value = quantile(fn.base_dist, uniform)
        for transform in fn.transforms:
            value = transform(value)
        return value
    if isinstance(fn, Delta):
        return fn.v
    if isinstance(fn, Normal):
        return fn.loc + fn.scale * torch.special.ndtri(uniform).to(fn.loc)
    if isinstance(fn, MultivariateNormal):
        noise = torch.special.ndtri(uniform).to(fn.loc)
        return fn.loc + (fn.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)
    parameter = getattr(fn, next(iter(fn.arg_constraints)))
    value: Any = fn.icdf(uniform.to(parameter.device))
    return value


def _innermost(fn: Distribution) -> Distribution:
    while isinstance(fn, Independent | TransformedDistribution):
        fn = fn.base_dist
    return fn


@lru_cache(maxsize=256)
def _site_key(purpose: Purpose, seed: int, site: str) -> Int64[Tensor, ""]:
    return stream_key(purpose, seed, *site.encode())
