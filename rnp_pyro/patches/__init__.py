"""Patch decoders: each is one file, one line in the table."""

from collections.abc import Callable

from rnp_pyro.config import TreeConfig
from rnp_pyro.patch import PatchDecoder
from rnp_pyro.patches import conv, dense, primitives

PATCH_DECODERS: dict[str, Callable[[TreeConfig, int, int], PatchDecoder]] = {
    "dense": dense.build,
    "conv": conv.build,
    "primitives": primitives.build,
}
"""From a tree's settings, |z| and the images' channels to a patch decoder."""
