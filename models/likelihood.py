"""Likelihoods of an image given its canvas. Each is one function and one line in the table."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from math import inf
from typing import Literal

import pyro.distributions as dist
import torch
from pyro.distributions import Normal
from pyro.distributions.torch_distribution import TorchDistributionMixin

from rnp_pyro.config import ModelConfig
from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Canvas

Likelihood = Callable[[Canvas], TorchDistributionMixin]
"""From canvases ``[*batch C H W]`` to a distribution with batch shape ``*batch`` and event shape ``C H W``."""

CLOSEST = 1e-6
"""Least distance of a probability from 0 and 1. Bicubic pasting overshoots, and logarithms must stay finite."""


def normal(canvas: Canvas, scale: float) -> TorchDistributionMixin:
    """Pixels of fixed standard deviation around the canvas: up to a constant the first term of eq. (1)."""
    return Normal(_wide(canvas), scale).to_event(3)


def bernoulli(canvas: Canvas) -> TorchDistributionMixin:
    """Binary pixels; the canvas is their probability. Departure: eq. (1) is a squared error, without a distribution.

    Grey targets are accepted without a check: eq. (1)'s zoomed-in patches are grey even where the image is binary.
    """
    return dist.Bernoulli(probs=_wide(canvas).clamp(CLOSEST, 1 - CLOSEST), validate_args=False).to_event(3)


def continuous_bernoulli(canvas: Canvas) -> TorchDistributionMixin:
    """Pixels in [0, 1] (Loaiza-Ganem & Cunningham 2019); the canvas is the parameter, not the mean."""
    return dist.ContinuousBernoulli(probs=_wide(canvas).clamp(CLOSEST, 1 - CLOSEST)).to_event(3)


@dataclass(frozen=True)
class LikelihoodKind:
    """A likelihood, and what goes in and out of it.

    Args:
        build: From the model's settings to the function from canvas to distribution.
        observes: ``grey`` pixels in [0, 1] as they are, or ``binary`` ones, drawn from them.
        needs_probabilities: Whether canvases must stay within [0, 1].
    """

    build: Callable[[ModelConfig], Likelihood]
    observes: Literal["grey", "binary"]
    needs_probabilities: bool = True


LIKELIHOODS: dict[str, LikelihoodKind] = {
    "normal": LikelihoodKind(
        lambda config: partial(normal, scale=config.pixel_scale), observes="grey", needs_probabilities=False
    ),
    "bernoulli": LikelihoodKind(lambda config: bernoulli, observes="binary"),
    "continuous_bernoulli": LikelihoodKind(lambda config: continuous_bernoulli, observes="grey"),
}
"""A new likelihood is one line here, and its name in ``LikelihoodName``."""


def observes_binary(config: ModelConfig, image_shape: tuple[int, int, int]) -> bool:
    """Return whether the model that the settings name observes binary pixels."""
    return LIKELIHOODS[likelihood_name(config, image_shape)].observes == "binary"


def build_likelihood(config: ModelConfig, image_shape: tuple[int, int, int]) -> Likelihood:
    """Choose the function from canvas to distribution.

    Raises:
        UserError: If the canvas may leave [0, 1] but the likelihood needs probabilities.
    """
    name = likelihood_name(config, image_shape)
    if not 0 < config.pixel_scale < inf:
        raise UserError(f"pixel_scale must be above 0, got {config.pixel_scale:g}")
    if config.name == "rnp" and config.tree.composition == "sum" and LIKELIHOODS[name].needs_probabilities:
        raise UserError(
            f"a sum of parts may exceed 1, which the {name} likelihood cannot take: expected composition noisy_or "
            "(--model.tree.composition noisy_or) or likelihood normal (--model.likelihood normal)"
        )
    return LIKELIHOODS[name].build(config)


def _wide(canvas: Canvas) -> Canvas:
    """Likelihoods are computed in float32 or wider, whatever the precision of the networks."""
    return canvas.to(torch.promote_types(canvas.dtype, torch.float32))


def likelihood_name(config: ModelConfig, image_shape: tuple[int, int, int]) -> str:
    """Resolve ``auto``: colour images take the normal likelihood, grey ones the Bernoulli."""
    if config.likelihood != "auto":
        return config.likelihood
    return "normal" if image_shape[0] > 1 else "bernoulli"
