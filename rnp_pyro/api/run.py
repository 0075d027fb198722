"""A trained run, opened: what it was trained with, its model and guide, and what can be done with them."""

from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from pyro.nn import PyroModule

from inference.completion.fillings import Search
from inference.pairing import check_pair
from inference.predictive import sample_prior
from rnp_pyro.api.answers import alone, bound_evidence, fill_in, seen_by
from rnp_pyro.api.data import IN_MEMORY, as_trained, load_data
from rnp_pyro.api.encoding import encode
from rnp_pyro.api.extras import hub
from rnp_pyro.api.given import Given, as_observed, given
from rnp_pyro.api.pair import Pair
from rnp_pyro.api.record import DataRecord
from rnp_pyro.api.report import draw_parts, mean_parse
from rnp_pyro.api.results import Completions, Evaluation, Samples
from rnp_pyro.api.rows import rows_of
from rnp_pyro.api.saving import write_run
from rnp_pyro.api.trees import PartTree, PartTrees
from rnp_pyro.checkpoint import create_run
from rnp_pyro.config import Config
from rnp_pyro.data import ImageData
from rnp_pyro.errors import UserError
from rnp_pyro.part_tree.value import select, tree_value
from rnp_pyro.pretrained import name_of
from rnp_pyro.seeds import check_count, check_seed
from rnp_pyro.tree import Tree


