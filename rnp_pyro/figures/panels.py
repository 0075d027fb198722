"""Rows of framed images with a line of print above each, for figures that need no more than that."""

from collections.abc import Sequence
from typing import NamedTuple

from matplotlib.figure import Figure

from rnp_pyro.figures.printing import PrintedImage
from rnp_pyro.figures.sheet import GREY, LINE_HEIGHT, Box, Colour, place, sheet, write

SIDE = 168
"""Printed pixels along an image."""

MARGIN, GAP, ROW_GAP, BORDER = 12, 16, 12, 4
CHARACTER = 11
"""Printed pixels along a character, about: a row's title must fit on the sheet."""


class Panel(NamedTuple):
    """An image, what is printed above it, and the colour of its frame; None is a thin grey one."""

    name: str
    pixels: PrintedImage
    frame: Colour | None = None


class Row(NamedTuple):
    """Images side by side, and a line above them; an empty one takes no room."""

    panels: Sequence[Panel]
    title: str = ""


def panels(rows: Sequence[Row]) -> Figure:
    """Show rows of images.

    Raises:
        ValueError: No image.
    """
    longest = max((len(row.panels) for row in rows), default=0)
    if longest == 0:
        raise ValueError("expected at least one image to show, got 0")
    tops, top = [], MARGIN
    for row in rows:
        top += LINE_HEIGHT * (2 if row.title else 1)
        tops.append(top + BORDER)
        top += SIDE + 2 * BORDER + ROW_GAP
    width = max(longest * (SIDE + GAP) - GAP, *(CHARACTER * len(row.title) for row in rows))
    figure, axes = sheet(2 * MARGIN + width, top + MARGIN - ROW_GAP)
    for row, row_top in zip(rows, tops, strict=True):
        if row.title:
            write(axes, MARGIN, row_top - LINE_HEIGHT - LINE_HEIGHT // 2, row.title)
        for at, panel in enumerate(row.panels):
            box = Box(MARGIN + at * (SIDE + GAP), row_top, SIDE, SIDE)
            place(axes, panel.pixels, box, frame=panel.frame or GREY, border=BORDER if panel.frame else 1)
            write(axes, box.left + SIDE // 2, row_top - LINE_HEIGHT // 2 + 2, panel.name, align="center")
    return figure
