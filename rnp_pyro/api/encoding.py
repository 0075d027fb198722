"""The codes of images: the guide's mean of each image's programs, unfolded into all levels, as arrays."""

import torch
from pyro import poutine
from torch.distributions import Distribution, TransformedDistribution

from inference.bounds import CHUNK, TakeMeans
from inference.contexts import evaluating
from inference.objectives.elbo import random_sites
from inference.predictive import unfold_as_drawn
from rnp_pyro.api.pair import Pair
from rnp_pyro.shapes import Canvas, Tensor
from rnp_pyro.tree import Tree


def encode(pair: Pair, images: Canvas) -> dict[str, Tensor]:
    """Return the codes of all levels at the guide's mean.

    Args:
        pair: Model and guide.
        images: ``[N C H W]`` as the likelihood wants them, on the pair's device.

    Returns:
        ``z.L``, ``action.L`` and ``pose.L`` for each level, and the posterior's scales, as the command ``encode`` lists
        them.
    """
    with evaluating(pair.model, pair.guide):
        chunks = [_encode_chunk(pair, chunk) for chunk in images.split(CHUNK)]
    return {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _encode_chunk(pair: Pair, images: Canvas) -> dict[str, Tensor]:
    decoder = pair.model.decoder
    with TakeMeans():
        sites = random_sites(poutine.trace(pair.guide).get_trace(images))
    root = sites[decoder.root_site]
    codes = {decoder.root_site: root["value"], **_scale(str(decoder.num_levels), root["fn"])}
    for name, site in sites.items():
        codes |= {} if site is root else _scale(name, site["fn"])
    if isinstance(decoder, Tree):
        parse = unfold_as_drawn(decoder, {name: site["value"] for name, site in sites.items()})
        for level in reversed(range(decoder.num_levels)):
            nodes = parse.at(level)
            codes |= {f"z.{level}": nodes.z, f"action.{level}": nodes.action, f"pose.{level}": nodes.pose}
    return codes


def _scale(name: str, posterior: Distribution) -> dict[str, Tensor]:
    """Return a site's standard deviation; a flow's has no formula."""
    return {} if isinstance(posterior, TransformedDistribution) else {f"posterior_scale.{name}": posterior.stddev}
