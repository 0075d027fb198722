"""Whether two traces say what a bound must be made of: all of p(x, z) and of q(z | x), and nothing else."""

from typing import Any

import torch
from pyro.poutine import Trace

from inference.elbo import PART_TERM, random_sites


def check_honest(model_trace: Trace, guide_trace: Trace) -> None:
    """Refuse traces whose log probabilities are not those of p(x, z) and q(z | x).

    Raises:
        AssertionError: If a site is weighed, as in training, if the training-only term is there, or if the guide does
            not draw just what the model does.
    """
    sites: list[dict[str, Any]] = [random_sites(model_trace), random_sites(guide_trace)]
    assert PART_TERM not in sites[0], "the part term is for training only"
    for name, site in [item for part in sites for item in part.items()]:
        assert torch.as_tensor(site["scale"] == 1).all(), f"expected KL weight 1, got {site['scale']} at site {name}"
    latent = [{name for name, site in part.items() if not _is_aside(site)} for part in sites]
    assert latent[0] == latent[1], f"expected a guide for just the model's latents {latent[0]}, got {latent[1]}"


def _is_aside(site: dict[str, Any]) -> bool:
    """Tell observations, and the draws of Pyro's own guides that are only on the way to a latent."""
    return site["is_observed"] or site["infer"].get("is_auxiliary", False)
