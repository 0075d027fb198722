"""Compare completions: python -m examples.compare_completions RUN BASELINE [--images 50] [--mask bottom].

Both models complete the same images, of which the same pixels are hidden, by the same procedure.
"""

from collections.abc import Sequence

from examples.completion.config import CompletionConfig
from examples.shared.cli import add_run, make_parser, read_options, run_command
from rnp_pyro.errors import UserError

DESCRIPTION = (
    "Hide the same pixels of the same test images from two runs on the same data, have both complete them, and print "
    "each one's squared error over the whole image, seen and hidden pixels alike, and the share of images in which the "
    "first run's is smaller. A completion is the expected image given what is seen, the weighted mean of the "
    "particles' images; beside it stand the errors of single draws, of the hidden pixels alone, and k-hat."
)


def command(arguments: Sequence[str]) -> None:
    """Read the command line and compare."""
    parser = make_parser("compare_completions", DESCRIPTION)
    add_run(parser)
    parser.add_argument("baseline", metavar="BASELINE", type=str, nargs="?", help="Another one, on the same data.")
    config = read_options(parser, CompletionConfig, arguments)
    if config.baseline is None:
        raise UserError("expected two run directories to compare, got one: RUN BASELINE")
    from examples.completion.compare import (
        main,  # seconds of imports, which --help and a refused option need not wait for
    )

    main(config)


if __name__ == "__main__":
    run_command(command)
