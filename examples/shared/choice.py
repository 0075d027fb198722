"""Options that name images: of the run's data by their numbers, or files of the user's own."""

from typing import Literal

from jsonargparse import ArgumentParser

Split = Literal["test", "train", "validation", "all"]


def add_choice(parser: ArgumentParser, files: str = "--image") -> None:
    """Add the options that name images; ``files`` is the one that takes files."""
    parser.add_argument(
        "--index", nargs="+", type=int, default=[], metavar="N", help="Numbers of images in the split, from 0."
    )
    parser.add_argument(
        files, nargs="+", type=str, default=[], metavar="FILE", help="Image files of your own, of any size."
    )
    parser.add_argument(
        "--split",
        type=Split,
        default="test",
        help="Which of the run's images --index counts; all: training, validation and test images in this order.",
    )
    parser.add_argument(
        "--as_is",
        type=bool,
        default=False,
        help="Take a file's pixels as they are (bright ink on black expected), scaled to fit; by default a run on "
        "MNIST tells ink from paper, crops, scales and centres, and a run on other grey images of bright ink on black "
        "tells dark ink from paper.",
    )
