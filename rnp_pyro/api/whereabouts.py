"""Places that a run's settings name: whole paths in the run's own folder, the last name alone in copies to give away.

A run is opened from any working directory, while what is published of it says nothing of the machine.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rnp_pyro.config import Config
from rnp_pyro.data.data_folder import user_path
from rnp_pyro.patches.primitives import BLANK, DRAWN, names
from rnp_pyro.pretrained import is_pretrained

BY_PATH = ("folder:", "array:")
"""Names of data sets that end in a path."""


def with_whole_paths(config: Config) -> Config:
    """Return settings whose places are found from every working directory.

    Raises:
        UserError: If there is no home folder for a ``~``.
    """
    return _mapped(config, lambda path: str(user_path(path).absolute()))


def without_places(config: Config) -> Config:
    """Return settings to give away: of each whole path its last name alone, and no folder of data sets."""
    return replace(_mapped(config, last_name), run=None, data_dir=None)


def whole_data(data: str) -> str:
    """Return the name of a data set with its path whole."""
    return _data(data, lambda path: str(user_path(path).absolute()))


def brief_data(data: str) -> str:
    """Return the name of a data set without the folders that its path lies in."""
    return _data(data, last_name)


def last_name(path: str) -> str:
    """Return a whole path's last name; other paths say nothing of the machine, and stay."""
    return Path(path).name if Path(path).is_absolute() or path.startswith("~") else path


def _data(data: str, change: Callable[[str], str]) -> str:
    kind = next((one for one in BY_PATH if data.startswith(one)), None)
    return data if kind is None else kind + change(data.removeprefix(kind))


def _mapped(config: Config, change: Callable[[str], str]) -> Config:
    """Change every path in settings."""

    def changed(path: str | None) -> str | None:
        return None if path is None else change(path)

    images = tuple(name if name in (*DRAWN, BLANK) else change(name) for name in names(config.model.tree))
    tree = replace(config.model.tree, primitives=images)
    return replace(
        config,
        model=replace(config.model, tree=tree) if images != names(config.model.tree) else config.model,
        data=_data(config.data, change),
        data_dir=changed(config.data_dir),
        init=config.init if config.init is not None and is_pretrained(config.init) else changed(config.init),
        train=replace(config.train, schedule=changed(config.train.schedule)),
    )
