"""Guide programs. A new guide is one file and one line here."""

from collections.abc import Callable
from typing import Any

from pyro.nn import PyroModule

from guides import flow, full_rank, ladder, resnet
from rnp_pyro.config import GuideConfig

GUIDES: dict[str, Callable[[GuideConfig, Any], PyroModule]] = {
    "resnet": resnet.build,
    "full_rank": full_rank.build,
    "flow": flow.build,
    "ladder": ladder.build,
}
"""Name to builder: from settings and the model's ``decoder`` (a tree, or the flat baseline's) to a guide."""
