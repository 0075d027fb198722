"""A finished run, opened: its settings, its images, and its model and guide with their trained weights."""

import hashlib
from dataclasses import dataclass
from pathlib import Path

from jsonargparse import ArgumentError

from examples.shared.cli import config_parser, parse_config
from examples.shared.pair import Pair, build_pair
from rnp_pyro.build import weights_to_come
from rnp_pyro.checkpoint import CONFIG, WEIGHTS, load_weights, open_run
from rnp_pyro.config import Config
from rnp_pyro.data import ImageData, load_images
from rnp_pyro.errors import UserError


@dataclass(frozen=True)
class Run:
    """What a run directory holds.

    Args:
        path: The directory.
        config: The run's settings.
        data: The images that it was trained and tested on.
        pair: Model and guide with the trained weights, on the CPU.
    """

    path: Path
    config: Config
    data: ImageData
    pair: Pair


def open_trained(path: Path) -> Run:
    """Open a run whose training has ended.

    Raises:
        UserError: If it is not a run directory, has no weights yet, or anything in it is damaged.
    """
    config = read_settings(path)
    weights = path / WEIGHTS
    if not weights.is_file():
        raise UserError(
            f"expected trained weights in {weights}, found none: training has not ended; go on with "
            f"python -m examples.train_svi --resume {path}"
        )
    data = load_images(
        config.data,
        data_dir=config.data_dir,
        image_size=config.image_size,
        mixed_sizes=config.mixed_sizes,
        invert=config.invert,
        white=config.white,
    )
    pair = build_pair(weights_to_come(config), data.image_shape)
    load_weights(pair.modules, weights)
    return Run(path, config, data, pair)


def fingerprint(path: Path) -> str:
    """Return a run's weights as a short text that tells them from others."""
    return hashlib.sha256((path / WEIGHTS).read_bytes()).hexdigest()


def read_settings(path: Path) -> Config:
    """Read a run's settings with the parser that wrote them.

    Raises:
        UserError: If ``path`` is not a run directory, or its settings are not those of a run.
    """
    file = open_run(path) / CONFIG
    try:
        return parse_config(config_parser("train_svi", ""), [], base=file)[0]
    except (ArgumentError, UserError) as error:
        raise UserError(f"cannot read the settings in {file}: {error}") from None
