"""Guide programs. A new one is one file and one line here."""

from collections.abc import Callable
from typing import Any

from pyro.nn import PyroModule

from guides import resnet
from rnp_pyro.config import GuideConfig

GUIDES: dict[str, Callable[[GuideConfig, Any], PyroModule]] = {
    "resnet": resnet.build,
}
"""Name to builder: from settings and the model's ``decoder`` (a tree, or the flat baseline's) to a guide."""
