"""Where the project runs: what an environment, or a user's own folder, can put in its way."""

import os
import sys
from contextlib import suppress
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

from rnp_pyro.errors import UserError

BACKEND_VARIABLE = "MPLBACKEND"
OURS = ("models", "guides", "flows", "inference")
"""Packages beside ``rnp_pyro`` whose names a user's own files may have, too."""

WAYS_AROUND = ", or leave its folder out of Python's path: commands as rnp VERB, scripts as python -P SCRIPT"
"""How what hides a package is passed by, where Python itself put its folder first."""

_ROOT = Path(__file__).resolve().parents[2]


def check_packages() -> None:
    """Refuse a user's own module that hides one of the project's packages.

    Raises:
        UserError: There is one, such as ``models.py`` in the folder that the program was started in.
    """
    for name in OURS:
        found = _place(name)
        if found is not None and found.parent != _ROOT:
            raise UserError(f"{found} hides the package {name} that rnp_pyro needs: rename it{_ways_around(found)}")


def _ways_around(found: Path) -> str:
    """Return how the folder of a file is left out of Python's path, where Python itself put it there."""
    if sys.flags.safe_path or not sys.path or found.parent != Path(sys.path[0]).resolve():
        return ""
    return WAYS_AROUND


def _place(name: str) -> Path | None:
    """Return the file or folder that a package would be, or was, imported from; None if there is none."""
    try:
        spec = find_spec(name)
    except ValueError:  # a module without a specification, such as one that a notebook made
        spec = None
    module = sys.modules.get(name)
    file = spec.origin if spec is not None and spec.has_location else getattr(module, "__file__", None)
    if file is not None:
        path = Path(file).resolve()
        return path.parent if path.name == "__init__.py" else path
    folders = list(spec.submodule_search_locations or []) if spec is not None else []
    return Path(folders[0]).resolve() if folders else None


def drop_unknown_backend() -> None:
    """Forget an inherited backend that matplotlib would refuse to be imported with: figures here need none."""
    name = os.environ.get(BACKEND_VARIABLE, "")
    if not name or "matplotlib" in sys.modules:
        return
    if name.startswith("module://"):
        with suppress(Exception):  # what is imported on the way may raise anything
            if find_spec(name.removeprefix("module://")) is not None:
                return
        del os.environ[BACKEND_VARIABLE]
    elif name.lower() != "agg":
        del os.environ[BACKEND_VARIABLE]
        with suppress(ValueError):  # matplotlib itself must not see the name: it cannot be imported a second time
            import_module("matplotlib").rcParams["backend"] = name
            os.environ[BACKEND_VARIABLE] = name
