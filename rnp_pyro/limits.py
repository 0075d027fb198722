"""How large what settings ask for may be. It is refused before anything is allocated for it.

The limits are far beyond what trains anywhere today. What they stop is a slip of the keyboard, or a file from
elsewhere, that would fill the memory of a machine that others use too.
"""

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from math import isfinite, prod
from pathlib import Path
from typing import Any

from rnp_pyro.config import Config, TreeConfig
from rnp_pyro.errors import UserError

MOST_NODES = 100_000
"""Parts of all levels."""

MOST_WEIGHTS = 500_000_000
"""Learned numbers: 2 GB, and four times that while they are trained."""

MOST_PIXELS = 20_000_000_000
"""Pixels of all canvases that one device draws in a step: 80 GB."""

MOST = {
    "image_size": 4096,
    "model.latent_size": 16_384,
    "model.tree.num_steps": MOST_NODES,
    "model.tree.canvas_sizes": 4096,
    "model.tree.patch_size": 1024,
    "model.tree.hypernet_layers": 1024,
    "model.tree.hypernet_size": 65_536,
    "model.tree.hidden_size": 65_536,
    "guide.refine_steps": 100_000,
    "guide.refine_particles": 100_000,
    "train.num_particles": 1_000_000,
    "train.finish.num_particles": 1_000_000,
    "train.batch_size": 10_000_000,
    "train.accumulate": 1_000_000,
    "train.steps": 2**53,
    "fabric.num_nodes": 100_000,
}
"""Of single settings, by name."""


def check_limits(config: Config) -> None:
    """Refuse settings that are not finite, or that ask for more than any machine has.

    Raises:
        UserError: In one line, with the limit and what came.
    """
    for name, value in _numbers(config):
        if not isfinite(value):
            raise UserError(f"--{name} must be finite, got {value}")
        if value > MOST.get(name, value):
            raise UserError(f"--{name} must be at most {MOST[name]:,}, got {value:,}")
    if config.model.name == "rnp":
        _check_tree(config)


def check_ends(path: Path) -> None:
    """Refuse a device or a pipe in the place of a file: reading it might never end.

    Raises:
        UserError: If it is one.
    """
    if path.exists() and not (path.is_file() or path.is_dir()):
        raise UserError(f"expected a file, got {path}, which is a device or a pipe")


def _check_tree(config: Config) -> None:
    tree, train = config.model.tree, config.train
    if (nodes := _nodes(tree)) > MOST_NODES:
        raise UserError(f"num_steps {_shown(tree.num_steps)} make {nodes:,} parts: expected at most {MOST_NODES:,}")
    if (weights := _weights(config)) > MOST_WEIGHTS:
        raise UserError(
            f"expected a model of at most {MOST_WEIGHTS:,} weights, got about {weights:,}: make hidden_size "
            f"({tree.hidden_size}), hypernet_size ({tree.hypernet_size}) or patch_size ({tree.patch_size}) smaller"
        )
    particles = max(train.num_particles, train.finish.num_particles if train.finish.share else 1)
    at_once = train.batch_size // max(1, train.accumulate) * particles
    if (pixels := at_once * _pixels(config)) > MOST_PIXELS:
        raise UserError(
            f"expected canvases of at most {MOST_PIXELS:,} pixels in a step, got {pixels:,} of {train.batch_size:,} "
            f"images: make --train.batch_size smaller, or give --train.accumulate"
        )


def _nodes(tree: TreeConfig) -> int:
    return sum(prod(tree.num_steps[: upto + 1]) for upto in range(len(tree.num_steps)))


def _weights(config: Config) -> int:
    """Estimate how many numbers the hypernetworks learn: the last layers have nearly all of them."""
    tree, latent = config.model.tree, config.model.latent_size
    hidden, actions = tree.hidden_size, 6
    recurrence = (latent + actions + 1) * hidden + hidden * latent + latent**2 + 2 * latent
    decoders = 2 * (latent + 1) * hidden + (hidden + 1) * (tree.patch_size**2 + actions)
    generated = 2 * recurrence + decoders + latent + actions
    layers = (tree.hypernet_layers - 2) * tree.hypernet_size**2
    sets = len(tree.num_steps) if tree.hypernets == "per_level" else 1
    return sets * (tree.hypernet_size * generated + 2 * layers)


def _pixels(config: Config) -> int:
    """Count the pixels of an image's canvases and patches."""
    tree, total, nodes = config.model.tree, config.image_size**2, 1
    for steps, size in zip(tree.num_steps, (*tree.canvas_sizes, tree.patch_size), strict=False):
        nodes *= steps
        total += nodes * size**2
    return total


def _numbers(settings: Any, prefix: str = "") -> Iterator[tuple[str, int | float]]:
    """List all numbers in settings with their names; those in lists have the list's."""
    for field in fields(settings):
        value = getattr(settings, field.name)
        if is_dataclass(value):
            yield from _numbers(value, f"{prefix}{field.name}.")
        else:
            yield from ((prefix + field.name, number) for number in _flat(value))


def _flat(value: Any) -> Iterator[int | float]:
    if isinstance(value, tuple | list):
        for one in value:
            yield from _flat(one)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield value


def _shown(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:57]}..."
