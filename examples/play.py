"""Draw a digit in the browser and see its parts: python -m examples.play [RUN] [--port N] [--open].

A page on this machine alone: the parse while one draws, parts to move and to swap, samples, completions.
"""

from collections.abc import Sequence

from examples.playing.config import DEFAULT_RUN, PlayConfig
from examples.shared.cli import make_parser, read_options, run_command

DESCRIPTION = (
    "Serve a page to draw on, and answer it with a run: the drawing's reconstruction, its parts in colour (blue, red, "
    "green, orange in the order in which they are drawn) and its tree, while it is drawn; parts moved, turned, scaled "
    "and swapped; two drawings mixed; samples from the prior; a half completed; draws from the posterior and the bound "
    "-ELBO. It listens on this machine alone unless --host says otherwise, and nothing leaves the machine. Ctrl-C ends "
    "it. It needs pip install 'rnp-pyro[play]'."
)


def command(arguments: Sequence[str]) -> None:
    """Read the command line and serve."""
    parser = make_parser("play", DESCRIPTION)
    parser.add_argument(
        "run",
        metavar="RUN",
        nargs="?",
        type=str,
        default=DEFAULT_RUN,
        help="Run directory that train_svi wrote, of grey images, or pretrained:NAME.",
    )
    parser.add_argument("--open", action="store_true", help="Open the page in a browser.")
    config = read_options(parser, PlayConfig, arguments)
    from examples.playing.play import main  # seconds of imports, which --help and a refused option need not wait for

    main(config)


if __name__ == "__main__":
    run_command(command)