@dataclass(frozen=True)
class Run:
    """A trained model and its guide, as ``rnp_pyro.fit`` and ``rnp_pyro.load`` return it.

    Wherever a method takes images, these are of the run's size: an array or a tensor ``[N,H,W]``, ``[N,H,W,C]`` or
    ``[N,C,H,W]``, or a list of pictures (``rnp_pyro/api/arrays.py``). Their numbers are read on the scale that the run
    was trained on, and dark ink on a bright ground is inverted if the run's own images were.

    Args:
        config: The run's settings.
        record: What it knows of its images without looking at them.
        pair: Model and guide with the trained weights.
        path: Its folder; None: it is in memory only.
        data_now: Where its images are now, if not where its settings say.
        data_dir_now: Folder of the public data sets, if not the settings'.
        weights_hash: What tells the weights in the folder from others; None: they are in memory only.
    """

    config: Config
    record: DataRecord
    pair: Pair
    path: Path | None = None
    data_now: str | None = field(default=None, repr=False)
    data_dir_now: str | None = field(default=None, repr=False)
    weights_hash: str | None = field(default=None, repr=False)

    @property
    def model(self) -> PyroModule:
        """The generative program."""
        return self.pair.model

    @property
    def guide(self) -> PyroModule:
        """The posterior program."""
        return self.pair.guide

    @property
    def origin(self) -> dict[str, str]:
        """What files that are made of the run say of it: its folder and its weights; nothing of a run in memory."""
        return {} if self.weights_hash is None else {"run": self.name, "weights": self.weights_hash}

    @property
    def name(self) -> str:
        """What it is called in files and messages: its folder, or ``pretrained:NAME``."""
        return "a run in memory" if self.path is None else name_of(self.path)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the images."""
        return self.record.image_shape

    @cached_property
    def data(self) -> ImageData:
        """The images that the run was trained and tested on, loaded when they are first looked at.

        Raises:
            UserError: If they are not there, do not fit, or have changed.
        """
        if self.path is None and self.record.name == IN_MEMORY:
            raise UserError(
                "the run was trained on an array, which it does not keep: give your images where it asks for its own, "
                "as in run.evaluate(images), or train on a data set by name, which run.data finds again"
            )
        data = load_data(self.config, self.data_now, self.data_dir_now)
        if self.data_now is None:  # by the name that the user gave it, and not by the whole path
            data = replace(data, name=self.record.name)
        return as_trained(self.record, data, named=self.data_now is not None)

    @property
    def tree(self) -> Tree:
        """The recursive neural program.

        Raises:
            UserError: If it is a run of the flat baseline, which has no parts.
        """
        if not isinstance(tree := self.pair.model.decoder, Tree):
            raise UserError(
                f"expected a run of a model with parts, got {self.name} of {self.config.model.name}, which "
                "has none: name a run of model rnp"
            )
        return tree

    def given(self, images: Any) -> Given:
        """Return images as bytes, within [0, 1], and as the likelihood observes them, ``[N C H W]`` each.

        What is ``observed`` goes into ``run.model`` and ``run.guide``: ``run.guide(run.given(images).observed)`` draws
        from the posterior.

        Raises:
            UserError: If the images do not fit.
        """
        return given(images, self.record, self.pair)

    def with_guide(self, guide: PyroModule) -> "Run":
        """Return the run with another guide, such as one of your own, in memory: it parses, evaluates, completes.

        Raises:
            UserError: If the guide does not fit the model.
        """
        check_pair(self.model, guide, self.image_shape)
        return replace(self, pair=self.pair.with_guide(guide), path=None, weights_hash=None)

    @torch.no_grad()
    def parse(self, images: Any) -> PartTrees:
        """Explain each image by a tree of parts: the guide's mean of its root program, unfolded.

        The same images give the same trees.

        Raises:
            UserError: If the images do not fit, or the model has no parts.
        """
        tree, seen = self.tree, self.given(images)
        with alone():
            batch = tree_value(tree, mean_parse(self.pair, tree, seen.observed))
        found = [PartTree(select(batch, at), image, tree, self.origin) for at, image in enumerate(seen.unit)]
        return PartTrees(tuple(found))

    def sample(self, num: int = 64, temperature: float = 1.0, seed: int = 0) -> Samples:
        """Draw images from the prior: their means ``[num C H W]`` in [0, 1], not draws of pixels, with their parts.

        Args:
            num: How many, at least 1.
            temperature: Factor of the prior's standard deviation, at least 0; below 1 samples are more typical.
            seed: Of the draws.

        Raises:
            UserError: If a number is out of range.
        """
        check_count("num", num, 1)
        if not isinstance(temperature, int | float) or not 0 <= temperature < float("inf"):
            raise UserError(f"expected a temperature of at least 0, got {temperature}")
        check_seed("seed", seed)
        with alone():
            drawn = sample_prior(self.pair.model, self.image_shape, num, temperature, seed)
            tree = self.pair.model.decoder
            parts = draw_parts(tree, drawn.parse).parts if isinstance(tree, Tree) and drawn.parse is not None else None
        return Samples(drawn.mean, parts, drawn.latents)

    def encode(self, images: Any) -> dict[str, np.ndarray]:
        """Return the codes of images: programs, actions and poses of all levels, as the command ``encode`` writes them.

        Raises:
            UserError: If the images do not fit.

        Returns:
            Arrays by name. Of n images they are ``z.K`` ``[n Z]`` for the root, and ``z.L`` ``[n N Z]``, ``action.L``
            ``[n N 6]`` and ``pose.L`` ``[n N 2 3]`` for the N nodes of each level L below it, all at the guide's mean,
            and ``posterior_scale.SITE``, standard deviations where they have a formula. A flat VAE has the root alone.
        """
        observed = self.given(images).observed
        with alone():
            return {name: array.detach().cpu().numpy() for name, array in encode(self.pair, observed).items()}

    def evaluate(self, images: Any = None, particles: int = 100, seed: int = 0, progress: bool = True) -> Evaluation:
        """Bound the evidence of images by importance sampling.

        Args:
            images: Which; default: the test images that the run was not trained on, if they are where they were.
            particles: Draws from the guide for each image, at least 1; more make the bound tighter.
            seed: Of the draws; an image's binary pixels do not depend on it.
            progress: Show a bar.

        Raises:
            UserError: If the images do not fit or are not there, or a number is out of range.

        Returns:
            Upper bounds on -log p(x), in nats per image, with standard errors over images and k-hat.
        """
        check_count("particles", particles, 1)
        check_seed("seed", seed)
        seen = as_observed(rows_of(self.data, "test").images, self.pair) if images is None else self.given(images)
        return bound_evidence(self.pair, seen.observed, seen.unit, particles, seed, progress)

    def complete(
        self, images: Any, mask: Any = "bottom", num: int = 8, particles: int = 512, rounds: int = 5, seed: int = 0
    ) -> Completions:
        """Complete images of which a part is hidden: the expected images ``[n C H W]``, and draws ``[num n C H W]``.

        Args:
            images: Whole images; what is hidden of them is not looked at.
            mask: What is hidden: left, right, top or bottom (a half), LEFT,TOP,WIDTH,HEIGHT in pixels as a text or as
                four numbers, or an array of bool [H,W] that is true where pixels are hidden.
            num: Draws for each image, at least 1.
            particles: Particles that are weighed for each image in each round, at least 1.
            rounds: Times that hidden pixels are filled in from the best particles, at least 0.
            seed: Of all draws.

        Raises:
            UserError: If the images, the mask or a number do not fit.
        """
        for name, number, least in (("num", num, 1), ("particles", particles, 1), ("rounds", rounds, 0)):
            check_count(name, number, least)
        check_seed("seed", seed)
        seen = seen_by(mask, self.image_shape)
        whole = self.given(images)
        return fill_in(self.pair, whole.observed, whole.unit, seen, num, Search(particles, rounds, seed=seed))

    def save(self, path: str | Path, half: bool = False) -> Path:
        """Write the run and a model card into a new folder, from which it opens anywhere without its images.

        Of whole paths in its settings it keeps the last name alone: nothing in it tells of this machine.

        Args:
            path: The folder.
            half: Keep weights in half precision: half the size.

        Raises:
            UserError: If the folder exists or cannot be written to.
        """
        self.pair.check_nameable()
        return self.write(create_run(Path(path), "name another, or take it away first"), half)

    def write(self, folder: Path, half: bool = False) -> Path:
        """Write the run and a model card into a folder that exists; files of these names are replaced.

        Raises:
            UserError: If the folder cannot be written to.
        """
        write_run(self.config, self.record, self.pair, self.path, folder, half)
        return folder

    def save_pretrained(self, path: str | Path, half: bool = False) -> Path:
        """Write the run as ``from_pretrained`` reads it: :meth:`write` into a folder, which is made if need be.

        Raises:
            UserError: If huggingface_hub is not installed, or the folder cannot be written to.
        """
        hub().HubRun(self, half).save_pretrained(path)
        return Path(path)

    def push_to_hub(self, repo: str, half: bool = False, **options: Any) -> str:
        """Upload the run to the Hugging Face Hub, and return the commit's address.

        Args:
            repo: OWNER/NAME of the repository, which is made if need be.
            half: Keep weights in half precision: half the size.
            **options: The mixin's, such as ``private`` and ``token``.

        Raises:
            UserError: If huggingface_hub is not installed.
        """
        return hub().HubRun(self, half).push_to_hub(repo, **options)

    def __repr__(self) -> str:
        channels, rows, columns = self.image_shape
        kind = "colour" if channels == 3 else "grey"
        guide = type(self.pair.amortized).__name__ if self.pair.own_guide else self.config.guide.name
        where = "in memory" if self.path is None else f"in {self.name}"
        return (
            f"<run of {self.config.model.name} with guide {guide}, trained on "
            f"{self.record.num_images['train']} {kind} images of {rows}x{columns} pixels ({self.record.name}), {where}>"
        )

    def _repr_png_(self) -> bytes:
        return self.sample(64, seed=0)._repr_png_()
