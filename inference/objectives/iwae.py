"""The importance-weighted bound as a training objective, with two gradients.

    L_K = E log (1 / K) sum_k w_k,  w_k = p(x | z_k) (p(z_k) / q(z_k | x))^b,  z_k ~ q   (Burda et al. 2016)

b is the weight of the KL, 1 in the honest bound. The pathwise gradient is sum_k v_k d log w_k, v_k = w_k / sum_j w_j.
The part of it that comes from the score of q drowns a guide's signal in noise as K grows (Rainforth et al. 2018):

    -b sum_k v_k (d log q(z_k | x) / d phi)   at fixed z_k

Doubly reparameterized (Tucker et al. 2019) that part is a derivative by the draws. For any f, the expectation of
f(z_k) d log q(z_k | x) / d phi is that of (d f / d z_k) (d z_k / d phi). Here f is v_k, and

    d v_k / d z_k = v_k (1 - v_k) d log w_k / d z_k

So the score's part is -b sum_k v_k (1 - v_k) (d log w_k / d z_k) (d z_k / d phi). The path's part is the same sum with
1 in place of -b (1 - v_k). Together the gradient is

    for the model  sum_k v_k  d log w_k
    for the guide  sum_k v_k ((1 - b) + b v_k)  (d log w_k / d z_k) (d z_k / d phi)

where log w is scored with the guide's parameters fixed. At b = 1 the guide's gate is v_k^2, as published. A weight that
both have, of a tree that the guide walks, gets the sum of the two: the second for its part in the draws (Bauer & Mnih
2021).
"""

from collections.abc import Callable
from dataclasses import dataclass
from math import log
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.distributions import Delta, Independent
from pyro.infer import ELBO
from pyro.poutine import Trace
from torch import nn

from inference.contexts import fixed
from inference.objectives.elbo import Terms, bound_terms, random_sites
from inference.objectives.stock import leave_gradient
from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Canvas, Float, Tensor
from rnp_pyro.sites import PART_TERM


