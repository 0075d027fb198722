"""Options of ``paper``."""

from collections.abc import Sequence
from dataclasses import dataclass

from rnp_pyro.errors import UserError

FIGURES = ("fig1", "fig3", "fig4", "fig5", "fig6", "fig7", "depths", "appendix")
"""Figure 2 is a diagram; depths is section 2.1."""

SCALES = ("smoke", "cpu", "paper")


@dataclass(frozen=True)
class PaperConfig:
    """What to make, and how large.

    Args:
        out: Folder to write to; runs and figures that are there are gone on with.
        figure: Its name.
        scale: How much is trained.
        seeds: Seeds of every run.
        jobs: Runs that are trained side by side, each on one thread, at least 1.
        data_dir: Folder of the public data sets; default: the environment variable RNP_DATA, else a cache in the home.
    """

    out: str
    figure: str | None = None
    scale: str = "cpu"
    seeds: Sequence[int] = (0,)
    jobs: int = 1
    data_dir: str | None = None


def check(config: PaperConfig) -> tuple[str, ...]:
    """Return the figures to make.

    Raises:
        UserError: If there is no such figure or scale, or a number is out of range.
    """
    if config.figure not in (*FIGURES, "all"):
        raise UserError(f"expected a figure, one of {', '.join(FIGURES)}, or all, got {config.figure or 'none'}")
    if config.scale not in SCALES:
        raise UserError(f"--scale: expected one of {', '.join(SCALES)}, got {config.scale}")
    if not config.seeds or len(set(config.seeds)) < len(config.seeds):
        raise UserError(f"--seeds: expected different seeds, got {' '.join(map(str, config.seeds)) or 'none'}")
    if not 1 <= config.jobs <= 256:
        raise UserError(f"--jobs must be within 1 to 256, got {config.jobs}")
    return FIGURES if config.figure == "all" else (config.figure,)
