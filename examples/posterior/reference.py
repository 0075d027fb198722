"""The work of the command ``reference_posterior``."""

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from tqdm import tqdm

from examples.posterior.config import ReferenceConfig, check
from examples.posterior.image import Piece, check_images, examine, observed_images
from examples.posterior.table import LEGEND, caption, head, markdown, row, verdict
from examples.shared.memory import keep_freed_memory
from examples.shared.parallel import available_processors, run_pieces
from inference.posterior.annealing import AnnealingSettings
from inference.posterior.gaps import GapSettings
from inference.posterior.mcmc import NutsSettings
from rnp_pyro import figures
from rnp_pyro.api.opening import open_trained
from rnp_pyro.api.report import git_commit, versions
from rnp_pyro.api.rows import split_fingerprint
from rnp_pyro.api.run import Run
from rnp_pyro.checkpoint import read_json, write_json, write_text
from rnp_pyro.errors import UserError
from rnp_pyro.writing import writing

KEPT = {"image", "rhat", "nuts_loc", "guide_loc"}
"""Some of what is kept of each image."""

BAR = "{percentage:3.0f}%|{bar}| {elapsed}<{remaining}"


def main(config: ReferenceConfig) -> dict[str, Any]:
    """Examine images, print a table, and write what is asked for.

    Returns:
        The numbers, as in the JSON file.

    Raises:
        UserError: If anything does not fit; nothing is written then.
    """
    check(config)
    keep_freed_memory()
    run = open_trained(Path(config.run), data=config.data, data_dir=config.data_dir)
    check_images(config, run)
    found = _earlier(config, run)
    pieces = [_piece(config, image) for image in config.images if image not in found]
    print("\n".join([head(), *(row(found[image]) for image in config.images if image in found)]), flush=True)
    # On a terminal a bar; elsewhere (a log file) the rows alone.
    with tqdm(total=float(len(pieces)), bar_format=BAR, disable=None) as bar:
        for one in run_pieces(examine, pieces, config.processes or available_processors(), bar.update):
            found[one["image"]] = one
            tqdm.write(row(one))
            if config.json is not None:
                with writing(config.json):
                    write_json(Path(config.json), _numbers(config, run, found))
    numbers = _numbers(config, run, found)
    shown = numbers["images"][: len(config.images)]
    print(LEGEND)
    print(verdict(shown))
    if config.figure is not None:
        figure = draw(run, shown)
        with writing(config.figure):
            figures.save(figure, config.figure)
    if config.markdown is not None:
        with writing(config.markdown):
            write_text(Path(config.markdown), markdown(shown) + "\n")
    for file in filter(None, (config.json, config.figure, config.markdown)):
        print(f"wrote {file}")
    return numbers


def draw(run: Run, images: Sequence[dict[str, Any]]) -> Figure:
    """Draw the guide's moments against the chains', from the numbers of the JSON file."""
    reference, guide = (
        figures.Moments(*(torch.tensor([one[f"{who}_{what}"] for one in images]) for what in ("loc", "scale")))
        for who in ("nuts", "guide")
    )
    return figures.posterior_intervals(
        observed_images(run, [one["image"] for one in images]),
        reference,
        guide,
        [caption(one) for one in images],
    )


def _piece(config: ReferenceConfig, image: int) -> Piece:
    return Piece(
        run=config.run,
        data=config.data,
        data_dir=config.data_dir,
        image=image,
        chains=config.chains,
        seed=config.seed,
        annealing=AnnealingSettings(population=config.population),
        nuts=NutsSettings(warmup=config.warmup, draws=config.draws),
        gaps=GapSettings(steps=config.climb, bound_draws=config.bound_draws, particles=config.particles),
    )


def _numbers(config: ReferenceConfig, run: Run, found: dict[int, dict[str, Any]]) -> dict[str, Any]:
    """Join what was found so far, in the order in which images were named, with what it was found by.

    Images of an earlier command that this one does not name come last: a file does not lose them.
    """
    named = [image for image in config.images if image in found]
    others = [image for image in found if image not in config.images]
    return {
        "images": [found[image] for image in (*named, *others)],
        "settings": _settings(config),
        "weights": run.weights_hash,
        "data": run.data.name,
        "test_images": split_fingerprint(run.data, "test"),
        "versions": versions(),
        "git_commit": git_commit(),
    }


def _settings(config: ReferenceConfig) -> dict[str, Any]:
    """Return what an image's numbers depend on."""
    others = ("run", "data", "data_dir", "images", "json", "figure", "markdown", "processes")
    return {name: value for name, value in asdict(config).items() if name not in others}


def _earlier(config: ReferenceConfig, run: Run) -> dict[int, dict[str, Any]]:
    """Read the images that the JSON file has already.

    Raises:
        UserError: If it is another file, or of another run or other settings.
    """
    if config.json is None or not Path(config.json).exists():
        return {}
    earlier = read_json(Path(config.json))
    expected = {"settings": _settings(config), "weights": run.weights_hash, **_images_of(run, earlier)}
    if not _continues(earlier, expected):
        raise UserError(
            f"{config.json} exists and is of another run, of other images or of other settings, so it cannot continue: "
            "choose another file with --json, or remove it"
        )
    return {one["image"]: one for one in earlier["images"]}


def _images_of(run: Run, earlier: Any) -> dict[str, str]:
    """Return what tells the run's test images from others; by their name alone in a file of an earlier version."""
    if isinstance(earlier, dict) and "test_images" not in earlier:
        return {"data": run.data.name}
    return {"test_images": split_fingerprint(run.data, "test")}


def _continues(earlier: Any, expected: dict[str, Any]) -> bool:
    """Return whether what was read is a file of this command's, with these facts."""
    return (
        isinstance(earlier, dict)
        and all(earlier.get(name) == value for name, value in expected.items())
        and isinstance(images := earlier.get("images"), list)
        and all(isinstance(one, dict) and set(one) >= KEPT for one in images)
    )
