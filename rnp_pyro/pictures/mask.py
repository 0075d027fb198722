"""Which pixels of an image are hidden, as a user says it."""

import torch

from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Bool, Tensor

SIDES = ("left", "right", "top", "bottom")


def seen_pixels(hidden: str, image_shape: tuple[int, int, int]) -> Bool[Tensor, "C H W"]:
    """Turn ``left``, ``right``, ``top``, ``bottom`` (a half is hidden) or ``LEFT,TOP,WIDTH,HEIGHT`` into what is seen.

    Args:
        hidden: What is hidden; a rectangle in pixels from the upper left corner.
        image_shape: Channels, rows and columns.

    Raises:
        UserError: If it is neither, hides nothing or everything, or lies outside the image.
    """
    _, rows, columns = image_shape
    halves = {
        "left": (0, 0, columns // 2, rows),
        "right": (columns - columns // 2, 0, columns // 2, rows),
        "top": (0, 0, columns, rows // 2),
        "bottom": (0, rows - rows // 2, columns, rows // 2),
    }
    left, top, width, height = halves[hidden] if hidden in halves else _rectangle(hidden, rows, columns)
    if width < 1 or height < 1 or left < 0 or top < 0 or left + width > columns or top + height > rows:
        raise UserError(
            f"expected a mask inside the image of {columns}x{rows} pixels, at least 1x1, got {hidden}: give "
            "LEFT,TOP,WIDTH,HEIGHT"
        )
    if width == columns and height == rows:
        raise UserError(
            f"the mask {hidden} hides the whole image: expected some of it to be seen; without an image, samples are "
            "the prior's"
        )
    seen = torch.ones(image_shape, dtype=torch.bool)
    seen[:, top : top + height, left : left + width] = False
    return seen


def _rectangle(text: str, rows: int, columns: int) -> tuple[int, int, int, int]:
    try:
        left, top, width, height = (int(number) for number in text.split(","))
    except ValueError:
        raise UserError(
            f"expected a mask of {', '.join(SIDES)}, or LEFT,TOP,WIDTH,HEIGHT in pixels such as "
            f"0,{rows - rows // 2},{columns},{rows // 2}, got {text!r}"
        ) from None
    return left, top, width, height
