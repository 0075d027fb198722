"""What training minimises: the negative bound of a batch. Each kind is one ``pyro.infer.ELBO`` in the table below.

| name | bound | gradient |
|---|---|---|
| ``elbo`` | evidence lower bound | pathwise: Pyro's ``Trace_ELBO`` |
| ``analytic_kl`` | the same | the KL of each site in closed form where there is one: Pyro's ``TraceMeanField_ELBO`` |
| ``iwae`` | importance-weighted, K particles (Burda et al. 2016) | pathwise |
| ``iwae_dreg`` | the same | doubly reparameterized (Tucker et al. 2019): without the guide's score |

Free bits (Kingma et al. 2016) are for ``elbo``. The KL of a level's latents costs nothing until they are used up.
"""

from collections.abc import Callable

from inference.objectives.elbo import RecordingELBO, RecordingMeanField
from inference.objectives.free_bits import FreeBitsELBO
from inference.objectives.iwae import ImportanceWeightedELBO
from rnp_pyro.config import TrainConfig
from rnp_pyro.errors import UserError

Objective = RecordingELBO | RecordingMeanField | ImportanceWeightedELBO
"""A ``pyro.infer.ELBO`` that keeps the ``terms`` of its last bound, at KL weight 1 and without the part term, and says
whether guide and model may share the networks that a walk down the tree generates (``one_walk``)."""


def _elbo(config: TrainConfig) -> Objective:
    if config.free_bits > 0:
        return FreeBitsELBO(config.free_bits, config.num_particles)
    return RecordingELBO(
        num_particles=config.num_particles, vectorize_particles=config.num_particles > 1, max_plate_nesting=1
    )


OBJECTIVES: dict[str, Callable[[TrainConfig], Objective]] = {
    "elbo": _elbo,
    "analytic_kl": lambda config: RecordingMeanField(
        num_particles=config.num_particles, vectorize_particles=config.num_particles > 1, max_plate_nesting=1
    ),
    "iwae": lambda config: ImportanceWeightedELBO(config.num_particles),
    "iwae_dreg": lambda config: ImportanceWeightedELBO(config.num_particles, doubly_reparameterized=True),
}
"""Name to builder."""


def build_objective(config: TrainConfig) -> Objective:
    """Build the objective that the settings name.

    Raises:
        UserError: If the settings do not fit each other.
    """
    if config.objective not in OBJECTIVES:
        raise UserError(f"--train.objective: expected one of {', '.join(OBJECTIVES)}, got {config.objective}")
    if config.num_particles < 1:
        raise UserError(f"--train.num_particles must be at least 1, got {config.num_particles}")
    if not config.free_bits >= 0:
        raise UserError(f"--train.free_bits must be at least 0 nats, got {config.free_bits:g}")
    if config.free_bits > 0 and config.objective != "elbo":
        raise UserError(
            f"free bits are for --train.objective elbo, got {config.objective}: leave --train.free_bits out"
        )
    if config.objective.startswith("iwae") and config.num_particles < 2:
        raise UserError(
            f"{config.objective} weighs particles: expected --train.num_particles of 2 or more, "
            f"got {config.num_particles}"
        )
    return OBJECTIVES[config.objective](config)
