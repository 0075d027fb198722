"""Hold a guide against NUTS: python -m examples.reference_posterior RUN [--images 0 1 2 3 4] [--json FILE] ...

For each image the posterior of the root program by a long run, what the guide makes of it, and why its bound is loose.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure
from tqdm import tqdm

from examples.posterior.config import ReferenceConfig, check, check_images
from examples.posterior.image import Piece, examine, observed_images
from examples.posterior.table import LEGEND, caption, head, markdown, row, verdict
from examples.shared.cli import run_command
from examples.shared.memory import keep_freed_memory
from examples.shared.parallel import available_processors, run_pieces
from inference.posterior.annealing import AnnealingSettings
from inference.posterior.gaps import GapSettings
from inference.posterior.mcmc import NutsSettings
from rnp_pyro import figures
from rnp_pyro.api.report import git_commit, versions
from rnp_pyro.api.run import Run, fingerprint, open_trained
from rnp_pyro.api.settings import make_parser
from rnp_pyro.checkpoint import read_json, write_json, write_text
from rnp_pyro.errors import UserError

BAR = "{percentage:3.0f}%|{bar}| {elapsed}<{remaining}"

DESCRIPTION = (
    "Hold a run's guide against a reference, image by image. Populations of draws from the prior are annealed to the "
    "posterior of the root program; from one draw of each, a chain of the No-U-Turn sampler (Pyro's, float64). The "
    "table gives r-hat (largest over dimensions), effective sample size (smallest), the guide's means less the "
    "chains', in posterior standard deviations, the guide's standard deviations over the chains', and the terms of the "
    "gap: the guide's ELBO, the ELBO of the best diagonal normal, log p(x) by annealed importance sampling from the "
    "chains' moments, k-hat of its weights, approximation and amortization gap, in nats with standard errors."
)


def main(config: ReferenceConfig) -> dict[str, Any]:
    """Examine images, print a table, and write what is asked for.

    Returns:
        The numbers, as in the JSON file.

    Raises:
        UserError: If anything does not fit; nothing is written then.
    """
    check(config)
    keep_freed_memory()
    run = open_trained(Path(config.run))
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
                _write(lambda: write_json(Path(config.json or ""), _numbers(config, run, found)))
    numbers = _numbers(config, run, found)
    shown = numbers["images"][: len(config.images)]
    print(LEGEND)
    print(verdict(shown))
    if config.figure is not None:
        figure = draw(run, shown)
        _write(lambda: figures.save(figure, config.figure or ""))
    if config.markdown is not None:
        _write(lambda: write_text(Path(config.markdown or ""), markdown(shown) + "\n"))
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
        "weights": fingerprint(run.path),
        "data": run.data.name,
        "versions": versions(),
        "git_commit": git_commit(),
    }


def _settings(config: ReferenceConfig) -> dict[str, Any]:
    """Return what an image's numbers depend on."""
    others = ("run", "images", "json", "figure", "markdown", "processes")
    return {name: value for name, value in asdict(config).items() if name not in others}


def _earlier(config: ReferenceConfig, run: Run) -> dict[int, dict[str, Any]]:
    """Read the images that the JSON file has already.

    Raises:
        UserError: If it is another file, or of another run or other settings.
    """
    if config.json is None or not Path(config.json).exists():
        return {}
    earlier = read_json(Path(config.json))
    expected = {"settings": _settings(config), "weights": fingerprint(run.path)}
    if not isinstance(earlier, dict) or any(earlier.get(name) != value for name, value in expected.items()):
        raise UserError(
            f"{config.json} exists and is not of this run under these settings, which alone could go on: choose "
            "another file with --json, or remove it"
        )
    return {one["image"]: one for one in earlier["images"]}


def _write(write: Callable[[], None]) -> None:
    try:
        write()
    except OSError as error:
        raise UserError(f"cannot write {error.filename or 'the file'}: {error.strerror or error}") from None


def command(arguments: Sequence[str]) -> None:
    """Read the command line and examine."""
    parser = make_parser("reference_posterior", DESCRIPTION)
    parser.add_argument("run", metavar="RUN", type=str, help="Run directory that train_svi wrote, its training ended.")
    parser.add_argument(
        "--images", nargs="+", type=int, default=[0, 1, 2, 3, 4], help="Numbers of images in the test split, from 0."
    )
    parser.add_class_arguments(ReferenceConfig, None, skip={"run", "images"})
    values = vars(parser.instantiate(parser.parse_args(list(arguments))))
    main(ReferenceConfig(**{**values, "images": tuple(values["images"])}))


if __name__ == "__main__":
    run_command(command)
