"""The last part of a budget, on another bound: the settings in force as progress goes on.

A guide trained on the evidence lower bound looks for the mode of its error; the importance-weighted bound lets it cover
what is probable, and the decoder see more than one explanation of each image (Burda et al. 2016). It costs several
draws per image, so it comes last.
"""

from dataclasses import replace
from math import inf

from rnp_pyro.config import TrainConfig
from rnp_pyro.errors import UserError


def settings_of_parts(config: TrainConfig) -> tuple[TrainConfig, ...]:
    """Return the settings of the budget's parts: the first, and the last where there is one.

    In the last part the KL has weight 1. The optimizer keeps its moments.
    """
    if config.finish.share == 0:
        return (config,)
    last = replace(
        config,
        objective=config.finish.objective,
        num_particles=config.finish.num_particles,
        learning_rate=config.finish.learning_rate,
        free_bits=0.0,
        lr_warmup=0.0,
        kl_warmup=0.0,
    )
    return config, last


def part_at(config: TrainConfig, progress: float) -> tuple[int, float]:
    """Return which part of the budget is on, 0 or 1, and the progress within it, in [0, 1).

    Args:
        config: Optimisation.
        progress: Of the whole budget, in [0, 1).
    """
    begin = 1 - config.finish.share
    return (0, progress / begin) if progress < begin else (1, (progress - begin) / config.finish.share)


def check_finish(config: TrainConfig) -> None:
    """Refuse a last part that is no part, or that no run can follow.

    Raises:
        UserError: In one line, with what was expected and what came.
    """
    last = config.finish
    if not 0 <= last.share < 1:
        raise UserError(f"--train.finish.share must be at least 0 and below 1, got {last.share:g}")
    if not 0 < last.learning_rate < inf:
        raise UserError(f"--train.finish.learning_rate must be above 0 and finite, got {last.learning_rate:g}")
