"""Open a run's folder."""

import hashlib
from os import PathLike
from pathlib import Path
from typing import Any

from jsonargparse import ArgumentError

from rnp_pyro.api.data import record_for
from rnp_pyro.api.extras import hub
from rnp_pyro.api.pair import Builder, build_pair, check_registered
from rnp_pyro.api.run import Run
from rnp_pyro.api.settings import config_parser, parse_config
from rnp_pyro.build import weights_to_come
from rnp_pyro.checkpoint import CONFIG, WEIGHTS, load_weights, open_run
from rnp_pyro.config import Config
from rnp_pyro.errors import UserError
from rnp_pyro.pretrained import is_pretrained


def load(path: str | Path, *, data: str | None = None, data_dir: str | None = None, build: Builder = build_pair) -> Run:
    """Open a run whose training has ended. Its images are not looked at.

    Args:
        path: The run's folder, wherever it is now, or ``pretrained:NAME`` for one that comes with the package.
        data: Where its images are now, for what looks at them; needed to open a run of an earlier version whose images
            have moved.
        data_dir: Folder of the public data sets, if it has moved.
        build: What built its model and guide; default: the library.

    Raises:
        UserError: If it is not a run's folder, has no weights yet, or anything in it is damaged.

    Returns:
        The run, on the CPU. It knows the shape, classes and scale of its images by ``data.json`` in its folder.
    """
    if not isinstance(path, str | PathLike):
        raise UserError(f"expected the folder of a run, or pretrained:NAME, got {type(path).__name__}")
    folder = open_run(Path(path))
    config = read_settings(folder)
    weights = folder / WEIGHTS
    if not weights.is_file():
        raise UserError(
            f"expected trained weights in {weights}, found none: training has not ended; go on with "
            f"python -m examples.train_svi --resume {folder}"
        )
    check_registered(config.guide.name)
    record = record_for(folder, config, data, data_dir)
    pair = build(weights_to_come(config), record.image_shape)
    load_weights(pair.modules, weights)
    pair.modules.eval()  # the part term belongs to training
    return Run(config, record, pair, folder, data, data_dir, hash_weights(folder))


def from_pretrained(name: str | Path, **options: Any) -> Run:
    """Open a run of the Hugging Face Hub, a folder that ``save_pretrained`` wrote, or one that comes with the package.

    Args:
        name: OWNER/NAME of a repository, a folder, or ``pretrained:NAME``.
        **options: For the Hub, such as ``revision``, ``token`` and ``local_files_only``.

    Raises:
        UserError: If huggingface_hub is not installed, or it is not a run.
    """
    if not isinstance(name, str | PathLike) or is_pretrained(name) or Path(name).is_dir():
        return load(name)
    return hub().HubRun.from_pretrained(name, **options).run


open_trained = load
"""As commands call it."""


def hash_weights(path: Path) -> str:
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
