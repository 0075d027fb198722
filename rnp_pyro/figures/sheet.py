"""A white sheet measured in printed pixels from its top left corner: images, colour, small print.

All lengths are whole printed pixels, so that an image's pixels are printed as square blocks of one size.
"""

from typing import Literal, NamedTuple

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from rnp_pyro.figures.printing import PrintedImage

DPI = 200
"""Printed pixels per inch."""

FONT_SIZE = 7
"""Points; the one type size of all figures."""

LINE_HEIGHT = 28
"""Printed pixels from one line of text to the next: 1.4 times 7 points at 200 to the inch."""

GREY = "0.8"
"""Frames."""

INK = "0.15"
"""Text."""

Colour = str | tuple[float, float, float]


class Box(NamedTuple):
    """A rectangle on the sheet, in printed pixels."""

    left: int
    top: int
    width: int
    height: int


def sheet(width: int, height: int) -> tuple[Figure, Axes]:
    """Make an empty sheet.

    Args:
        width: printed pixels.
        height: printed pixels.

    Returns:
        The figure, and its axes that cover it: x to the right, y down, in printed pixels.
    """
    figure = Figure(figsize=(width / DPI, height / DPI), dpi=DPI, facecolor="white")
    figure.set_layout_engine("none")
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    return figure, axes


def enlarged(rows: int, columns: int, target: int) -> tuple[int, int]:
    """Find the size of a printed image whose longer side comes nearest to the target by a whole factor.

    Args:
        rows: the image's rows.
        columns: the image's columns.
        target: the wanted longer side, printed pixels.

    Returns:
        Width and height in printed pixels, at least the image's own.
    """
    factor = max(1, round(target / max(rows, columns)))
    return factor * columns, factor * rows


def fitted(rows: int, columns: int, box: Box) -> Box:
    """Find the largest rectangle of the image's proportions in the middle of a box."""
    factor = min(box.width / columns, box.height / rows)
    width, height = round(factor * columns), round(factor * rows)
    return Box(box.left + (box.width - width) // 2, box.top + (box.height - height) // 2, width, height)


def fill(axes: Axes, box: Box, colour: Colour) -> None:
    """Fill a rectangle with one colour."""
    axes.add_patch(Rectangle((box.left, box.top), box.width, box.height, facecolor=colour, linewidth=0))


def place(axes: Axes, pixels: PrintedImage, box: Box, frame: Colour = GREY, border: int = 1) -> None:
    """Print one image in the middle of a box, as large as it fits, row 0 on top, framed.

    Args:
        axes: the sheet.
        pixels: [H, W, 3].
        box: where, without the frame.
        frame: the frame's colour.
        border: the frame's width in printed pixels, outside the image.
    """
    rows, columns, _ = pixels.shape
    left, top, width, height = fitted(rows, columns, box)
    fill(axes, Box(left - border, top - border, width + 2 * border, height + 2 * border), frame)
    corners = (left, left + width, top + height, top)  # of the image: left, right, bottom, top; y points down
    axes.imshow(pixels, extent=corners, origin="upper", interpolation="nearest", aspect="auto", zorder=2)


def write(
    axes: Axes,
    x: int,
    y: int,
    text: str,
    align: Literal["left", "center", "right"] = "left",
    middle: bool = False,
    colour: Colour = INK,
) -> None:
    """Write one line of small print.

    Args:
        axes: the sheet.
        x: the point that the text begins at, ends at or is centred on, printed pixels.
        y: the text's baseline; its middle if `middle`.
        text: a few words.
        align: which end of the text `x` is.
        middle: centre the text on `y`.
        colour: of the text.
    """
    vertical: Literal["center", "baseline"] = "center" if middle else "baseline"
    axes.text(x, y, text, ha=align, va=vertical, color=colour, fontsize=FONT_SIZE, parse_math=False)
