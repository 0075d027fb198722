"""Options of ``evaluate``, and what it refuses before anything is computed."""

from dataclasses import dataclass
from pathlib import Path

from examples.shared.choice import Split
from examples.shared.cli import check_output
from rnp_pyro.errors import UserError
from rnp_pyro.seeds import check_seed

MOST_PARTICLES = 10_000_000
"""The weights of one image must fit in memory, several times: here a gigabyte."""

MOST_PROCESSES = 1024

MOST_PARTICLES_SAVED = 100_000
"""A hundred images' weights then fill what a netCDF file holds; with more particles too few images would be in it."""

DRAWN = ("khat", "posterior_predictive")
"""How the names of the figures end that are drawn from a netCDF file."""


@dataclass(frozen=True)
class EvaluateConfig:
    """What to evaluate, and how thoroughly.

    Args:
        run: Run directory that train_svi wrote, or pretrained:NAME.
        particles: Draws from the guide for each image, 1 to 10,000,000; memory does not grow with their number but
            for the weights of one image.
        images: Number of images, from the first of the split on, at least 1; all if the split has fewer.
        split: Which of the run's images: test, train or validation, or all in the order train, validation, test.
        seed: Of the draws, at least 0.
        refine_steps: Gradient steps that improve each image's posterior before it is drawn from, at least 0; default:
            as the run was trained (guide.refine_steps), as with the two that follow.
        refine_rate: Length of the first such step, in standard deviations of the noise, above 0, at most 10.
        refine_particles: Draws of such a step, at least 1.
        json: File to write the numbers to.
        baseline: JSON file that this command wrote for another run, of the same images with as many particles: the
            paired difference of the bounds of all particles is printed, with its standard error.
        arviz: netCDF file to write for ArviZ, with at most 100,000 particles. Beside it go a k-hat plot and a
            posterior predictive check, NAME_khat.png and NAME_posterior_predictive.png.
        overwrite: Replace files that exist.
        processes: Processes that share the images out, each on one processor, at least 1; every image's numbers are
            those of one process.
        accelerator: Where to compute: cpu, cuda, mps, ..., or auto: what the machine has.
        data: Where the run's images are now; default: where they were.
        data_dir: Folder of the public data sets, if it moved.
    """

    run: str
    particles: int = 500
    images: int = 1000
    split: Split = "test"
    seed: int = 0
    refine_steps: int | None = None
    refine_rate: float | None = None
    refine_particles: int | None = None
    json: str | None = None
    baseline: str | None = None
    arviz: str | None = None
    overwrite: bool = False
    processes: int = 1
    accelerator: str = "auto"
    data: str | None = None
    data_dir: str | None = None


def check_evaluation(config: EvaluateConfig) -> None:
    """Refuse what can be refused before anything is computed.

    Raises:
        UserError: In one line, with what was expected and what came.
    """
    if not 1 <= config.particles <= MOST_PARTICLES:
        raise UserError(f"--particles must be within 1 to {MOST_PARTICLES:,}, got {config.particles:,}")
    if config.images < 1:
        raise UserError(f"--images must be at least 1, got {config.images}")
    if not 1 <= config.processes <= MOST_PROCESSES:
        raise UserError(f"--processes must be within 1 to {MOST_PROCESSES}, got {config.processes}")
    check_seed("--seed", config.seed)
    if config.arviz is not None and config.particles > MOST_PARTICLES_SAVED:
        raise UserError(f"--arviz takes at most {MOST_PARTICLES_SAVED:,} --particles, got {config.particles:,}")
    for option, file in (("--json", config.json), ("--arviz", config.arviz)):
        if file is not None:
            check_output(option, Path(file), config.overwrite)
    for figure in saved_files(config.arviz)[1:]:
        check_output("--arviz", figure, config.overwrite)
    if config.json is not None and Path(config.json) in saved_files(config.arviz):
        raise UserError(f"--json and --arviz must be different files, got {config.json} for both")


def saved_files(arviz: str | None) -> list[Path]:
    """Name the files that ``--arviz`` writes: the netCDF file and the figures drawn from it."""
    if arviz is None:
        return []
    path = Path(arviz)
    return [path, *(path.with_name(f"{path.stem}_{name}.png") for name in DRAWN)]
