"""The inputs of a training run, its observer, and its outcome."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

from pyro.nn import PyroModule
from torch import nn

from inference.refinement import UNREFINED, Refinement
from rnp_pyro.shapes import ByteImages, Canvas

COLUMNS = (
    "step", "seconds", "progress", "neg_elbo", "reconstruction", "kl", "loss", "gradient_norm",
    "learning_rate", "kl_weight", "images_per_second", "validation_neg_elbo", "validation_kl",
)  # fmt: skip
"""Columns of ``metrics.csv``; losses in nats per image, the mean since the row before."""

Prepare = Callable[[ByteImages, int], Canvas]
"""From bytes and the step to what the likelihood observes: pixels in [0, 1], or binary ones drawn in each step."""


@runtime_checkable
class Observer(Protocol):
    """Keeps what a run reports. In a distributed run only the first process calls row, save and warn."""

    def row(self, row: dict[str, float]) -> None:
        """Record one row of metrics."""
        ...

    def save(self, state: dict[str, Any]) -> None:
        """Keep a state that the run can go on from."""
        ...

    def warn(self, message: str) -> None:
        """Print a warning."""
        ...

    def should_stop(self) -> bool:
        """Return whether the user asked to stop; the run then ends after this step."""
        ...


@dataclass(frozen=True)
class Task:
    """What is trained on what.

    Args:
        model: The generative program.
        guide: The posterior program, amortized.
        images: Training images, ``[N C H W]``.
        validation: Prepared validation images; may be empty.
        prepare: From bytes and a step to what the likelihood observes.
        seed: Of batches and noise.
        refinement: How far each image's posterior is improved from where the guide starts it.
    """

    model: PyroModule
    guide: PyroModule
    images: ByteImages
    validation: Canvas
    prepare: Prepare
    seed: int
    refinement: Refinement = UNREFINED


@dataclass(frozen=True)
class Outcome:
    """How a run ended.

    Args:
        steps: Steps taken since its very beginning.
        seconds: Seconds trained since its very beginning, without validation and saving.
        images_per_second: Training images per second, over the whole run.
        finished: Whether its budget was used up.
        schedule: Progress at each step, from which the run can be replayed.
    """

    steps: int
    seconds: float
    images_per_second: float
    finished: bool
    schedule: list[float]


class Weights(nn.Module):
    """A model and its guide, as one module to save, average and load."""

    def __init__(self, model: PyroModule, guide: PyroModule) -> None:
        super().__init__()
        self.model = model
        self.guide = guide
