"""Draws the bundled sample from the full MNIST: ``python -m rnp_pyro.data.make_sample MNIST_NPZ OUT``.

MNIST_NPZ is an archive as ``read_archive`` takes it, with the official training and test images. The digits drawn
are the same on every machine, the bytes of OUT with the same release of NumPy and zlib.
"""

import argparse
import os
import sys
from pathlib import Path

import numpy as np
import torch
from jaxtyping import Int64

from rnp_pyro.data.archive import read_archive
from rnp_pyro.data.source import Source
from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Tensor
from rnp_pyro.streams import Purpose, permutation, stream_key

_TRAIN_PER_CLASS, _TEST_PER_CLASS = 1000, 200
_SEED = 0


def draw_sample(labels: Int64[Tensor, "N"], per_class: int, seed: int) -> Int64[Tensor, "sample"]:
    """Positions of ``per_class`` images of each class, without repetition, in shuffled order.

    Raises:
        UserError: A class has too few images.
    """
    order = permutation(stream_key(Purpose.SAMPLE, seed, 0), len(labels))
    drawn = []
    for label in labels.unique():
        of_class = order[labels[order] == label]
        if len(of_class) < per_class:
            raise UserError(
                f"expected at least {per_class} images of class {label}, got {len(of_class)}: "
                "sample from the full data set"
            )
        drawn.append(of_class[:per_class])
    sample = torch.cat(drawn)
    return sample[permutation(stream_key(Purpose.SAMPLE, seed, 1), len(sample))]


def write_sample(source: Source, out: Path, train_per_class: int, test_per_class: int) -> None:
    """Writes the sample of ``source`` as a compressed archive, whole or not at all.

    Raises:
        UserError: A class has too few images, or ``out`` cannot be written.
    """
    if source.test is None or source.train.labels is None or source.test.labels is None:
        raise UserError("expected images with labels, got none: a stratified sample needs them")
    train = draw_sample(source.train.labels, train_per_class, _SEED)
    test = draw_sample(source.test.labels, test_per_class, _SEED)
    arrays = {
        "train_images": source.train.images[train].squeeze(1).numpy(),
        "train_labels": source.train.labels[train].to(torch.uint8).numpy(),
        "test_images": source.test.images[test].squeeze(1).numpy(),
        "test_labels": source.test.labels[test].to(torch.uint8).numpy(),
    }
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            np.savez_compressed(file, **arrays)  # pyright: ignore[reportArgumentType] (its keyword `allow_pickle`)
        part.replace(out)
    except OSError as error:
        raise UserError(f"expected a file that can be written, got {str(out)!r} ({error.strerror})") from error
    finally:
        part.unlink(missing_ok=True)


def main(arguments: list[str] | None = None) -> int:
    """The command; returns its exit status."""
    parser = argparse.ArgumentParser(description="Draw the bundled sample from the full MNIST.")
    parser.add_argument("mnist_npz", type=Path, help="archive with the 60,000 and 10,000 official images")
    parser.add_argument("out", type=Path, help="archive to write")
    parsed = parser.parse_args(arguments)
    try:
        write_sample(read_archive(parsed.mnist_npz), parsed.out, _TRAIN_PER_CLASS, _TEST_PER_CLASS)
    except UserError as error:
        print(error, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