class ImportanceWeightedELBO(ELBO):
    """The K-particle bound of each image.

    Args:
        num_particles: K.
        doubly_reparameterized: Whether the gradient is the doubly reparameterized one, or the pathwise one.
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

    def loss_and_grads(self, model: Any, guide: Any, images: Canvas) -> float:
        """Leave the gradient in the parameters, as ``pyro.infer.SVI`` asks, and return the loss, nats."""
        return leave_gradient(self.differentiable_loss(model, guide, images))

    def differentiable_loss(self, model: Any, guide: Any, images: Canvas) -> Tensor:
        """Return the negative bound of a batch, nats, less the part term's weighted mean; with the chosen gradient.

        Doubly reparameterized, the part term reaches the guide through the same gate as the bound, not weighed by v_k
        alone: the bound and the aid to training keep the proportion that they have in each particle.

        Raises:
            UserError: If the guide has no density for each image. For the doubly reparameterized gradient also if the
                latents' weights differ, or if the guide is not a module or has points in place of draws.
        """
        gate = Gate()
        with pyro.plate("particles", self.num_particles, dim=-2):
            if self.doubly_reparameterized:
                model_trace, guide_trace = _rescored(model, guide, images, gate)
            else:
                model_trace, guide_trace = self._get_trace(model, guide, (images,), {})
        _check_per_image(guide_trace, images.shape[-4])
        guide_trace.compute_log_prob()
        model_trace.compute_log_prob()
        self.terms = bound_terms(model_trace, guide_trace)
        log_weight = _log_prob(model_trace, lambda name: name != PART_TERM) - _log_prob(guide_trace, lambda name: True)
        bound = (log_weight.logsumexp(0) - log(self.num_particles)).sum()
        share = log_weight.detach().softmax(0)
        if self.doubly_reparameterized:
            gate.factor = 1 - weight_of_latents(guide_trace) * (1 - share)
        # Its gradient is the pathwise one of the bound; gated, the guide's half is multiplied with the factor as well.
        surrogate = (share * log_weight).sum()
        has_part_term = PART_TERM in random_sites(model_trace)
        helped = (share * _log_prob(model_trace, lambda name: name == PART_TERM)).sum() if has_part_term else 0.0
        return -(surrogate + (bound - surrogate).detach() + helped)

    def _get_trace(self, model: Any, guide: Any, args: Any, kwargs: Any) -> tuple[Trace, Trace]:
        guide_trace = poutine.trace(guide).get_trace(*args, **kwargs)
        return poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(*args, **kwargs), guide_trace


@dataclass(eq=False)
class Gate:
    """Passes latents on unchanged, and multiplies the gradients that flow back.

    Args:
        factor: (1 - b) + b v, known once the weights are; the backward pass comes later.
    """

    factor: Float[Tensor, "particles images"] | None = None

    def __call__(self, value: Tensor) -> Tensor:
        """Pass a latent ``[particles images *event]``."""
        if not value.requires_grad:
            return value
        passed = value * 1
        passed.register_hook(self._weigh)
        return passed

    def _weigh(self, error: Tensor) -> Tensor:
        assert self.factor is not None
        return error * self.factor.reshape(*self.factor.shape, *[1] * (error.dim() - self.factor.dim()))


def weight_of_latents(trace: Trace) -> Any:
    """Return the weight of the KL that a guide's trace was made with, one for all its sites.

    Raises:
        UserError: If its sites have different ones: the derivation above needs a single b.
    """
    weights = [site["scale"] for site in random_sites(trace).values()]
    if not all(torch.as_tensor(weight == weights[0]).all() for weight in weights):
        raise UserError(
            "iwae_dreg needs one KL weight for all latents, got sites of different poutine.scale: expected one scale, "
            "or --train.objective iwae"
        )
    return weights[0]


def _rescored(model: Any, guide: Any, images: Canvas, gate: Gate) -> tuple[Trace, Trace]:
    """Draw from the guide, and score the gated draws by the model and by the guide with its parameters fixed."""
    if not isinstance(guide, nn.Module):
        raise UserError(
            f"iwae_dreg fixes a guide's parameters to score its draws: expected a PyroModule, got {guide!r}"
        )
    drawn: Any = poutine.trace(guide).get_trace(images)
    _check_drawn(drawn)
    for name, site in random_sites(drawn).items():
        drawn.nodes[name] = {**site, "value": gate(site["value"])}
    model_trace = poutine.trace(poutine.replay(model, trace=drawn)).get_trace(images)
    with fixed(guide.parameters()):
        guide_trace = poutine.trace(poutine.replay(guide, trace=drawn)).get_trace(images)
    return model_trace, guide_trace


def _check_per_image(guide_trace: Trace, num_images: int) -> None:
    """Refuse a guide with one density of all images: its particles have no weight for each of them.

    Raises:
        UserError: In one line, with the site.
    """
    for name, site in random_sites(guide_trace).items():
        if tuple(site["fn"].batch_shape)[-1:] != (num_images,):
            raise UserError(
                f"weighing particles needs a guide that draws image by image, got {name} of all images at once: "
                "expected --train.objective elbo"
            )


def _check_drawn(drawn: Trace) -> None:
    """Refuse a guide with points that it does not draw: the score's part, traded above for a derivative, is not there.

    Raises:
        UserError: In one line, with the site.
    """
    sites = random_sites(drawn)
    # Pyro's AutoNormal draws an auxiliary site, and sets the latent to a function of it.
    if any(site["infer"].get("is_auxiliary", False) for site in sites.values()):
        return
    for name, site in sites.items():
        if _is_point(site["fn"]):
            raise UserError(
                f"iwae_dreg needs a guide that draws its latents, got a point at {name}: expected "
                "--train.objective elbo"
            )


def _is_point(fn: Any) -> bool:
    while isinstance(fn, Independent):
        fn = fn.base_dist
    return isinstance(fn, Delta)


def _log_prob(trace: Trace, wanted: Callable[[str], bool]) -> Float[Tensor, "particles images"]:
    """Add up the log probabilities of the wanted sites, with the KL's weight, for each particle of each image."""
    terms = [site["log_prob"] for name, site in random_sites(trace).items() if wanted(name)]
    return torch.stack(torch.broadcast_tensors(*terms)).sum(0)
