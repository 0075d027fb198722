"""Trained runs that come with the package: ``pretrained:NAME`` is taken wherever a run's folder is.

Each folder here is a run with its weights in half precision, and a model card, ``README.md``.
"""

from pathlib import Path

from rnp_pyro.errors import UserError

PREFIX = "pretrained:"
_FOLDER = Path(__file__).parent


def pretrained_names() -> list[str]:
    """List the runs that come with the package."""
    return sorted(one.name for one in _FOLDER.iterdir() if (one / "config.yaml").is_file())


def is_pretrained(name: str | Path) -> bool:
    """Return whether a run's name is one of the package's."""
    return str(name).startswith(PREFIX)


def folder_of(name: str | Path) -> Path:
    """Return a run's folder: the package's for ``pretrained:NAME``, else the path itself.

    Raises:
        UserError: If no run of that name comes with the package.
    """
    if not is_pretrained(name):
        return Path(name)
    short = str(name).removeprefix(PREFIX)
    if short not in (names := pretrained_names()):
        raise UserError(f"expected one of {', '.join(PREFIX + one for one in names)}, got {name}")
    return _FOLDER / short


def name_of(folder: Path) -> str:
    """Return what a run is called: ``pretrained:NAME`` for one of the package's, else its path."""
    return PREFIX + folder.name if folder.parent == _FOLDER else str(folder)
