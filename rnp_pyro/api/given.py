"""A user's images, as a run sees them."""

import sys
from dataclasses import dataclass
from typing import Any

from rnp_pyro.api.arrays import as_bytes
from rnp_pyro.api.pair import Pair
from rnp_pyro.api.record import DataRecord, other_ink
from rnp_pyro.api.report import EVALUATION_SEED
from rnp_pyro.data import to_unit
from rnp_pyro.errors import UserError
from rnp_pyro.shapes import ByteImages, Canvas


@dataclass(frozen=True)
class Given:
    """The same images three times.

    Args:
        pixels: Bytes ``[N C H W]`` on the CPU, as the run's own are.
        unit: Within [0, 1], where the model is: what figures and errors compare with.
        observed: What the likelihood observes, where the model is: for a Bernoulli, binary pixels.
    """

    pixels: ByteImages
    unit: Canvas
    observed: Canvas


def given(images: Any, record: DataRecord, pair: Pair) -> Given:
    """Read a user's images on a run's scale, dark ink on a bright ground inverted if the run's data were.

    Binary pixels are drawn from a fixed seed: the same images, in the same order, observe the same.

    Raises:
        UserError: If they do not fit.
    """
    own = record.appearance
    try:
        pixels = as_bytes(images, record.image_shape, own.white, own.scale)
    except UserError as error:
        raise UserError(f"{error}{_way_on(images, record)}") from None
    pixels = 255 - pixels if own.inverted else pixels
    if (told := other_ink(record, pixels)) is not None:
        print(f"warning: {told}", file=sys.stderr)
    return as_observed(pixels, pair)


def _way_on(images: Any, record: DataRecord) -> str:
    """Return how grey arrays of bytes of another size are brought to the run's, as ``fit`` resizes images."""
    size, shape = record.image_shape[-1], tuple(getattr(images, "shape", ()))
    square = len(shape) == 3 and shape[0] > 0 and shape[1] == shape[2] != size
    if not square or record.image_shape[0] != 1 or str(getattr(images, "dtype", "")).split(".")[-1] != "uint8":
        return ""
    return (
        f": resize them, from rnp_pyro.data.resize import resize_images; resize_images(torch.as_tensor(images)[:, "
        f"None], {size})"
    )


def as_observed(pixels: ByteImages, pair: Pair) -> Given:
    """Return bytes of a run's own kind with what the likelihood observes of them."""
    like = next(pair.model.parameters())
    return Given(pixels, to_unit(pixels).to(like), pair.prepare_fixed(pixels, EVALUATION_SEED).to(like))
