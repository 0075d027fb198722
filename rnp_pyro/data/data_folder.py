"""Where the public data sets lie on this machine."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

from rnp_pyro.errors import UserError

DATA_VARIABLE = "RNP_DATA"
"""Environment variable that names the folder with the user's data sets."""

_MOST_CHILDREN = 200
"""Folders below a folder that are looked into; one with more is hardly a folder of data sets."""

_LAYOUT_NAMES = {
    "raw", "gzip", "mnist", "fashionmnist", "kmnist", "emnist", "omniglot", "omniglotpy", "python", "omniglotmaster",
    "imagesbackground", "imagesevaluation", "oneshotclassification", "allruns", "eth80",
}  # fmt: skip
"""Folders of the data sets' own layouts, as ``plain_name`` has them: from one of these, one looks above it, too."""


def data_folder(data_dir: str | None) -> Path:
    """Return the folder of data sets: ``data_dir``, else $RNP_DATA, else ``~/.cache/rnp-pyro``.

    Raises:
        UserError: It is a file, or lies in a home folder that this machine does not know.
    """
    named = data_dir or os.environ.get(DATA_VARIABLE)
    folder = user_path(named) if named else _cache()
    if folder.exists() and not folder.is_dir():
        raise UserError(f"expected a folder of data sets, got {str(folder)!r}, which is a file: name its folder")
    return folder


def user_path(named: str) -> Path:
    """Return a path that a user named, ``~`` replaced by the home folder.

    Raises:
        UserError: It begins with ``~``, and there is no such home folder.
    """
    try:
        return Path(named).expanduser()
    except RuntimeError:  # no HOME, and a user whom the machine has no name for, as in some containers
        raise UserError(f"there is no home folder for {named!r}: name the whole path, or set HOME") from None


def _cache() -> Path:
    try:
        return Path.home() / ".cache" / "rnp-pyro"
    except RuntimeError:
        raise UserError(
            f"there is no home folder to look for data sets in: name their folder with --data_dir, or with "
            f"${DATA_VARIABLE}"
        ) from None


def find_file(folder: Path, name: str) -> Path | None:
    """Find a file in a folder, or in the one above or one below where a user named these; None if there is none."""
    return next((place / name for place in places(folder) if (place / name).is_file()), None)


def find_folder(folder: Path, fits: Callable[[Path], bool], *below: str) -> Path | None:
    """Find the folder that holds a data set's files, where a user named it, or one above or below.

    Args:
        folder: What the user named.
        fits: Whether a folder is it.
        below: Where it usually lies in a folder of data sets, such as ``MNIST/raw``; the first that fits counts.
    """
    for place in places(folder):
        for path in (*(place / name for name in below), place):
            if path.is_dir() and fits(path):
                return path
    return None


def places(folder: Path) -> Iterator[Path]:
    """Yield a folder, those in it, and those above it as long as it is of a data set's own layout."""
    yield folder
    try:
        inside = sorted(path for path in folder.iterdir() if path.is_dir()) if folder.is_dir() else []
    except OSError as error:
        raise UserError(f"expected a folder that can be read, got {str(folder)!r} ({error.strerror})") from error
    yield from inside[:_MOST_CHILDREN]
    place = folder.absolute()
    while plain_name(place.name) in _LAYOUT_NAMES:
        place = place.parent
        yield place


def plain_name(name: str) -> str:
    """Return a name in small letters, without what stands between its words."""
    return name.lower().replace("-", "").replace("_", "").replace(" ", "")
