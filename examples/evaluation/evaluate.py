"""The work of the command ``evaluate``."""

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from examples.evaluation.config import EvaluateConfig, check_evaluation, saved_files
from examples.evaluation.evidence import (
    active_dimensions,
    as_json,
    check_comparable,
    describe,
    paired_difference,
    verdict,
)
from examples.evaluation.shares import weigh_all
from examples.shared.memory import keep_freed_memory
from inference.arviz_export import WeighedImages, arviz_groups, read_netcdf, save_netcdf
from inference.bounds import latent_means, reconstruct
from inference.refinement import check_refinement
from models.likelihood import likelihood_name
from rnp_pyro import figures
from rnp_pyro.api.devices import launch
from rnp_pyro.api.opening import open_trained
from rnp_pyro.api.report import EVALUATION_SEED, git_commit, versions
from rnp_pyro.api.rows import observe, row_facts, rows_of, split_fingerprint
from rnp_pyro.api.run import Run
from rnp_pyro.checkpoint import read_json, write_json
from rnp_pyro.config import FabricConfig
from rnp_pyro.data import to_unit
from rnp_pyro.errors import UserError
from rnp_pyro.writing import writing

MOST_SAVED = 10_000_000
"""Log weights that a netCDF file holds: 80 MB before compression. Weights of further images are left out."""

CPU = "cpu"

Groups = dict[str, Any]
"""From names to xarray data sets."""


def main(config: EvaluateConfig) -> dict[str, Any]:
    """Evaluate, print, and write what is asked for.

    Returns:
        The numbers, as in the JSON file.

    Raises:
        UserError: If anything does not fit; nothing is written then.
    """
    check_evaluation(config)
    baseline = _read_baseline(config)
    keep_freed_memory()
    run = _refine(open_trained(Path(config.run), data=config.data, data_dir=config.data_dir), config)
    part = rows_of(run.data, config.split, config.images)
    images = part.images
    about = _describe_task(run, config, len(images))
    if baseline is not None:
        check_comparable(about, baseline)
    device = launch(FabricConfig(config.accelerator, devices=1)).device
    if config.processes > 1 and device.type != CPU:
        raise UserError(f"--processes share out a machine's processors, got {device.type}: give --accelerator {CPU}")
    run.pair.modules.to(device)
    observed = observe(run.pair, part, EVALUATION_SEED).to(device, next(run.pair.guide.parameters()).dtype)
    begin = time.perf_counter()
    num_saved = min(len(observed), max(1, MOST_SAVED // config.particles)) if config.arviz is not None else 1
    evidence, saved = weigh_all(run, observed, config, num_saved)
    seconds = time.perf_counter() - begin
    errors = (reconstruct(run.pair.model, run.pair.guide, observed) - to_unit(images).to(device)).square()
    means = latent_means(run.pair.guide, observed)[run.pair.model.decoder.root_site]
    numbers = as_json(evidence, errors.cpu(), active_dimensions(means), seconds)
    numbers |= {**about, **_describe_run(run), "seed": config.seed, **row_facts(part, run.data.class_names)}
    if baseline is not None:
        numbers |= {"baseline": config.baseline, **paired_difference(numbers, baseline)}
    print(describe(numbers, latent_size=means.shape[-1]))
    print(verdict(evidence.khat, config.particles))
    _save(run, numbers, WeighedImages(observed[: saved.kl.shape[-1]], saved, config.seed), config)
    return numbers


def _describe_task(run: Run, config: EvaluateConfig, num_images: int) -> dict[str, Any]:
    """Describe what is estimated of which images: evaluations that differ in it cannot be compared."""
    return {
        "particles": config.particles,
        "images": num_images,
        "split": config.split,
        "data": run.data.name,
        "fingerprint": split_fingerprint(run.data, config.split),
        "image_shape": list(run.image_shape),
        "likelihood": likelihood_name(run.config.model, run.image_shape),
    }


def _describe_run(run: Run) -> dict[str, Any]:
    """Describe what was evaluated, and by what."""
    refinement = {f"refine_{name}": value for name, value in asdict(run.pair.refinement).items()}
    return {**refinement, "run": run.name, "versions": versions(), "git_commit": git_commit()}


def _save(run: Run, numbers: dict[str, Any], weighed: WeighedImages, config: EvaluateConfig) -> None:
    """Write the files that are asked for, once all that is in them is known."""
    groups = arviz_groups(run.pair.model, run.pair.guide, weighed) if config.arviz is not None else {}
    if config.json is not None:
        _write([Path(config.json)], lambda path: write_json(path, numbers))
    if config.arviz is not None:
        attributes = {"inference_library": "rnp-pyro", "split": config.split, "data": run.data.name}
        _write(saved_files(config.arviz), lambda path: (save_netcdf(groups, path, attributes), draw_checks(path)))


def _read_baseline(config: EvaluateConfig) -> dict[str, Any] | None:
    """Read another evaluation's numbers; refuse what is none."""
    if config.baseline is None:
        return None
    numbers = read_json(Path(config.baseline))
    if not isinstance(numbers, dict) or "nll_by_image" not in numbers:
        raise UserError(f"--baseline: expected a JSON file that evaluate wrote, got {config.baseline}")
    return numbers


def _refine(run: Run, config: EvaluateConfig) -> Run:
    """Replace the run's refinement by the one that is asked for."""
    asked = {"steps": config.refine_steps, "rate": config.refine_rate, "num_particles": config.refine_particles}
    refinement = replace(run.pair.refinement, **{name: value for name, value in asked.items() if value is not None})
    check_refinement(refinement)
    idle = [name for name in ("refine_rate", "refine_particles") if getattr(config, name) is not None]
    if idle and not refinement.steps:
        raise UserError(f"--{idle[0]} is for refined posteriors: ask for them with --refine_steps, or leave it out")
    return replace(run, pair=replace(run.pair, refinement=refinement))


def draw_checks(path: Path) -> None:
    """Draw the k-hat plot and the posterior predictive check from a netCDF file, beside it."""
    groups = read_netcdf(path)
    for draw, file in zip(CHECKS, saved_files(str(path))[1:], strict=True):
        figures.save(draw(groups), file)


def _draw_khat(groups: Groups) -> Figure:
    stats = groups["sample_stats"]
    return figures.khat(stats["khat"].values, num_particles=stats.sizes["draw"])


def _draw_predictive(groups: Groups) -> Figure:
    drawn = groups["posterior_predictive"]["pixels"].values[0]
    return figures.posterior_predictive(groups["observed_data"]["pixels"].values, drawn)


CHECKS: tuple[Callable[[Groups], Figure], ...] = (_draw_khat, _draw_predictive)
"""How the figures of ``saved_files`` are drawn from a netCDF file's groups."""


def _write(files: Sequence[Path], write: Callable[[Path], Any]) -> None:
    """Write one or more files, named after the first, and say so."""
    with writing(files[0]):
        write(files[0])
    print("wrote " + " ".join(map(str, files)))
