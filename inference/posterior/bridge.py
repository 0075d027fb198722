"""A path for annealing: a log joint, split into a term that can be drawn from and the rest."""

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from pyro.distributions.torch_distribution import TorchDistributionMixin

from inference.posterior.log_joint import LogJoint, LogTerms
from rnp_pyro.shapes import Float, Latent, Tensor


@runtime_checkable
class Anneals(Protocol):
    """A log joint, split into a term that can be drawn from and the rest."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        ...

    def terms(self, z: Latent) -> LogTerms:
        """Return both terms, with a gradient."""
        ...

    def draw_prior(self, number: int) -> Float[Tensor, "draws Z"]:
        """Draw from the first term, with the global generator."""
        ...


@dataclass(frozen=True)
class Bridge:
    """A log joint, split in another way: a proposal takes the place of the prior, and the rest that of the likelihood.

    Args:
        target: The log joint.
        proposal: Of one latent, event shape ``Z``.
    """

    target: LogJoint
    proposal: TorchDistributionMixin

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return self.target.device

    def terms(self, z: Latent) -> LogTerms:
        """Return log q(z) and log p(x, z) - log q(z), with a gradient."""
        log_q = self.proposal.log_prob(z)
        return LogTerms(log_q, self.target(z) - log_q)

    def draw_prior(self, number: int) -> Float[Tensor, "draws Z"]:
        """Draw from the proposal, with the global generator."""
        return self.proposal.sample((number,))
