"""Sample programs: python -m examples.sample RUN [--num 64] [--temperature 1.0] [--given FILE --mask bottom].

From the prior; or, given an image or a part of one, from the posterior.
"""

from collections.abc import Sequence

from examples.sampling.config import SampleConfig
from examples.shared.choice import add_choice
from examples.shared.cli import add_run, make_parser, read_options, run_command

DESCRIPTION = (
    "Sample programs and draw them. Without an image from the prior: samples.png, and samples.npz with z, action, pose "
    "and patch of all nodes and the canvases. With --given or --index from the posterior given the image, or given the "
    "part of it that --mask does not hide: completions.png, and completions.npz with the weights of all particles. "
    "Particles are proposed by the guide, weighed by what is seen, and resampled; the Pareto k-hat says whether the "
    "weights can be trusted."
)


def command(arguments: Sequence[str]) -> None:
    """Read the command line and sample."""
    parser = make_parser("sample", DESCRIPTION)
    add_run(parser)
    add_choice(parser, "--given")
    config = read_options(parser, SampleConfig, arguments)
    from examples.sampling.sample import main  # seconds of imports, which --help and a refused option need not wait for

    main(config)


if __name__ == "__main__":
    run_command(command)
