"""The importance-weighted bound as a training objective, with two gradients.

    L_K = E log (1 / K) sum_k w_k,  w_k = p(x, z_k) / q(z_k | x),  z_k ~ q   (Burda et al. 2016)

Its pathwise gradient is sum_k v_k d log w_k, v_k = w_k / sum_j w_j; the part of it that comes from the score of q makes
a guide's signal vanish in noise as K grows (Rainforth et al. 2018). Doubly reparameterized (Tucker et al. 2019) it is

    for the model  sum_k v_k  d log p(x, z_k)
    for the guide  sum_k v_k^2  (d log w_k / d z_k) (d z_k / d phi)

where log w is scored with the guide's parameters fixed. A weight that both have, of a tree that the guide walks, gets
the sum of the two: the second for its part in the draws (Bauer & Mnih 2021).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import log
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.infer import ELBO
from pyro.poutine import Trace

from inference.objectives.elbo import PART_TERM, Terms, bound_terms, random_sites
from inference.training.gradient import fixed
from rnp_pyro.shapes import Canvas, Float, Tensor


class ImportanceWeightedELBO(ELBO):
    """The K-particle bound, one for each image.

    Args:
        num_particles: K.
        doubly_reparameterized: Which gradient.
    """

    terms: Terms | None = None

    def __init__(self, num_particles: int, doubly_reparameterized: bool = False) -> None:
        super().__init__(num_particles=num_particles, max_plate_nesting=1, vectorize_particles=True)
        self.doubly_reparameterized = doubly_reparameterized
        # The guide's scores come from a walk with the tree's weights fixed, which is not the model's.
        self.one_walk = not doubly_reparameterized

    def loss(self, model: Any, guide: Any, images: Canvas) -> float:
        """Return the negative bound of a batch, nats."""
        with torch.no_grad():
            return self.differentiable_loss(model, guide, images).item()

    def differentiable_loss(self, model: Any, guide: Any, images: Canvas) -> Tensor:
        """Return the negative bound of a batch, nats, less the part term's weighted mean; with the chosen gradient.

        Doubly reparameterized, the part term reaches the guide weighed by v_k^2 as well, not by v_k: the bound and the
        aid to training keep the proportion that they have in each particle.
        """
        gate = Gate()
        with pyro.plate("particles", self.num_particles, dim=-2):
            if self.doubly_reparameterized:
                model_trace, guide_trace = _rescored(model, guide, images, gate)
            else:
                model_trace, guide_trace = self._get_trace(model, guide, (images,), {})
        guide_trace.compute_log_prob()
        model_trace.compute_log_prob()
        self.terms = bound_terms(model_trace, guide_trace)
        log_weight = _log_prob(model_trace, lambda name: name != PART_TERM) - _log_prob(guide_trace, lambda name: True)
        bound = (log_weight.logsumexp(0) - log(self.num_particles)).sum()
        gate.share = share = log_weight.detach().softmax(0)
        # Its gradient is the pathwise one of the bound; gated, the guide's half is multiplied with the share once more.
        surrogate = (share * log_weight).sum()
        has_part_term = PART_TERM in random_sites(model_trace)
        helped = (share * _log_prob(model_trace, lambda name: name == PART_TERM)).sum() if has_part_term else 0.0
        return -(surrogate + (bound - surrogate).detach() + helped)

    def _get_trace(self, model: Any, guide: Any, args: Any, kwargs: Any) -> tuple[Trace, Trace]:
        guide_trace = poutine.trace(guide).get_trace(*args, **kwargs)
        return poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(*args, **kwargs), guide_trace


@dataclass(eq=False)
class Gate:
    """Lets latents through, and multiplies their gradients with their particles' shares of the weight.

    Args:
        share: Known once the weights are; the backward pass comes later.
    """

    share: Float[Tensor, "particles images"] | None = None

    def __call__(self, value: Tensor) -> Tensor:
        """Pass a latent ``[particles images *event]``."""
        if not value.requires_grad:
            return value
        passed = value * 1
        passed.register_hook(self._weigh)
        return passed

    def _weigh(self, error: Tensor) -> Tensor:
        assert self.share is not None
        return error * self.share.reshape(*self.share.shape, *[1] * (error.dim() - self.share.dim()))


def _rescored(model: Any, guide: Any, images: Canvas, gate: Gate) -> tuple[Trace, Trace]:
    """Draw from the guide, and score the gated draws by the model and by the guide with its parameters fixed."""
    drawn = poutine.trace(guide).get_trace(images)
    for name, site in random_sites(drawn).items():
        drawn.nodes[name] = {**site, "value": gate(site["value"])}
    model_trace = poutine.trace(poutine.replay(model, trace=drawn)).get_trace(images)
    with fixed(guide.parameters()):
        guide_trace = poutine.trace(poutine.replay(guide, trace=drawn)).get_trace(images)
    return model_trace, guide_trace


def _log_prob(trace: Trace, wanted: Callable[[str], bool]) -> Float[Tensor, "particles images"]:
    """Add up the log probabilities of the wanted sites, with the KL's weight, for each particle of each image."""
    terms = [site["log_prob"] for name, site in random_sites(trace).items() if wanted(name)]
    return torch.stack(torch.broadcast_tensors(*terms)).sum(0)
