"""The reference posterior: NUTS over the root's latent of one image, chains from independent starts.

The No-U-Turn sampler (Hoffman & Gelman 2014) is Pyro's. Its mass matrix is dense and stays as the populations of
``inference/posterior/annealing.py`` left it. An estimate from the few draws of a short warm-up would be worse.
"""

from collections.abc import Callable
from dataclasses import dataclass

import pyro
import torch
from pyro import poutine
from pyro.infer import NUTS

from inference.contexts import seeded
from inference.diagnostics import ess, rhat
from inference.posterior.annealing import Starts
from inference.posterior.log_joint import LogJoint
from rnp_pyro.shapes import Float, Tensor
from rnp_pyro.streams import Use, derive_seed


@dataclass(frozen=True)
class NutsSettings:
    """How a chain runs.

    Args:
        warmup: Transitions that adapt the step size and are thrown away, at least 1.
        draws: Transitions that are kept, at least 4: with fewer r-hat is not defined.
        acceptance: Acceptance that the step size is adapted to, between 0 and 1.
        max_tree_depth: A transition takes at most two to this power gradients.
    """

    warmup: int = 50
    draws: int = 150
    acceptance: float = 0.8
    max_tree_depth: int = 8


@dataclass(frozen=True)
class Chain:
    """What one chain drew after its warm-up, and how it went.

    Args:
        z: The draws.
        log_joint: log p(x, z) of each draw, nats.
        divergences: How many transitions met an energy error beyond all bounds.
        step_size: The adapted step size.
        gradients: Gradients computed, the warm-up's included.
    """

    z: Float[Tensor, "draws Z"]
    log_joint: Float[Tensor, " draws"]
    divergences: int
    step_size: float
    gradients: int


@dataclass(frozen=True)
class ChainDraws:
    """The draws of all chains of one image, with their diagnostics.

    Args:
        z: The draws.
        log_joint: log p(x, z) of each draw, nats.
        rhat: Rank-normalised split r-hat of each dimension; nan for one chain.
        ess: Bulk effective sample size of each dimension, over all chains.
        log_joint_rhat: r-hat of log p(x, z), which is large where chains sit in modes of different weight.
        divergences: Over all chains.
        gradients: Over all chains.
    """

    z: Float[Tensor, "chains draws Z"]
    log_joint: Float[Tensor, "chains draws"]
    rhat: Float[Tensor, " Z"]
    ess: Float[Tensor, " Z"]
    log_joint_rhat: float
    divergences: int
    gradients: int

    @property
    def loc(self) -> Float[Tensor, " Z"]:
        """Posterior mean."""
        return self.z.mean((0, 1))

    @property
    def scale(self) -> Float[Tensor, " Z"]:
        """Posterior standard deviation of each dimension."""
        return self.z.flatten(0, 1).std(0)


def sample_posterior(
    target: LogJoint,
    starts: Starts,
    settings: NutsSettings,
    seed: int,
    tick: Callable[[], object] = lambda: None,
) -> ChainDraws:
    """Run one chain from each start, one after the other.

    Args:
        target: The log joint.
        starts: Where chains start, and their mass matrix.
        settings: How they run.
        seed: Of their draws, each chain's derived from it; the global generator is put back.
        tick: Called after each transition.
    """
    chains = [
        run_chain(target, start, starts.covariance, settings, derive_seed(seed, Use.CHAINS, number), tick)
        for number, start in enumerate(starts.z)
    ]
    z = torch.stack([chain.z for chain in chains])
    log_joints = torch.stack([chain.log_joint for chain in chains])
    return ChainDraws(
        z=z,
        log_joint=log_joints,
        rhat=torch.from_numpy(rhat(z.numpy())),
        ess=torch.from_numpy(ess(z.numpy())),
        log_joint_rhat=float(rhat(log_joints.numpy())),
        divergences=sum(chain.divergences for chain in chains),
        gradients=sum(chain.gradients for chain in chains),
    )


def run_chain(
    target: LogJoint,
    start: Float[Tensor, " Z"],
    covariance: Float[Tensor, "Z Z"],
    settings: NutsSettings,
    seed: int,
    tick: Callable[[], object] = lambda: None,
) -> Chain:
    """Run one chain.

    The kernel is driven by hand: Pyro's ``MCMC`` would leave a handler on its logger.

    Args:
        target: The log joint.
        start: Where the chain starts.
        covariance: An estimate of the posterior's; its inverse is the mass matrix.
        settings: How it runs.
        seed: Of its draws; the global generator is put back.
        tick: Called after each transition.
    """
    gradients, draws = 0, list[Tensor]()

    def potential(values: dict[str, Tensor]) -> Tensor:
        nonlocal gradients
        gradients += 1
        return -target(values[target.site])

    kernel = NUTS(
        potential_fn=potential,
        full_mass=True,
        adapt_mass_matrix=False,
        target_accept_prob=settings.acceptance,
        max_tree_depth=settings.max_tree_depth,
    )
    kernel.initial_params = {target.site: start.clone()}
    # A trajectory may leave all bounds while the step size is adapted: that is a rejection, not an error.
    with poutine.block(), pyro.validation_enabled(False), seeded(seed, start.device):
        kernel.setup(settings.warmup)
        kernel.mass_matrix_adapter.inverse_mass_matrix = {(target.site,): covariance}
        kernel._adapter.reset_step_size_adaptation(kernel.initial_params)
        values = kernel.initial_params
        for transition in range(settings.warmup + settings.draws):
            values = kernel.sample(values)
            if transition >= settings.warmup:
                draws.append(values[target.site].detach().clone())
            tick()
    divergences = len(kernel.diagnostics()["divergences"])
    z = torch.stack(draws)
    with torch.no_grad():
        return Chain(z, target(z), divergences, kernel.step_size, gradients)
