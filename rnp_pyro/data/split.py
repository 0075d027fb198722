"""Images held out from others: the same on every machine, in every run."""

import torch
from jaxtyping import Int64

from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Tensor
from rnp_pyro.streams import Purpose, permutation, stream_key

_SPLIT_SEED = 0
"""Belongs to the data, not to a run: runs with different seeds are scored on the same images."""


def held_out_count(share: float, num_images: int) -> int:
    """How many of ``num_images`` to hold out: ``share`` of them, rounded, at least one.

    Raises:
        UserError: ``share`` is not between 0 and 1, or nothing would be left to train on.
    """
    if not 0 < share < 1:
        raise UserError(f"the share of images to hold out must be above 0 and under 1, got {share}")
    count = max(1, round(share * num_images))
    if count >= num_images:
        raise UserError(
            f"expected images left to train on, got {num_images} images of which {count} are to be held out: "
            "add images or hold out a smaller share"
        )
    return count


def hold_out(
    labels: Int64[Tensor, "N"] | None, num_images: int, count: int
) -> tuple[Int64[Tensor, "kept"], Int64[Tensor, "{count}"]]:
    """Splits image positions in two, stratified by label: every class gives its share to within one image.

    The images are shuffled, sorted by label, and taken at equal distances.

    Args:
        labels: Class of each image, or None.
        num_images: How many images there are.
        count: How many to hold out.

    Returns:
        The positions kept, in ascending order, and those held out, shuffled (the first few are of mixed classes).
    """
    key = stream_key(Purpose.SPLIT, _SPLIT_SEED)
    order = permutation(key, num_images)
    if labels is not None:
        order = order[labels[order].argsort(stable=True)]
    # The middle of the i-th of `count` equal stretches, in whole numbers.
    chosen = order[(2 * torch.arange(count) + 1) * num_images // (2 * count)]
    kept = torch.ones(num_images, dtype=torch.bool)
    kept[chosen] = False
    return kept.nonzero().squeeze(-1), chosen[permutation(key, count)]
