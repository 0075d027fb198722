"""How a training step's time and memory grow along four lines: steps per level, depth, |z| and batch."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from lightning_fabric import Fabric

from examples.benchmarking.subjects import PLAIN, build_subject
from examples.benchmarking.timing import medians
from rnp_pyro.config import ModelConfig
from rnp_pyro.figures import Growth

BATCH = 64
"""Images per step, where it is not the batch that grows; half as many for the deepest line."""

Point = tuple[float, ModelConfig, int]
"""A size, and the settings and images per step that have it."""


def growth(points_of: dict[str, list[Point]], rounds: int, fabric: Fabric) -> list[Growth]:
    """Measure lines of growth, the points of each in interleaved rounds."""
    found = []
    for by, points in points_of.items():
        subjects = [build_subject(settings, batch_size, fabric) for _, settings, batch_size in points]
        seconds = medians([subject.train for subject in subjects], rounds)
        memory = [subject.peak_mib() for subject in subjects]
        sizes = [size for size, _, _ in points]
        found += [fit("seconds", by, sizes, seconds), fit("memory", by, sizes, memory)]
    return found


def fit(measure: str, by: str, sizes: Sequence[float], values: Sequence[float]) -> Growth:
    """Fit ``value = factor * size ** exponent`` by least squares of logarithms."""
    exponent, logarithm = np.polyfit(np.log(sizes), np.log(values), 1)
    return Growth(measure, by, tuple(sizes), tuple(values), float(exponent), float(np.exp(logarithm)))


def last_exponent(one: Growth) -> float:
    """Return the exponent between the two largest sizes, where a step's constant overhead hides least."""
    (size, larger), (value, later) = one.sizes[-2:], one.values[-2:]
    return float(np.log(later / value) / np.log(larger / size))


def growth_lines(batch_size: int = BATCH) -> dict[str, list[Point]]:
    """Return the lines of growth, the smallest point first."""
    canvases = (20, 16, 12)
    return {
        "nodes (2 to 8 steps, depth 2)": [
            (steps + steps**2, _tree(num_steps=(steps, steps)), batch_size) for steps in (2, 3, 4, 6, 8)
        ],
        "nodes (depth 1 to 4, 3 steps)": [
            (
                sum(3**level for level in range(1, depth + 1)),
                _tree(num_steps=(3,) * depth, canvas_sizes=canvases[: depth - 1]),
                batch_size // 2,
            )
            for depth in (1, 2, 3, 4)
        ],
        "|z|": [(size, replace(PLAIN, latent_size=size), batch_size) for size in (8, 16, 32, 64, 96)],
        "batch": [(size, PLAIN, size) for size in (16, 32, 64, 128, 256, 512)],
    }


def few(points_of: dict[str, list[Point]]) -> dict[str, list[Point]]:
    """Keep the two smallest points of each line, enough for an exponent that says little."""
    return {by: points[:2] for by, points in points_of.items()}


def _tree(**changes: Any) -> ModelConfig:
    return replace(PLAIN, tree=replace(PLAIN.tree, **changes))
