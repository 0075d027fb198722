"""Images and their reconstructions, one above the other."""

from matplotlib.figure import Figure

from rnp_pyro.figures.printing import on_paper
from rnp_pyro.figures.sheet import Box, enlarged, place, sheet, write
from rnp_pyro.shapes import Float, Tensor

MAX_PER_ROW = 16
MAX_ROWS = 2
SIDE = 112
"""Printed pixels along an image, about."""

LABELS = 165
"""Printed pixels left of the images, for the labels."""

MARGIN, GAP, ROW_GAP, FRAME = 8, 8, 20, 1


def reconstructions(images: Float[Tensor, "n C H W"], reconstructions: Float[Tensor, "n C H W"]) -> Figure:
    """Show images above their reconstructions, in at most two rows of at most sixteen pairs.

    Args:
        images: ink or colour in [0, 1]; the first 32 are shown.
        reconstructions: of the same images.

    Returns:
        The figure.

    Raises:
        ValueError: No image.
    """
    num_pairs = min(len(images), MAX_PER_ROW * MAX_ROWS)
    if num_pairs == 0:
        raise ValueError("expected at least one image to show, got 0")
    num_rows = -(-num_pairs // MAX_PER_ROW)
    num_columns = -(-num_pairs // num_rows)
    rows, columns = images.shape[-2:]
    width, height = enlarged(rows, columns, SIDE)
    pair_height = 2 * height + FRAME
    figure, axes = sheet(
        LABELS + num_columns * (width + GAP) - GAP + MARGIN,
        2 * MARGIN + num_rows * (pair_height + ROW_GAP) - ROW_GAP,
    )
    pairs = zip(on_paper(images[:num_pairs]), on_paper(reconstructions[:num_pairs]), strict=True)
    for index, pair in enumerate(pairs):
        row, column = divmod(index, num_columns)
        left, top = LABELS + column * (width + GAP), MARGIN + row * (pair_height + ROW_GAP)
        for line, (pixels, label) in enumerate(zip(pair, ("image", "reconstruction"), strict=True)):
            box = Box(left, top + line * (height + FRAME), width, height)
            place(axes, pixels, box)
            if column == 0:
                write(axes, left - 2 * GAP, box.top + height // 2, label, align="right", middle=True)
    return figure
