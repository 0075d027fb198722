"""Honest bounds, at KL weight 1 and without the training-only term, and reconstructions at the guide's mean."""

from collections.abc import Callable
from typing import Any

import torch
from pyro import poutine
from pyro.nn import PyroModule
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch.distributions import Distribution, TransformedDistribution

from inference.contexts import evaluating, seeded
from inference.objectives.elbo import Terms, bound_terms, random_sites
from inference.objectives.honest import check_honest
from rnp_pyro.fast.recall import remembering
from rnp_pyro.shapes import Canvas, Float, Tensor
from rnp_pyro.sites import IMAGE

CHUNK = 250
"""Images that are evaluated side by side."""


class TakeMeans(Messenger):
    """Set every latent site to its distribution's centre instead of a draw."""

    def _pyro_sample(self, msg: Any) -> None:
        if not msg["is_observed"] and not site_is_subsample(msg) and msg["value"] is None:
            msg["value"], msg["done"] = centre(msg["fn"]), True


def centre(fn: Distribution) -> Tensor:
    """Return a distribution's mean. A flow's mean has no formula: return the image of its base's mean."""
    if not isinstance(fn, TransformedDistribution):
        return fn.mean
    value: Any = centre(fn.base_dist)
    for transform in fn.transforms:
        value = transform(value)
    return value


def elbo_terms(model: PyroModule, guide: PyroModule, images: Canvas, seed: int) -> Terms:
    """Estimate each image's negative bound with one draw.

    Args:
        model: The generative program.
        guide: The posterior program.
        images: ``[N C H W]`` as the likelihood wants them, on the modules' device.
        seed: Of the draws.

    Returns:
        Reconstruction and KL, nats per image, ``[N]`` each.
    """

    def one(chunk: Canvas) -> tuple[Tensor, Tensor]:
        with remembering(model.decoder):
            guide_trace = poutine.trace(guide).get_trace(chunk)
            model_trace = poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(chunk)
        check_honest(model_trace, guide_trace)
        guide_trace.compute_log_prob()
        model_trace.compute_log_prob()
        terms = bound_terms(model_trace, guide_trace)
        return terms.reconstruction, terms.kl

    with evaluating(model, guide), seeded(seed, images.device):
        reconstruction, kl = _in_chunks(one, images)
    return Terms(reconstruction, kl)


def latent_means(guide: PyroModule, images: Canvas) -> dict[str, Float[Tensor, "N *event"]]:
    """Return the guide's mean of each latent site for each image, those of nodes given their ancestors' means."""
    with evaluating(guide), TakeMeans():
        chunks = [random_sites(poutine.trace(guide).get_trace(chunk)) for chunk in images.split(CHUNK)]
    return {name: torch.cat([chunk[name]["value"] for chunk in chunks]) for name in chunks[0]}


def reconstruct(model: PyroModule, guide: PyroModule, images: Canvas) -> Float[Tensor, "N C H W"]:
    """Return the mean of the likelihood at the guide's means, for each image."""

    def one(chunk: Canvas) -> tuple[Tensor]:
        with TakeMeans():
            guide_trace = poutine.trace(guide).get_trace(chunk)
        model_trace = poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(chunk)
        return (random_sites(model_trace)[IMAGE]["fn"].mean,)

    with evaluating(model, guide):
        return _in_chunks(one, images)[0]


def _in_chunks(compute: Callable[[Canvas], tuple[Tensor, ...]], images: Canvas) -> tuple[Tensor, ...]:
    """Compute chunk after chunk in bounded memory, and join the results."""
    results = [compute(chunk) for chunk in images.split(CHUNK)]
    return tuple(torch.cat(parts) for parts in zip(*results, strict=True))
