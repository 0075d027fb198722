"""A split's images, or all of them, with what is known of each row: its file, its class, its split."""

import torch
from jaxtyping import Int64

from rnp_pyro.api.pair import Pair
from rnp_pyro.data import ImageData, binarise_fixed, fingerprint, to_unit
from rnp_pyro.data.image_data import Split
from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Canvas, Tensor


def rows_of(data: ImageData, split: str, limit: int | None = None) -> Split:
    """Return the first images of a split, or of ``all``: training, validation and test images in this order.

    Raises:
        UserError: If there are none.
    """
    part = data.split(split)
    if not len(part):
        raise UserError(f"expected images in the {split} split of {data.name}, found none: choose another")
    return part.take(torch.arange(len(part))[:limit])


def places(part: Split) -> Int64[Tensor, "N"]:
    """Return each image's number in its own split, which is what its binary pixels are drawn by."""
    counted: dict[str, int] = {}
    numbers = []
    for name in part.origin or ("",) * len(part):
        numbers.append(counted.setdefault(name, 0))
        counted[name] += 1
    return torch.tensor(numbers, dtype=torch.int64)


def observe(pair: Pair, part: Split, seed: int) -> Canvas:
    """Return what the likelihood observes: of an image the same pixels, whether by its split or among all."""
    unit = to_unit(part.images)
    return binarise_fixed(unit, seed, places(part)) if pair.binary else unit


def row_facts(part: Split, class_names: tuple[str, ...] | None) -> dict[str, list[str]]:
    """Return what is known of each row: ``files``, ``classes`` and ``splits``, those that there are."""
    facts = {}
    if part.files is not None:
        facts["files"] = list(part.files)
    if part.labels is not None:
        names = class_names or ()
        facts["classes"] = [names[at] if at < len(names) else str(at) for at in part.labels.tolist()]
    if part.origin:
        facts["splits"] = list(part.origin)
    return facts


def split_fingerprint(data: ImageData, split: str) -> str:
    """Return a text that tells a split's images from others; of ``all``, those of the three splits."""
    found = fingerprint(data)
    return found[split] if split in found else "-".join(found.values())
