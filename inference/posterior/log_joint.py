"""The log joint of one image and its root latent, as a function of the latent: what samplers and optimisers climb."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.nn import PyroModule

from inference.objectives.elbo import random_sites
from rnp_pyro.shapes import Canvas, Float, Latent, Tensor, flatten_batch
from rnp_pyro.sites import IMAGE

WIDE = torch.float64
"""Precision of all reference computations: a bound's gap is a small difference of large numbers."""


@dataclass(frozen=True)
class LogTerms:
    """The two terms of log p(x, z), in nats, one for each latent.

    Args:
        prior: log p(z).
        likelihood: log p(x | z).
    """

    prior: Float[Tensor, "*batch"]
    likelihood: Float[Tensor, "*batch"]

    @property
    def joint(self) -> Float[Tensor, "*batch"]:
        """The log joint, ``log p(x, z)``."""
        return self.prior + self.likelihood


@dataclass(frozen=True)
class LogJoint:
    """log p(x, z) of one image x under a Pyro model whose only latent is the root's, with z as its argument.

    Args:
        model: The generative program, its weights fixed; see :func:`log_joint`.
        image: The image, as the likelihood wants it.
        site: Name of the root latent's sample site.
        latent_size: |z|.
    """

    model: PyroModule
    image: Float[Tensor, "1 C H W"]
    site: str
    latent_size: int

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.image.device

    def __call__(self, z: Latent) -> Float[Tensor, "*batch"]:
        """Return log p(x, z), with a gradient."""
        return self.terms(z).joint

    def terms(self, z: Latent) -> LogTerms:
        """Return log p(z) and log p(x | z), with a gradient."""
        flat = flatten_batch(z, 1)
        sites = self._trace(poutine.condition(self.model, {self.site: flat[:, None]}), len(flat))
        prior, likelihood = (sites[name]["log_prob"].reshape(z.shape[:-1]) for name in (self.site, IMAGE))
        return LogTerms(prior, likelihood)

    @torch.no_grad()
    def draw_prior(self, number: int) -> Float[Tensor, "draws Z"]:
        """Draw latents from the prior, with the global generator."""
        return self._trace(self.model, number)[self.site]["value"].squeeze(-2)

    def _trace(self, program: Callable[[Canvas], object], number: int) -> dict[str, Any]:
        """Run the model for a number of latents side by side, and return its sites."""
        with pyro.get_param_store().scope(), poutine.block(), pyro.plate("latents", number, dim=-2):
            trace = poutine.trace(program).get_trace(self.image)
        trace.compute_log_prob()
        sites = random_sites(trace)
        assert sites.keys() == {self.site, IMAGE}, f"expected the sites {self.site} and {IMAGE}, got {list(sites)}"
        return sites


def log_joint(model: PyroModule, image: Canvas) -> LogJoint:
    """Look at a model and one image in float64; the model itself stays as it is.

    Args:
        model: The generative program; its ``decoder`` names the root's site and size.
        image: ``[C H W]``, as the likelihood wants it.
    """
    fixed = frozen(model)
    return LogJoint(fixed, image[None].to(WIDE), fixed.decoder.root_site, fixed.decoder.latent_size)


def frozen(program: PyroModule) -> PyroModule:
    """Copy a program: in float64, its weights fixed, in evaluation mode, so without the training-only term."""
    return deepcopy(program).to(WIDE).eval().requires_grad_(False)
