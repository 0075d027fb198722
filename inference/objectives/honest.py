"""Checks that two traces hold what an honest bound is made of: all of p(x, z) and q(z | x), and nothing else."""

from typing import Any

import torch
from pyro.poutine import Trace

from inference.objectives.elbo import random_sites
from rnp_pyro.errors import UserError
from rnp_pyro.sites import PART_TERM


def check_latents(model_trace: Trace, guide_trace: Trace) -> None:
    """Refuse a guide that does not draw exactly the model's latents. Its bound would not be a bound.

    Raises:
        UserError: In one line, with the names of the sites.
    """
    ours, theirs = set(latent_names(model_trace)), set(latent_names(guide_trace))
    missing, foreign = sorted(ours - theirs), sorted(theirs - ours)
    found = [
        f"{what} {', '.join(sites[:3])}{', ...' if len(sites) > 3 else ''}"
        for what, sites in (("it does not draw", missing), ("the model has no", foreign))
        if sites
    ]
    if found:
        raise UserError(f"a guide must draw just the model's latents: {'; '.join(found)}")


def check_honest(model_trace: Trace, guide_trace: Trace) -> None:
    """Refuse traces whose log probabilities are not those of p(x, z) and q(z | x).

    Raises:
        AssertionError: If a site is weighed, as in training, or the training-only term is there.
        UserError: If the guide does not draw just what the model does.
    """
    model_sites, guide_sites = random_sites(model_trace), random_sites(guide_trace)
    assert PART_TERM not in model_sites, "the part term is for training only"
    for name, site in [*model_sites.items(), *guide_sites.items()]:
        assert torch.as_tensor(site["scale"] == 1).all(), f"expected KL weight 1, got {site['scale']} at site {name}"
    check_latents(model_trace, guide_trace)


def latent_names(trace: Trace) -> list[str]:
    """Return the names of the latents that a bound is about, without auxiliary draws, in order."""
    return [name for name, site in random_sites(trace).items() if not _is_aside(site)]


def _is_aside(site: dict[str, Any]) -> bool:
    """Return whether a site is an observation, or an auxiliary draw of one of Pyro's own guides."""
    return site["is_observed"] or site["infer"].get("is_auxiliary", False)
