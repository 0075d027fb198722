"""Options of ``reference_posterior``, and what it refuses before anything is computed."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from examples.evaluation.config import MOST_PARTICLES
from examples.shared.cli import check_output
from rnp_pyro.errors import UserError
from rnp_pyro.seeds import check_seed

IMAGE_FORMATS = (".png", ".pdf", ".svg")


@dataclass(frozen=True)
class ReferenceConfig:
    """Which images, and how much is spent on each.

    Args:
        run: Run directory that train_svi wrote, or pretrained:NAME.
        images: Numbers of images in the test split, from 0.
        chains: Chains for each image, at least 1; with 1 there is no r-hat.
        warmup: Transitions of a chain that adapt the step size and are thrown away, at least 1.
        draws: Transitions of a chain that are kept, at least 4.
        population: Draws from the prior that are annealed for each chain, at least 2.
        particles: Walkers that log p(x) is estimated from, at least 30.
        climb: Steps that the best normal is sought in, at least 1.
        bound_draws: Draws that the two ELBOs are estimated from, at least 2.
        seed: Of all draws, at least 0.
        processes: Images at once, each on one processor; default: as many as there are processors.
        json: File to write the numbers to, after each image. Images that it has already, of this run under
            these settings, are taken from it: an interrupted command continues where it stopped.
        figure: File to draw the guide against the chains in, PNG, PDF or SVG; replaced if it exists.
        markdown: File to write the table to as Markdown, for a document; replaced if it exists.
        data: Where the run's images are now; default: where they were.
        data_dir: Folder of the public data sets, if it moved.
    """

    run: str
    images: Sequence[int] = (0, 1, 2, 3, 4)
    chains: int = 4
    warmup: int = 50
    draws: int = 150
    population: int = 16
    particles: int = 1000
    climb: int = 200
    bound_draws: int = 1000
    seed: int = 0
    processes: int | None = None
    json: str | None = None
    figure: str | None = None
    markdown: str | None = None
    data: str | None = None
    data_dir: str | None = None


LEAST = {
    "chains": 1,
    "warmup": 1,
    "draws": 4,
    "population": 2,
    "particles": 30,
    "climb": 1,
    "bound_draws": 2,
    "seed": 0,
    "processes": 1,
}


def check(config: ReferenceConfig) -> None:
    """Refuse what can be refused before anything is opened.

    Raises:
        UserError: In one line, with what was expected and what came.
    """
    for name, least in LEAST.items():
        value = getattr(config, name)
        if value is not None and value < least:
            raise UserError(f"--{name} must be at least {least}, got {value}")
    if config.particles > MOST_PARTICLES:
        raise UserError(f"--particles must be at most {MOST_PARTICLES:,}, got {config.particles:,}")
    check_seed("--seed", config.seed)
    for option, file in {"--json": config.json, "--figure": config.figure, "--markdown": config.markdown}.items():
        if file is not None:
            check_output(option, Path(file), overwrite=True)
    if config.figure is not None and Path(config.figure).suffix not in IMAGE_FORMATS:
        raise UserError(f"--figure must end in one of {', '.join(IMAGE_FORMATS)}, got {config.figure}")
