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

_NEAR_BLACK = 0.1
"""How far the darkest pixel may be from -1 where -1 is black."""

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
    least, most = min(float(one.min()) for one in arrays.values()), max(float(one.max()) for one in arrays.values())
    floats = any(array.dtype.kind == "f" for array in arrays.values())
    if floats and like is not None and like.floats:
        if not _within(like, least, most):
            raise UserError(
                f"expected floating-point pixels within {like.black:g} to {like.full:g}, as the images that the run "
                f"was trained on, got {least:g} to {most:g}: scale them as those were"
            )
        return like, min(most, like.full), ()
    return _float_scale(least, most) if floats else _whole_scale(least, most, arrays, like)


def check_numbers(array: np.ndarray, key: str) -> None:
    """Refuse what holds no numbers, or some that are not finite.

    Args:
        array: Images, in any order of dimensions.
        key: What to call them in messages.

    Raises:
        UserError: It does.
    """
    if array.dtype.kind not in "buif":
        raise UserError(
            f"expected pixels of type uint8, bool, uint16, another whole number or a floating-point number, got "
            f"{array.dtype} in {key}: {_numbers_of(array.dtype)}"
        )
    wrong = 0 if array.dtype.kind != "f" else sum(int((~np.isfinite(part)).sum()) for part in np.atleast_1d(array))
    if wrong:
        raise UserError(
            f"expected finite pixels, got {wrong} NaN or infinite ones in {key}: replace them, such as with "
            "numpy.nan_to_num"
        )


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
        if _within(scale, least, most) and (scale.black == 0 or _reaches_below(least, most)):
            told = (
                f"pixels are floating-point, {least:g} to {most:g}: {scale.black:g} was taken as black and "
                f"{scale.full:g} as white"
            )
            return scale, min(most, scale.full), (told,)
    if least >= -1 and most <= 1:
        raise UserError(
            f"expected floating-point pixels within 0 to 1, or of -1 (black) to 1 (white), got {least:g} to {most:g} "
            "in the images, of which a mean seems to be subtracted: add it again, such as images - images.min(); if "
            "-1 is black, (images + 1) / 2"
        )
    raise UserError(
        f"expected floating-point pixels within 0 to 1, -1 to 1, or 0 to 255, got {least:g} to {most:g} in the images: "
        "undo what was subtracted and divided by, or save them as uint8"
    )


def _numbers_of(dtype: np.dtype) -> str:
    """Return what makes pixels of what are no numbers of theirs."""
    if dtype.names:
        return f"take the field that holds them, such as images[{dtype.names[0]!r}]"
    if dtype.kind in "US":
        return "of files' names make a folder, folder:PATH, and of texts of digits numbers, images.astype(float)"
    return "take its size, numpy.abs(images)" if dtype.kind == "c" else "name the array that holds the images"


def _reaches_below(least: float, most: float) -> bool:
    """Return whether numbers with some below 0 are those of -1 to 1, and not those of 0 to 1 less their mean.

    The darkest of all pixels is then nearly -1. Numbers less one mean span 1 at most, whatever the mean.
    """
    return least <= -1 + _NEAR_BLACK and most - least > 1 + _SLACK


def _within(scale: Scale, least: float, most: float) -> bool:
    return scale.black - _SLACK <= least and most <= scale.full + _SLACK
