"""Guide programs. A new guide is one file and one line here."""

from collections.abc import Callable
from typing import Any

from pyro.nn import PyroModule

from guides import ladder, resnet
from rnp_pyro.config import GuideConfig

GUIDES: dict[str, Callable[[GuideConfig, Any], PyroModule]] = {
    "resnet": resnet.build,
    "full_rank": resnet.build,
    "flow": resnet.build,
    "ladder": ladder.build,
}
"""Name to builder: from settings and the model's ``decoder`` (a tree, or the flat baseline's) to a guide.
``full_rank`` and ``flow`` are ``resnet`` with that root."""
