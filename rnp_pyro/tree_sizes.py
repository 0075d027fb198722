"""Canvas and patch sizes that suit images of a size: what settings are where a user names none."""

_SHARE = 4 / 7
"""A canvas's side as a share of its parent's: a child has half its parent's size at most, so it keeps its detail."""

_STEP, _SMALLEST, _LARGEST_PATCH = 4, 4, 16
"""Canvases are multiples of 4 pixels; a patch of more than 16 makes the generated decoders the bulk of the work."""


def canvas_sizes_for(image_size: int, num_levels: int) -> tuple[int, ...]:
    """Return the sizes of the canvases below the root, from the root down: ``num_levels - 1`` numbers, pixels.

    28 and two levels make 16, 64 make 36, 128 and three levels make 72 and 40.
    """
    sizes, size = [], image_size
    for _ in range(num_levels - 1):
        size = max(_SMALLEST, _STEP * round(_SHARE * size / _STEP))
        sizes.append(size)
    return tuple(sizes)


def patch_size_for(image_size: int, num_levels: int) -> int:
    """Return the rows and columns of a leaf's patch, pixels: half of its parent's canvas, 4 to 16."""
    parent = (image_size, *canvas_sizes_for(image_size, num_levels))[-1]
    return min(_LARGEST_PATCH, max(_SMALLEST, parent // 2))
