"""Options of ``score_samples``."""

from dataclasses import dataclass

from rnp_pyro.errors import UserError

MOST = 100_000


@dataclass(frozen=True)
class ScoreConfig:
    """What to score.

    Args:
        run: Run directory that train_svi wrote, or pretrained:NAME.
        baseline: Another run, on the same data.
        num: Samples, and test images that they are compared with, at least 8.
        steps: Steps that the classifier is trained, at least 1.
        seed: Of samples and classifier.
        json: File to write the numbers to.
        overwrite: Replace the file if it exists.
        data: Where the run's images are now; default: where they were.
        data_dir: Folder of the public data sets, if it moved.
    """

    run: str
    baseline: str | None = None
    num: int = 1000
    steps: int = 500
    seed: int = 0
    json: str | None = None
    overwrite: bool = False
    data: str | None = None
    data_dir: str | None = None


def check(config: ScoreConfig) -> None:
    """Refuse numbers out of range.

    Raises:
        UserError: In one line.
    """
    if not 8 <= config.num <= MOST:
        raise UserError(f"--num must be within 8 to {MOST}, got {config.num}")
    if not 1 <= config.steps <= MOST:
        raise UserError(f"--steps must be within 1 to {MOST}, got {config.steps}")
