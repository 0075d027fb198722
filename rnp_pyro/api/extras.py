"""Modules of ours that need a package which not everybody installs."""

from importlib import import_module
from types import ModuleType

from rnp_pyro.errors import UserError


def hub() -> ModuleType:
    """Import what the Hugging Face Hub needs.

    Raises:
        UserError: If huggingface_hub is not installed.
    """
    try:
        return import_module("rnp_pyro.api.hub")
    except ModuleNotFoundError as error:
        if error.name != "huggingface_hub":
            raise
        raise UserError("expected huggingface_hub to be installed, found none: pip install 'rnp-pyro[hub]'") from None
