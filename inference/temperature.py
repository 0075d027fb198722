"""Draws nearer to the middle of their distribution, or further from it: samples that are more typical, or less."""

from typing import Any

from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch.distributions import Distribution, MixtureSameFamily, TransformedDistribution

from rnp_pyro.shapes import Float, Tensor


class Temper(Messenger):
    """Draw every latent nearer to its mean or further from it: ``mean + temperature (draw - mean)``.

    Args:
        temperature: Factor of a normal's standard deviation, at least 0. 1 leaves draws as they are, 0 returns means.
    """

    def __init__(self, temperature: float) -> None:
        super().__init__()
        self.temperature = temperature

    def _pyro_post_sample(self, msg: Any) -> None:
        if not msg["is_observed"] and not site_is_subsample(msg):
            msg["value"] = tempered(msg["fn"], msg["value"], self.temperature)


def tempered(fn: Distribution, value: Float[Tensor, "*batch"], temperature: float) -> Tensor:
    """Return a draw of a distribution as its noise would have made it, multiplied with the temperature.

    Args:
        fn: A normal; a flow, whose noise is its base's; or a mixture of normals, whose noise is its components'.
        value: Drawn from it.
        temperature: At least 0. Of a mixture the weights stay: at 0 the components' means are drawn.
    """
    if isinstance(fn, TransformedDistribution):
        return _through_flow(fn, value, temperature)
    mean = _mean_of_component(fn, value) if isinstance(fn, MixtureSameFamily) else fn.mean
    return mean + temperature * (value - mean)


def _through_flow(fn: TransformedDistribution, value: Tensor, temperature: float) -> Tensor:
    """Go back to the noise, and forth again."""
    result: Any = value
    for transform in reversed(fn.transforms):
        result = transform.inv(result)
    result = tempered(fn.base_dist, result, temperature)
    for transform in fn.transforms:
        result = transform(result)
    return result


def _mean_of_component(fn: MixtureSameFamily, value: Tensor) -> Tensor:
    """Return the mean of the component that a draw came from: as it is not told, one drawn by how likely each is.

    A draw and a component so drawn are distributed as if the component had been drawn first.
    """
    components: Any = fn.component_distribution
    dim = -1 - len(fn.event_shape)
    log_share = fn.mixture_distribution.logits + components.log_prob(value.unsqueeze(dim))  # [*batch components]
    chosen = log_share.softmax(-1).view(-1, log_share.shape[-1]).multinomial(1)
    index = chosen.view(*log_share.shape[:-1], 1, *[1] * len(fn.event_shape))
    return components.mean.expand(*log_share.shape, *fn.event_shape).take_along_dim(index, dim).squeeze(dim)
