"""Hold a guide against NUTS: python -m examples.reference_posterior RUN [--images 0 1 2 3 4] [--json FILE] ...

For each image the posterior of the root program by a long run, what the guide makes of it, and why its bound is loose.
"""

from collections.abc import Sequence

from examples.posterior.config import ReferenceConfig
from examples.shared.cli import add_run, make_parser, read_options, run_command

DESCRIPTION = (
    "Hold a run's guide against a reference, image by image. Populations of draws from the prior are annealed to the "
    "posterior of the root program; from one draw of each, a chain of the No-U-Turn sampler (Pyro's, float64). The "
    "table gives r-hat (largest over dimensions), effective sample size (smallest), the guide's means less the "
    "chains', in posterior standard deviations, the guide's standard deviations over the chains', and the terms of the "
    "gap: the guide's ELBO, the ELBO of the best diagonal normal, log p(x) by annealed importance sampling from the "
    "chains' moments, k-hat of its weights, approximation and amortization gap, in nats with standard errors."
)


def command(arguments: Sequence[str]) -> None:
    """Read the command line and examine."""
    parser = make_parser("reference_posterior", DESCRIPTION)
    add_run(parser)
    parser.add_argument(
        "--images", nargs="+", type=int, default=[0, 1, 2, 3, 4], help="Numbers of images in the test split, from 0."
    )
    config = read_options(parser, ReferenceConfig, arguments)
    from examples.posterior.reference import (
        main,  # seconds of imports, which --help and a refused option need not wait for
    )

    main(config)


if __name__ == "__main__":
    run_command(command)
