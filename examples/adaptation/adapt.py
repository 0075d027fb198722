"""Adapt a run's guide to new images while its model stays as it is."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from inference.bounds import elbo_terms, reconstruct
from inference.estimates import standard_error
from rnp_pyro.api.opening import open_trained
from rnp_pyro.api.report import EVALUATION_SEED
from rnp_pyro.api.run import Run
from rnp_pyro.api.training import train_run
from rnp_pyro.checkpoint import CHECKPOINT, SUMMARY, WEIGHTS
from rnp_pyro.config import Config
from rnp_pyro.data import ImageData, to_unit
from rnp_pyro.data.image_data import SPLITS, Split
from rnp_pyro.errors import UserError
from rnp_pyro.shapes import ByteImages


def divided(data: ImageData, split: str, count: int, measured: int) -> ImageData:
    """Return what a run is adapted to and what it is measured on.

    Args:
        data: The new data.
        split: Where new images come from; of ``test`` every second image is measured, and the others are new.
        count: How many new images; 0: all.
        measured: How many test images.
    """
    chosen: dict[str, Split] = {name: data.split(name) for name in SPLITS}
    if split == "test":
        both = chosen["test"]
        chosen["train"] = both.take(torch.arange(0, len(both), 2))
        chosen["test"] = both.take(torch.arange(1, len(both), 2))
    chosen["train"] = chosen["train"].take(torch.arange(len(chosen["train"]))[: count or None])
    # What is known of the new images is what is adapted to: no others choose anything.
    chosen["validation"] = chosen["train"].take(torch.arange(min(len(chosen["train"]), 500)))
    chosen["test"] = chosen["test"].take(torch.arange(len(chosen["test"]))[:measured])
    if not len(chosen["train"]) or not len(chosen["test"]):
        raise UserError(f"expected new images and others to measure in {data.name}, got too few of them")
    changes: dict[str, Any] = {}
    for name, one in chosen.items():
        changes[name] = one.images
        changes |= {f"{name}_{what}": getattr(one, what) for what in ("labels", "files", "masks")}
    return replace(data, **changes)


def adapted(run: Run, data: ImageData, path: Path, steps: int, seed: int, only: str = "guide") -> Run:
    """Train a run's guide on new images, or open what was trained into the folder before.

    Args:
        run: The run.
        data: New images.
        path: Folder of the adapted run.
        steps: How long.
        seed: Of batches and noise.
        only: The parts that are trained.
    """
    if not (path / WEIGHTS).is_file() or not (path / SUMMARY).is_file():
        resume = (path / CHECKPOINT).is_file()
        if path.is_dir() and not resume:
            shutil.rmtree(path)
        train = replace(
            run.config.train,
            minutes=None,
            epochs=None,
            schedule=None,
            steps=steps,
            only=only,
            freeze=None,
            # The latents are in use already.
            kl_warmup=0.0,
            kl_floor=1.0,
        )
        config: Config = replace(
            run.config,
            data=data.name,
            classes=None,
            classes_out=None,
            run=str(path),
            train=train,
            seed=seed,
            init=run.name,
            init_parts=None,
        )
        trained = train_run(config, data, path, resume=resume, silent=True)
        if not trained.outcome.finished:
            raise KeyboardInterrupt  # it was saved, and the same command goes on from there
    return open_trained(path)


def measured(run: Run, images: ByteImages) -> dict[str, Any]:
    """Measure a run on images: squared error per image, -ELBO in nats, and the errors of both."""
    observed, grey = run.pair.prepare_fixed(images, EVALUATION_SEED), to_unit(images)
    error = (reconstruct(run.pair.model, run.pair.guide, observed) - grey).square().flatten(1).sum(-1)
    nats = elbo_terms(run.pair.model, run.pair.guide, observed, EVALUATION_SEED).neg_elbo
    return {
        "squared_error": float(error.mean()),
        "squared_error_standard_error": standard_error(error) if len(images) > 1 else None,
        "neg_elbo": float(nats.mean()),
        "neg_elbo_standard_error": standard_error(nats) if len(images) > 1 else None,
        "n": len(images),
    }
