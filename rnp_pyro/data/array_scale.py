"""What the numbers of images in memory mean: which is black, and which is white."""

from collections.abc import Mapping

import numpy as np

from rnp_pyro.data.image_data import Scale
from rnp_pyro.errors import UserError
from rnp_pyro.pictures.levels import FULL_BYTES, FULL_WORDS

_SLACK = 1e-3
"""How far floating-point numbers may stray over the edge of a range."""

_FLOAT_SCALES = tuple(
    Scale(black, full, True) for black, full in ((0.0, 1.0), (-1.0, 1.0), (0.0, FULL_BYTES), (0.0, FULL_WORDS))
)
"""Of several that numbers fit in, the first counts."""

Told = tuple[str, ...]


def read_scale(arrays: Mapping[str, np.ndarray], like: Scale | None) -> tuple[Scale, float, Told]:
    """Return how the numbers of all images are read, the largest of them, and what to say.

    Args:
        arrays: Images by split, of one kind of numbers.
        like: How others were read that these are compared with. Numbers of the same kind are read so, too: the
            brightest of a few dark images says little.

    Raises:
        UserError: They are not those of pixels, or are no numbers.
    """
    least, most = _range(arrays)
    floats = any(array.dtype.kind == "f" for array in arrays.values())
    if floats and like is not None and like.floats:
        if not _within(like, least, most):
            raise UserError(
                f"expected floating-point pixels within {like.black:g} to {like.full:g}, as the images that the run "
                f"was trained on, got {least:g} to {most:g}: scale them as those were"
            )
        return like, min(most, like.full), ()
    return _float_scale(least, most) if floats else _whole_scale(least, most, arrays, like)


def _range(arrays: Mapping[str, np.ndarray]) -> tuple[float, float]:
    """Return the smallest and the largest value of all images."""
    for split, array in arrays.items():
        if array.dtype.kind not in "buif":
            raise UserError(
                f"expected pixels of type uint8, bool, uint16, another whole number or a floating-point number, got "
                f"{array.dtype} in the {split} images: save them as uint8"
            )
        wrong = 0 if array.dtype.kind != "f" else sum(int((~np.isfinite(part)).sum()) for part in array)
        if wrong:
            raise UserError(
                f"expected finite pixels, got {wrong} NaN or infinite ones in the {split} images: replace them, such "
                "as with numpy.nan_to_num"
            )
    return min(float(one.min()) for one in arrays.values()), max(float(one.max()) for one in arrays.values())


def _whole_scale(
    least: float, most: float, arrays: Mapping[str, np.ndarray], like: Scale | None
) -> tuple[Scale, float, Told]:
    """Decide between bytes and words of 16 bits."""
    if least < 0 or most > FULL_WORDS:
        raise UserError(
            f"expected whole numbers of 0 to 255, or to 65535, as pixels, got {least:g} to {most:g} in the "
            "images: shift or scale them"
        )
    words = Scale(0.0, FULL_WORDS, False)
    wide = all(array.dtype.itemsize > 1 for array in arrays.values())
    if wide and like is not None and not like.floats and most <= like.full:
        return like, most, ()
    unsigned = all(array.dtype == np.uint16 for array in arrays.values()) and most > 1
    large = wide and (most > FULL_BYTES or unsigned) and most != FULL_BYTES
    return words if large else Scale(0.0, FULL_BYTES, False), most, ()


def _float_scale(least: float, most: float) -> tuple[Scale, float, Told]:
    """Decide by the range."""
    for scale in _FLOAT_SCALES:
        if _within(scale, least, most):
            told = (
                f"pixels are floating-point, {least:g} to {most:g}: {scale.black:g} was taken as black and "
                f"{scale.full:g} as white"
            )
            return scale, min(most, scale.full), (told,)
    raise UserError(
        f"expected floating-point pixels within 0 to 1, -1 to 1, or 0 to 255, got {least:g} to {most:g} in the images: "
        "undo what was subtracted and divided by, or save them as uint8"
    )


def _within(scale: Scale, least: float, most: float) -> bool:
    return scale.black - _SLACK <= least and most <= scale.full + _SLACK
