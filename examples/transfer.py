"""Adapt a run's encoder to new images: python -m examples.transfer RUN --new DATA --out DIR [--counts 1 5 20 100].

The model stays as it is, to the bit. The command measures how the error falls with the number of new images.
"""

from collections.abc import Sequence

from examples.adaptation.config import TransferConfig
from examples.shared.cli import make_parser, read_options, run_command

DESCRIPTION = (
    "Train a run's guide alone on some images of another data set, its hypernetworks frozen, once for each number of "
    "images, and measure it on test images: squared error per image and -ELBO. transfer.json holds the numbers before "
    "(0 images) and after, transfer.png the curve; each adapted run is a folder of its own, and one that stands is not "
    "trained again. RUN ... may be several runs, such as a baseline."
)


def command(arguments: Sequence[str]) -> None:
    """Read the command line and adapt."""
    parser = make_parser("transfer", DESCRIPTION)
    parser.add_argument(
        "run", metavar="RUN", type=str, nargs="+", help="Run directories that train_svi wrote, their training ended."
    )
    parser.add_argument(
        "--counts", nargs="+", type=int, default=[1, 5, 20, 100], metavar="N", help="Numbers of new images; 0: all."
    )
    config = read_options(parser, TransferConfig, arguments)
    from examples.adaptation.transfer import main  # seconds of imports, which --help need not wait for

    main(config)


if __name__ == "__main__":
    run_command(command)
