"""The objective: Pyro's ``Trace_ELBO``, with the weight of the KL and a record of the bound's terms."""

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pyro
import torch
from pyro.infer import Trace_ELBO, TraceMeanField_ELBO
from pyro.poutine import Trace
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample

from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Float, Tensor
from rnp_pyro.sites import PART_TERM


@dataclass(frozen=True)
class Terms:
    """The terms of the negative evidence lower bound, in nats per image, at KL weight 1 and without the part term.

    Args:
        reconstruction: One-sample estimate of ``-E_q log p(x | z)``.
        kl: One-sample estimate of ``KL(q(z | x) || p(z))``.
    """

    reconstruction: Float[Tensor, "*batch"]
    kl: Float[Tensor, "*batch"]

    @property
    def neg_elbo(self) -> Float[Tensor, "*batch"]:
        """The negative bound."""
        return self.reconstruction + self.kl


class WeighLatents(Messenger):
    """Scale the log probabilities of latent sites, in the model and in the guide: the weight of the KL.

    Departure: the paper's KL has weight 1 throughout. With a warm-up, fewer latent dimensions die before the decoder
    can use them. Reported bounds always have weight 1.

    Args:
        weight: Above 0; 1 is the honest bound.
    """

    def __init__(self, weight: float) -> None:
        super().__init__()
        self.weight = weight

    def _pyro_sample(self, msg: Any) -> None:
        if not msg["is_observed"] and not site_is_subsample(msg):
            msg["scale"] = msg["scale"] * self.weight


class RecordingELBO(Trace_ELBO):
    """``Trace_ELBO`` that keeps the terms of its last bound. Once the loss is computed they cost nothing more."""

    terms: Terms | None = None
    one_walk = True

    def _get_trace(self, model: Any, guide: Any, args: Any, kwargs: Any) -> tuple[Trace, Trace]:
        model_trace, guide_trace = super()._get_trace(model, guide, args, kwargs)
        self.terms = bound_terms(model_trace, guide_trace)
        return model_trace, guide_trace


class RecordingMeanField(TraceMeanField_ELBO):
    """``TraceMeanField_ELBO``, each site's KL in closed form, that keeps its terms and refuses what it gets wrong.

    Where Pyro has no formula for a site, as for a root whose prior or posterior is a flow, a mixture or a dense normal,
    that site's KL is the draw's ``log q - log p``, as in ``elbo``: unbiased, with the pathwise gradient. All others
    keep their formula.
    """

    terms: Terms | None = None
    one_walk = True

    def _get_trace(self, model: Any, guide: Any, args: Any, kwargs: Any) -> tuple[Trace, Trace]:
        """Trace guide and model.

        Raises:
            UserError: If Pyro cannot tell that the sum of the sites' divergences is the KL, or it draws anything else.
        """
        with warnings.catch_warnings():
            warnings.filterwarnings("error", "Failed to verify mean field", UserWarning)
            try:
                model_trace, guide_trace = super()._get_trace(model, guide, args, kwargs)
            except UserWarning:
                raise UserError(
                    "analytic_kl needs a guide that draws its sites in the model's order, got another: expected "
                    "--train.objective elbo"
                ) from None
        if pyro.settings.get("validate_infer"):
            check_no_others(model_trace, guide_trace)
        guide_trace.compute_log_prob()
        self.terms = bound_terms(model_trace, guide_trace)
        return model_trace, guide_trace


def check_no_others(model_trace: Trace, guide_trace: Trace) -> None:
    """Refuse sites that the model does not have: their part of the bound is no divergence.

    Raises:
        UserError: In one line, with the site.
    """
    priors = random_sites(model_trace)
    for name in random_sites(guide_trace):
        if name not in priors:
            raise UserError(
                f"analytic_kl needs a guide that draws the model's latents alone, got {name} as well: expected "
                "--train.objective elbo"
            )


def random_sites(trace: Trace) -> dict[str, Any]:
    """Return a trace's sample sites, latent and observed, without its plates."""
    nodes: dict[str, Any] = dict(trace.nodes)
    return {name: site for name, site in nodes.items() if site["type"] == "sample" and not site_is_subsample(site)}


def bound_terms(model_trace: Trace, guide_trace: Trace) -> Terms:
    """Read the bound's terms off two traces whose log probabilities are computed, one value per image.

    The KL's weight and the part term are left out.
    """
    log_q = _log_prob(guide_trace, lambda name, site: True)
    log_prior = _log_prob(model_trace, lambda name, site: not site["is_observed"])
    log_likelihood = _log_prob(model_trace, lambda name, site: site["is_observed"] and name != PART_TERM)
    return Terms(reconstruction=-log_likelihood, kl=log_q - log_prior)


def _log_prob(trace: Trace, wanted: Callable[[str, Any], bool]) -> Tensor:
    """Add up the unscaled log probabilities of the wanted sites, without a gradient."""
    terms = [site["unscaled_log_prob"].detach() for name, site in random_sites(trace).items() if wanted(name, site)]
    return torch.stack(torch.broadcast_tensors(*terms)).sum(0)
