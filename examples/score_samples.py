"""Score a run's samples by distances to images: python -m examples.score_samples RUN [--baseline RUN] [--json FILE].

Distances are on features of a small classifier that is trained on the run's own data.
"""

from collections.abc import Sequence

from examples.scoring.config import ScoreConfig
from examples.shared.cli import add_run, make_parser, read_options, run_command

DESCRIPTION = (
    "Compare samples of the prior with test images on features of a small classifier, which is trained on the run's "
    "training images: on their classes, or where there are none on quarter turns. Frechet distance, kernel distance "
    "(polynomial of degree 3), precision and recall. These are no FID: another data set has another classifier. "
    "Rows: the run, a baseline if one is named, and training images, which no model should beat."
)


def command(arguments: Sequence[str]) -> None:
    """Read the command line and score."""
    parser = make_parser("score_samples", DESCRIPTION)
    add_run(parser)
    config = read_options(parser, ScoreConfig, arguments)
    from examples.scoring.score import main  # seconds of imports, which --help and a refused option need not wait for

    main(config)


if __name__ == "__main__":
    run_command(command)
