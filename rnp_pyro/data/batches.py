"""The order of training: which images each step takes, as a function of (seed, step)."""

from functools import lru_cache

import torch
from jaxtyping import Int64

from rnp_pyro.shapes import Tensor
from rnp_pyro.streams import Purpose, permutation, stream_key


def batch_indices(seed: int, step: int, batch_size: int, num_images: int) -> Int64[Tensor, "{batch_size}"]:
    """The images of one training step.

    Epochs are fresh permutations of all images, laid end to end; step s takes positions s * batch_size to
    (s + 1) * batch_size - 1. So batches run on across the border of two epochs and are always full, and a resumed run
    continues in the same order.

    Args:
        seed: The run's seed.
        step: Training step, from 0.
        batch_size: Images per step, at least 1; may exceed ``num_images``.
        num_images: Images in the data set, at least 1.

    Returns:
        Positions in the data set, on the CPU.

    Raises:
        ValueError: A number is too small.
    """
    if step < 0 or batch_size < 1 or num_images < 1:
        expected = "step must be at least 0, batch_size and num_images at least 1"
        raise ValueError(f"{expected}, got {step}, {batch_size}, {num_images}")
    start, end = step * batch_size, (step + 1) * batch_size
    epochs = range(start // num_images, (end - 1) // num_images + 1)
    stream = torch.cat([_epoch_order(seed, epoch, num_images) for epoch in epochs])
    offset = epochs[0] * num_images
    return stream[start - offset : end - offset].clone()


@lru_cache(maxsize=2)  # a batch seldom touches more than two epochs
def _epoch_order(seed: int, epoch: int, num_images: int) -> Int64[Tensor, "{num_images}"]:
    """All images once, in the epoch's order. Shared between calls: never changed in place."""
    return permutation(stream_key(Purpose.BATCHES, seed, epoch), num_images)
