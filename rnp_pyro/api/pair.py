"""A model and its guide, built from settings, and what they observe."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from pyro.nn import PyroModule

from guides import GUIDES
from guides.auto import AUTO_GUIDES
from inference.objectives import build_objective
from inference.pairing import check_pair
from inference.refinement import UNREFINED, Refinement, check_refinement, refined
from inference.training.finish import settings_of_parts
from inference.training.task import Weights
from models import MODELS
from models.likelihood import observes_binary
from models.prior import PRIORS
from rnp_pyro.config import Config, GuideConfig
from rnp_pyro.data import binarise, binarise_fixed, to_unit
from rnp_pyro.errors import UserError
from rnp_pyro.limits import check_limits
from rnp_pyro.messages import one_line
from rnp_pyro.seeds import check_seed
from rnp_pyro.shapes import ByteImages, Canvas


@dataclass(frozen=True)
class Pair:
    """A model, its guide, and what they observe.

    Args:
        model: The generative program.
        amortized: The posterior program as the network gives it.
        refinement: How far each image's posterior is improved from there.
        binary: Whether they observe binary pixels.
        seed: The run's.
        own_guide: Whether the guide is another than the settings name.
    """

    model: PyroModule
    amortized: PyroModule
    refinement: Refinement
    binary: bool
    seed: int
    own_guide: bool = False

    @cached_property
    def guide(self) -> PyroModule:
        """The posterior program."""
        return refined(self.model, self.amortized, self.refinement)

    def with_guide(self, guide: PyroModule) -> "Pair":
        """Return the model with a guide that settings need not know."""
        return replace(self, amortized=guide, refinement=UNREFINED, own_guide=True)

    def check_nameable(self) -> None:
        """Refuse to write what would not open again.

        Raises:
            UserError: If the guide is one that settings cannot name.
        """
        if self.own_guide:
            raise UserError(
                "the run has a guide of your own, which its settings cannot name: keep its weights with torch.save("
                'guide.state_dict(), FILE), or register it, from guides import GUIDES; GUIDES["mine"] = build, and '
                'train it by that name, guide="mine"'
            )

    @property
    def modules(self) -> Weights:
        """Both, as one module to save and load."""
        return Weights(self.model, self.amortized)

    def prepare(self, images: ByteImages, step: int) -> Canvas:
        """Turn a training batch's bytes into what the likelihood observes; binary pixels are drawn again each step."""
        unit = to_unit(images)
        return binarise(unit, self.seed, step) if self.binary else unit

    def prepare_fixed(self, images: ByteImages, seed: int = 0) -> Canvas:
        """Turn a split's bytes into what the likelihood observes; binary pixels are drawn once per (seed, index)."""
        unit = to_unit(images)
        return binarise_fixed(unit, seed, torch.arange(len(images))) if self.binary else unit


BuildGuide = Callable[[GuideConfig, Any], PyroModule]
"""What builds a guide, as the entries of ``GUIDES``: from its settings and the model's ``decoder``."""

Builder = Callable[[Config, tuple[int, int, int]], Pair]
"""From a run's settings and the images' channels, rows and columns to model and guide."""


def build_pair(config: Config, image_shape: tuple[int, int, int], own: BuildGuide | None = None) -> Pair:
    """Build model and guide, their weights a function of the seed; the global generators are put back.

    Args:
        config: The run's settings.
        image_shape: Channels, rows and columns of the images.
        own: What builds a guide that the settings cannot name, in place of theirs.

    Raises:
        UserError: If a name is unknown, or settings do not fit.
    """
    check_seed("--seed", config.seed)
    check_limits(config)
    _check_name("model.name", config.model.name, MODELS)
    _check_name("model.prior", config.model.prior, PRIORS)
    if config.guide.name in AUTO_GUIDES:
        raise UserError(
            f"{config.guide.name} has parameters for each of one fixed set of images, and training goes through many: "
            f"expected --guide.name {', '.join(GUIDES)}; with a library call it can be fitted, see docs/guides.md"
        )
    _check_name("guide.name", config.guide.name, GUIDES)
    parts = settings_of_parts(config.train)
    for part in parts:
        build_objective(part)
    refinement = Refinement(config.guide.refine_steps, config.guide.refine_rate, config.guide.refine_particles)
    check_refinement(refinement)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(config.seed)
        model = MODELS[config.model.name](config.model, image_shape)
        guide = GUIDES[config.guide.name](config.guide, model.decoder) if own is None else _built(own, config, model)
        for part in parts:
            check_pair(model, guide, image_shape, part.objective)
    binary = observes_binary(config.model, image_shape)
    return Pair(model, guide, refinement, binary, config.seed, own_guide=own is not None)


def check_registered(name: str) -> None:
    """Refuse to open a run whose guide is none of the table's, and say how it gets there.

    Raises:
        UserError: It is none.
    """
    if name not in GUIDES and name not in AUTO_GUIDES:
        raise UserError(
            f"the run's guide is {name}, which is not registered: before opening it in Python, add what builds it, "
            f'from guides import GUIDES; GUIDES["{name}"] = build'
        )


def _built(own: BuildGuide, config: Config, model: PyroModule) -> PyroModule:
    """Build a guide of the user's own; whatever is raised becomes one line."""
    try:
        return own(config.guide, model.decoder)
    except UserError:
        raise
    except Exception as error:
        name = getattr(own, "__name__", type(own).__name__)
        raise UserError(
            f"expected guide= to build a guide as build(config, decoder), got {name}, which fails: "
            f"{one_line(error)}; wrap what takes other arguments, such as guide=lambda config, decoder: "
            "MyGuide(decoder)"
        ) from error


def _check_name(option: str, name: str, table: dict) -> None:
    if name not in table:
        raise UserError(f"--{option}: expected one of {', '.join(table)}, got {name}")
