"""Parse images into trees: python -m examples.parse RUN (--index N ... | --image FILE ...) --out DIR.

The guide's mean of the root program is unfolded into parts and sub-parts, written as JSON and drawn as SVG and PNG.
"""

from collections.abc import Sequence

from examples.parsing.config import ParseConfig
from examples.shared.choice import add_choice
from examples.shared.cli import add_run, make_parser, read_options, run_command

DESCRIPTION = (
    "Parse images into trees of parts. For each image parse.json (programs, poses and patches of all nodes, which fold "
    "back to the canvas), parse.svg and parse.png: the image, its reconstruction, its parts in colour (blue, red, "
    "green, orange in the order in which they are drawn), each part's own parts in a box, and the tree. One image's "
    "files are written into --out itself, several images' each into a folder of its own there."
)


def command(arguments: Sequence[str]) -> None:
    """Read the command line and parse."""
    parser = make_parser("parse", DESCRIPTION)
    add_run(parser)
    add_choice(parser)
    config = read_options(parser, ParseConfig, arguments)
    from examples.parsing.parse import main  # seconds of imports, which --help and a refused option need not wait for

    main(config)


if __name__ == "__main__":
    run_command(command)
