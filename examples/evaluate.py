"""Evaluate a run by importance sampling: python -m examples.evaluate RUN [--particles 500] [--images 1000] ...

Bounds on each image's log evidence that become tighter with more particles, and whether the weights can be trusted.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import torch
from matplotlib.figure import Figure
from tqdm import tqdm

from examples.cli import check_output, make_parser, run_command
from examples.evidence import active_dimensions, as_json, describe, verdict
from examples.memory import keep_freed_memory
from examples.report import EVALUATION_SEED, git_commit, versions
from examples.run import Run, open_trained
from examples.train_svi import launch
from inference.arviz_export import WeighedImages, arviz_groups, read_netcdf, save_netcdf
from inference.elbo import Terms
from inference.evaluate import latent_means, reconstruct
from inference.importance import Evidence, fitted_sampling, join, judge, particle_terms
from rnp_pyro import figures
from rnp_pyro.checkpoint import write_json
from rnp_pyro.config import FabricConfig
from rnp_pyro.data import to_unit
from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Canvas

MOST_PARTICLES = 10_000_000
"""The weights of one image must fit in memory, several times: here a gigabyte."""

MOST_SAVED = 10_000_000
"""Log weights that a netCDF file holds: 80 MB before compression. Weights of further images are left out."""

MOST_PARTICLES_SAVED = 100_000

Groups = dict[str, Any]
"""From names to xarray data sets."""

DESCRIPTION = (
    "Evaluate a run by importance sampling: bounds on the log evidence of each image from K = 1, 10, 100, ... "
    "particles (K = 1 is the ELBO), all particles serving in groups of K, with standard errors over images; KL; "
    "squared error; Pareto k-hat, which tells where the weights are not to be trusted; the dimensions of the root's "
    "latent that are in use. "
    "Binary pixels are those of every evaluation of the data, whatever the seed; the seed is that of the particles."
)


@dataclass(frozen=True)
class EvaluateConfig:
    """What to evaluate, and how thoroughly.

    Args:
        run: Run directory that train_svi wrote, its training ended.
        particles: Draws from the guide for each image, 1 to 10,000,000; memory does not grow with their number but
            for the weights of one image.
        images: Number of images, from the first of the split on, at least 1; all if the split has fewer.
        split: Which of the run's images: test, train or validation.
        seed: Of the draws, at least 0.
        refine_steps: Gradient steps that improve each image's posterior before it is drawn from, at least 0; default:
            as the run was trained (guide.refine_steps).
        json: File to write the numbers to.
        arviz: netCDF file to write for ArviZ, with at most 100,000 particles. Beside it go a k-hat plot and a
            posterior predictive check, NAME_khat.png and NAME_posterior_predictive.png.
        overwrite: Replace files that exist.
        accelerator: Where to compute: cpu, cuda, mps, ..., or auto: what the machine has.
    """

    run: str
    particles: int = 500
    images: int = 1000
    split: Literal["test", "train", "validation"] = "test"
    seed: int = 0
    refine_steps: int | None = None
    json: str | None = None
    arviz: str | None = None
    overwrite: bool = False
    accelerator: str = "auto"


def main(config: EvaluateConfig) -> dict[str, Any]:
    """Evaluate, print, and write what is asked for.

    Returns:
        The numbers, as in the JSON file.

    Raises:
        UserError: If anything does not fit; nothing is written then.
    """
    _check(config)
    keep_freed_memory()
    run = _refine(open_trained(Path(config.run)), config.refine_steps)
    images = getattr(run.data, config.split)[: config.images]
    if len(images) == 0:
        raise UserError(f"expected images in the {config.split} split of {run.data.name}, found none: choose another")
    device = launch(FabricConfig(config.accelerator, devices=1)).device
    run.pair.modules.to(device)
    observed = run.pair.prepare_fixed(images, EVALUATION_SEED).to(device, next(run.pair.guide.parameters()).dtype)
    begin = time.perf_counter()
    evidence, saved = weigh(run, observed, config)
    seconds = time.perf_counter() - begin
    errors = (reconstruct(run.pair.model, run.pair.guide, observed) - to_unit(images).to(device)).square()
    means = latent_means(run.pair.guide, observed)[run.pair.model.decoder.root_site]
    numbers = as_json(evidence, errors.cpu(), active_dimensions(means), seconds)
    about = {"particles": config.particles, "images": len(images), "split": config.split, "seed": config.seed}
    numbers |= {
        **about,
        "refine_steps": run.pair.refinement.steps,
        "data": run.data.name,
        "run": str(run.path),
        "versions": versions(),
        "git_commit": git_commit(),
    }
    print(describe(numbers, latent_size=means.shape[-1]))
    print(verdict(evidence.khat, config.particles))
    weighed = WeighedImages(observed[: saved.kl.shape[-1]], saved, config.seed)
    groups = arviz_groups(run.pair.model, run.pair.guide, weighed) if config.arviz is not None else {}
    if config.json is not None:
        _write([Path(config.json)], lambda path: write_json(path, numbers))
    if config.arviz is not None:
        attributes = {"inference_library": "rnp-pyro", "split": config.split, "data": run.data.name}
        _write(saved_files(config.arviz), lambda path: (save_netcdf(groups, path, attributes), draw_checks(path)))
    return numbers


def _refine(run: Run, steps: int | None) -> Run:
    """Take so many steps of refinement in place of the run's own."""
    if steps is None:
        return run
    return replace(run, pair=replace(run.pair, refinement=replace(run.pair.refinement, steps=steps)))


