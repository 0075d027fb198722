"""Recursive Neural Programs: the deterministic core, torch only. Start at models/rnp.py.

The library's door, resolved on first use so that importing the core imports neither Pyro nor torch:
``rnp_pyro.fit(images)`` trains, ``rnp_pyro.load(path)`` opens a trained run (docs/library.md).
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rnp_pyro.api.fitting import fit
    from rnp_pyro.api.opening import from_pretrained, load
    from rnp_pyro.api.run import Run
    from rnp_pyro.errors import UserError

__version__ = "0.1.0"

__all__ = ["Run", "UserError", "__version__", "fit", "from_pretrained", "load"]

_DOOR = {
    "fit": "rnp_pyro.api.fitting",
    "load": "rnp_pyro.api.opening",
    "from_pretrained": "rnp_pyro.api.opening",
    "Run": "rnp_pyro.api.run",
    "UserError": "rnp_pyro.errors",
}


def __getattr__(name: str) -> Any:
    if name not in _DOOR:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    if name != "UserError":
        import_module("rnp_pyro.api.places").check_packages()
    return getattr(import_module(_DOOR[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *_DOOR})
