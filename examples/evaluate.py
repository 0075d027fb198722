"""Evaluate a run by importance sampling: python -m examples.evaluate RUN [--particles 500] [--images 1000] ...

Bounds on each image's log evidence that become tighter with more particles, and whether the weights can be trusted.
"""

from collections.abc import Sequence

from examples.evaluation.config import EvaluateConfig
from examples.shared.cli import add_run, make_parser, read_options, run_command

DESCRIPTION = (
    "Evaluate a run by importance sampling: bounds on the log evidence of each image from K = 1, 10, 100, ... "
    "particles (K = 1 is the ELBO), all particles serving in groups of K, with standard errors over images; KL; "
    "squared error; Pareto k-hat, which shows where the weights cannot be trusted; the dimensions of the root's "
    "latent that are in use. "
    "Binary pixels are those of every evaluation of the data, whatever the seed; the seed is that of the particles."
)


def command(arguments: Sequence[str]) -> None:
    """Read the command line and evaluate."""
    parser = make_parser("evaluate", DESCRIPTION)
    add_run(parser)
    config = read_options(parser, EvaluateConfig, arguments)
    from examples.evaluation.evaluate import (
        main,  # seconds of imports, which --help and a refused option need not wait for
    )

    main(config)


if __name__ == "__main__":
    run_command(command)