def weigh(run: Run, observed: Canvas, config: EvaluateConfig) -> tuple[Evidence, Terms]:
    """Weigh all particles; give what they tell of all images, and the weights of those that are to be saved."""
    model, guide, sampling = run.pair.model, run.pair.guide, fitted_sampling(config.particles, config.seed)
    num_saved = min(len(observed), max(1, MOST_SAVED // config.particles)) if config.arviz is not None else 1
    evidence, saved = [], []
    # On a terminal a bar; elsewhere (a log file) nothing.
    with tqdm(total=config.particles * len(observed), unit=" particles", unit_scale=True, disable=None) as bar:
        for chosen, terms in particle_terms(model, guide, observed, sampling, bar.update):
            if not terms.neg_elbo.isfinite().all():
                raise UserError(
                    f"image {chosen.start} or a neighbour has no finite likelihood under {run.path}: its weights are "
                    "damaged, or its training went wrong"
                )
            evidence.append(judge(terms))
            if chosen.start < num_saved:
                saved.append(terms)
    names = ("reconstruction", "kl")
    return join(evidence), Terms(*(torch.cat([getattr(t, name) for t in saved], -1)[:, :num_saved] for name in names))


def draw_checks(path: Path) -> None:
    """Draw the k-hat plot and the posterior predictive check from a netCDF file, beside it."""
    groups = read_netcdf(path)
    for draw, file in zip(CHECKS.values(), saved_files(str(path))[1:], strict=True):
        figures.save(draw(groups), file)


def _draw_khat(groups: Groups) -> Figure:
    stats = groups["sample_stats"]
    return figures.khat(stats["khat"].values, num_particles=stats.sizes["draw"])


def _draw_predictive(groups: Groups) -> Figure:
    drawn = groups["posterior_predictive"]["pixels"].values[0]
    return figures.posterior_predictive(groups["observed_data"]["pixels"].values, drawn)


CHECKS: dict[str, Callable[[Groups], Figure]] = {"khat": _draw_khat, "posterior_predictive": _draw_predictive}
"""From the end of a figure's name to how it is drawn from a netCDF file's groups."""


def _check(config: EvaluateConfig) -> None:
    """Refuse what can be refused before anything is computed."""
    if not 1 <= config.particles <= MOST_PARTICLES:
        raise UserError(f"--particles must be within 1 to {MOST_PARTICLES:,}, got {config.particles:,}")
    if config.images < 1:
        raise UserError(f"--images must be at least 1, got {config.images}")
    if not 0 <= config.seed < 2**63:
        raise UserError(f"--seed must be within [0, 2^63), got {config.seed}")
    if config.refine_steps is not None and config.refine_steps < 0:
        raise UserError(f"--refine_steps must be at least 0, got {config.refine_steps}")
    if config.arviz is not None and config.particles > MOST_PARTICLES_SAVED:
        raise UserError(f"--arviz takes at most {MOST_PARTICLES_SAVED:,} --particles, got {config.particles:,}")
    files = [("--json", config.json), *(("--arviz", file) for file in saved_files(config.arviz))]
    for option, file in files:
        if file is not None:
            check_output(option, Path(file), config.overwrite)
    if config.json is not None and Path(config.json) in saved_files(config.arviz):
        raise UserError(f"--json and --arviz must be different files, got {config.json} for both")


def saved_files(arviz: str | None) -> list[Path]:
    """Name the files that ``--arviz`` writes: the netCDF file and the figures drawn from it."""
    if arviz is None:
        return []
    path = Path(arviz)
    return [path, *(path.with_name(f"{path.stem}_{name}.png") for name in CHECKS)]


def _write(files: Sequence[Path], write: Callable[[Path], Any]) -> None:
    """Write one or more files, named after the first, and say so."""
    try:
        write(files[0])
    except OSError as error:
        raise UserError(f"cannot write {files[0]}: {error.strerror or error}") from None
    print("wrote " + " ".join(map(str, files)))


def command(arguments: Sequence[str]) -> None:
    """Read the command line and evaluate."""
    parser = make_parser("evaluate", DESCRIPTION)
    parser.add_argument("run", metavar="RUN", type=str, help="Run directory that train_svi wrote, its training ended.")
    parser.add_class_arguments(EvaluateConfig, None, skip={"run"})
    main(EvaluateConfig(**vars(parser.instantiate(parser.parse_args(list(arguments))))))


if __name__ == "__main__":
    run_command(command)
