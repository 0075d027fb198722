"""Schedules: the progress of a run, the learning rate and KL weight that follow from it, and what is refused.

Progress runs from 0 to 1. In a run by steps or epochs it is a function of the step; in a run by minutes it is read off
the clock once per step and recorded, so that the run can be replayed without a clock.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import ceil, cos, inf, pi

from inference.training.finish import check_finish
from rnp_pyro.config import TrainConfig
from rnp_pyro.errors import UserError

DIGITS = 6
"""Decimals of recorded progress; the live run rounds too, so that its replay is equal."""

Progress = Callable[[int, float], float]
"""From the step (0-based) and the seconds trained to progress; 1 or more ends the run."""


@dataclass(frozen=True)
class Rates:
    """What the schedule sets for one step: the learning rate, and the weight of the KL in (0, 1]."""

    learning_rate: float
    kl_weight: float


def make_progress(config: TrainConfig, num_images: int, recorded: Sequence[float] | None = None) -> Progress:
    """Choose what measures progress: a recorded schedule, the clock, or the step.

    Args:
        config: The budget.
        num_images: Training images, for epochs.
        recorded: Progress of each step of an earlier run, to replay.

    Raises:
        UserError: If there is not exactly one budget, or it is not above 0.
    """
    if recorded is not None:
        return lambda step, seconds: recorded[step] if step < len(recorded) else 1.0
    budgets = {name: getattr(config, name) for name in ("minutes", "steps", "epochs")}
    given = {name: value for name, value in budgets.items() if value is not None}
    if len(given) != 1:
        came = ", ".join(f"{name} {value:g}" for name, value in given.items()) or "none"
        raise UserError(f"expected one budget of --train.minutes, --train.steps and --train.epochs, got {came}")
    ((name, value),) = given.items()
    if not 0 < value < inf:
        raise UserError(f"--train.{name} must be above 0 and finite, got {value:g}")
    if name == "minutes":
        return lambda step, seconds: round(seconds / (60 * value), DIGITS)
    steps = value if name == "steps" else ceil(value * num_images / config.batch_size)
    return lambda step, seconds: step / steps


def rates(config: TrainConfig, progress: float, step: int) -> Rates:
    """Return learning rate and KL weight at ``progress`` in [0, 1), in step ``step``, counted from 0.

    A short budget's share is too few steps: on bright images programs run away within the first twenty, to where
    nothing brings them back.
    """
    warm = min(1.0, progress / config.lr_warmup) if config.lr_warmup > 0 else 1.0
    if config.lr_warmup > 0 and step < config.lr_warmup_steps:
        warm = min(warm, step / config.lr_warmup_steps)
    past = max(0.0, progress - config.lr_warmup) / max(1e-9, 1 - config.lr_warmup)
    decay = 1.0
    if config.lr_decay == "cosine":
        decay = config.lr_final + (1 - config.lr_final) * 0.5 * (1 + cos(pi * min(1.0, past)))
    # The first step must move too: Adam's first update has the size of the learning rate.
    learning_rate = config.learning_rate * max(warm, 1e-3) * decay
    rise = min(1.0, progress / config.kl_warmup) if config.kl_warmup > 0 else 1.0
    return Rates(learning_rate, config.kl_floor + (1 - config.kl_floor) * rise)


def check_schedule(config: TrainConfig) -> None:
    """Refuse settings that no run can follow.

    Raises:
        UserError: In one line, with what was expected and what came.
    """
    check_finish(config)
    for name in ("lr_warmup", "lr_final", "kl_warmup"):
        value = getattr(config, name)
        if not 0 <= value <= 1:
            raise UserError(f"--train.{name} must be within [0, 1], got {value:g}")
    if not 0 <= config.ema < 1:
        raise UserError(f"--train.ema must be at least 0 and below 1, got {config.ema:g}")
    if not 0 < config.kl_floor <= 1:
        raise UserError(f"--train.kl_floor must be above 0 and at most 1, got {config.kl_floor:g}")
    for name in ("learning_rate", "checkpoint_minutes"):
        if not 0 < getattr(config, name) < inf:
            raise UserError(f"--train.{name} must be above 0 and finite, got {getattr(config, name):g}")
    for name in ("batch_size", "log_every", "validation_images"):
        if getattr(config, name) < 1:
            raise UserError(f"--train.{name} must be at least 1, got {getattr(config, name)}")
    for name in ("clip", "weight_decay", "lr_warmup_steps"):
        if getattr(config, name) < 0:
            raise UserError(f"--train.{name} must be at least 0, got {getattr(config, name):g}")


def check_batch_size(config: TrainConfig, num_devices: int) -> None:
    """Refuse batches that cannot be shared out evenly.

    Raises:
        UserError: If they cannot.
    """
    if config.accumulate < 1:
        raise UserError(f"--train.accumulate must be at least 1, got {config.accumulate}")
    if config.batch_size % (num_devices * config.accumulate):
        times = "" if config.accumulate == 1 else f" times --train.accumulate {config.accumulate}"
        raise UserError(
            f"--train.batch_size must be a multiple of the {num_devices} devices{times}, got {config.batch_size}"
        )
