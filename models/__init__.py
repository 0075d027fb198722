"""Generative Pyro programs. A new model is one file and one line here."""

from collections.abc import Callable

from pyro.nn import PyroModule

from models import rnp, vae
from rnp_pyro.config import ModelConfig

MODELS: dict[str, Callable[[ModelConfig, tuple[int, int, int]], PyroModule]] = {
    "rnp": rnp.build,
    "vae": vae.build,
}
"""Name to builder: from settings and an image's channels, rows and columns to a model with a ``decoder``."""
