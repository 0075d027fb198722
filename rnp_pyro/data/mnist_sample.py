"""``mnist-sample``: 10,000 training and 2,000 test digits of MNIST that come with the package (ATTRIBUTION.md)."""

from dataclasses import replace
from pathlib import Path

from rnp_pyro.data.archive import read_archive
from rnp_pyro.data.mnist import CLASSES
from rnp_pyro.data.source import Request, Source

SAMPLE = Path(__file__).with_name("mnist_sample.npz")


def load(request: Request) -> Source:
    """Load the bundled digits, 28 x 28 pixels, ink bright, equally many of each class."""
    return replace(read_archive(SAMPLE), class_names=CLASSES)
