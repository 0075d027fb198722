"""Make a figure of the paper, with numbers: python -m examples.paper FIGURE [--scale SCALE] --out DIR.

Trains what the figure needs and is not there yet, measures, and draws.
"""

from collections.abc import Sequence

from examples.paper.config import FIGURES, SCALES, PaperConfig, check
from examples.shared.cli import make_parser, read_options

DESCRIPTION = (
    f"Make a figure of the paper: {', '.join(FIGURES)}, or all of them. Each writes NAME.png, NAME.pdf, NAME.md (a "
    "table with mean, spread and number of seeds) and NAME/results.json into --out. Runs are kept in --out/runs, "
    "shared by all figures: one that stands (same settings, seed and code) is not trained again, and an interrupted "
    "one goes on. Scales: smoke (seconds, on made images), cpu (two cores, hours), paper (the appendix's sizes and "
    "epochs, for a GPU)."
)


def command(arguments: Sequence[str]) -> None:
    """Read the command line and make figures."""
    parser = make_parser("paper", DESCRIPTION)
    parser.add_argument("figure", metavar="FIGURE", nargs="?", type=str, help=f"{', '.join(FIGURES)}, or all.")
    parser.add_argument(
        "--seeds", nargs="+", type=int, default=[0], metavar="N", help="Seeds of every run; three for a spread."
    )
    parser.add_argument("--scale", type=str, default="cpu", help=f"One of {', '.join(SCALES)}.")
    config = read_options(parser, PaperConfig, arguments)
    check(config)
    from examples.paper.make import main  # seconds of imports, which --help need not wait for

    main(config)
