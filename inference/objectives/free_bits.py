"""The evidence lower bound with free bits: each group of latents is charged for its KL beyond a free allowance."""

from typing import Any

import torch

from inference.objectives.elbo import RecordingELBO, random_sites
from inference.objectives.stock import leave_gradient
from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Tensor
from rnp_pyro.sites import group_of


class FreeBitsELBO(RecordingELBO):
    """``Trace_ELBO`` in which each group of latents, a level's states or its actions, has some nats of KL free.

    Departure: the paper has no free bits. They keep a level's latents alive until the decoder can use them (Kingma et
    al. 2016).

    Args:
        nats: Least KL that a group is charged with, nats per image, averaged over the batch; on several
            devices, over each one's share.
        num_particles: Draws for each image.
    """

    def __init__(self, nats: float, num_particles: int = 1) -> None:
        super().__init__(num_particles=num_particles, vectorize_particles=num_particles > 1, max_plate_nesting=1)
        self.nats = nats

    def loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> float:
        """Return the charged negative bound of a batch, nats."""
        with torch.no_grad():
            return self.differentiable_loss(model, guide, *args, **kwargs).item()

    def loss_and_grads(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> float:
        """Leave the gradient in the parameters, as ``pyro.infer.SVI`` asks, and return the loss, nats."""
        return leave_gradient(self.differentiable_loss(model, guide, *args, **kwargs))

    def differentiable_loss(self, model: Any, guide: Any, *args: Any, **kwargs: Any) -> Tensor:
        """Return the negative bound of a batch, nats, with each group's KL at least what is free.

        Raises:
            UserError: If the guide draws something that the model does not.
        """
        ((model_trace, guide_trace),) = self._get_traces(model, guide, args, kwargs)
        priors, posteriors = random_sites(model_trace), random_sites(guide_trace)
        if not posteriors.keys() <= priors.keys():
            foreign = ", ".join(sorted(posteriors.keys() - priors.keys()))
            raise UserError(f"free bits need a guide that draws the model's latents alone, got {foreign} as well")
        images = args[0]
        free = self.nats * images.shape[-4]
        groups: dict[str, list[str]] = {}
        for name in posteriors:
            groups.setdefault(group_of(name), []).append(name)
        charged = [
            # A group has one weight of the KL, that of its sites.
            posteriors[names[0]]["scale"] * self._kl(priors, posteriors, names).clamp(min=free)
            for names in groups.values()
        ]
        observed = [site["log_prob_sum"] for site in priors.values() if site["is_observed"]]
        return torch.stack(charged).sum() - torch.stack(observed).sum() / self.num_particles

    def _kl(self, priors: dict[str, Any], posteriors: dict[str, Any], names: list[str]) -> Tensor:
        """Estimate the KL of a group of sites, summed over images, without its weight, nats."""
        each = [posteriors[name]["unscaled_log_prob"] - priors[name]["unscaled_log_prob"] for name in names]
        return torch.stack([one.sum() for one in each]).sum() / self.num_particles
