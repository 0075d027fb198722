"""Samples of the prior, plain and with their parts in colour, in the manner of the paper's fig. 5."""

from math import ceil, sqrt

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnp_pyro.figures.colour import PART_COLOURS, colourise, part_colour
from rnp_pyro.figures.printing import PrintedImages, on_paper
from rnp_pyro.figures.sheet import LINE_HEIGHT, Box, enlarged, fill, place, sheet, write
from rnp_pyro.shapes import Float, Tensor

MAX_PER_ROW = 8
SIDE = 84
"""Printed pixels along a sample, about."""

MARGIN, GAP, PANEL_GAP = 8, 1, 36
BASELINE = LINE_HEIGHT
MIN_PANEL_WIDTH = 440
"""Printed pixels: the heading and a key of eight colours fit."""


def prior_samples(canvases: Float[Tensor, "n C H W"], parts: Float[Tensor, "n T C H W"] | None) -> Figure:
    """Show samples in a square grid and, beside it, the same samples with each part in its step's colour.

    Colour samples are shown once, as they are: their parts cannot be told apart by tinting.

    Args:
        canvases: samples, ink or colour in [0, 1]; the first 64 are shown.
        parts: the root's parts pasted on the image canvas, ink in [0, 1]; None for a model without parts.

    Returns:
        The figure.

    Raises:
        ValueError: No sample.
    """
    num_samples = min(len(canvases), MAX_PER_ROW**2)
    if num_samples == 0:
        raise ValueError("expected at least one sample to show, got 0")
    num_columns = ceil(sqrt(num_samples))
    num_rows = ceil(num_samples / num_columns)
    panels = [on_paper(canvases[:num_samples])]
    if canvases.shape[-3] == 1 and parts is not None:
        panels.append(on_paper(colourise(parts[:num_samples])))
    rows, columns = canvases.shape[-2:]
    width, height = enlarged(rows, columns, SIDE)
    panel_width = max(MIN_PANEL_WIDTH, num_columns * (width + GAP) - GAP)
    figure, axes = sheet(
        2 * MARGIN + len(panels) * (panel_width + PANEL_GAP) - PANEL_GAP,
        LINE_HEIGHT + 2 * MARGIN + num_rows * (height + GAP) - GAP,
    )
    lefts = [MARGIN + panel * (panel_width + PANEL_GAP) for panel in range(len(panels))]
    for left, pixels in zip(lefts, panels, strict=True):
        _grid(axes, pixels, left, num_columns, width, height)
    write(axes, lefts[0], BASELINE, "samples of the prior")
    if parts is not None and len(panels) == 2:
        end_of_key = _key(axes, lefts[1], min(parts.shape[-4], len(PART_COLOURS)))
        write(axes, end_of_key, BASELINE, "their parts, in this order")
    return figure


def _grid(axes: Axes, samples: PrintedImages, left: int, num_columns: int, width: int, height: int) -> None:
    """Print samples row by row, below one line of text."""
    for index, pixels in enumerate(samples):
        row, column = divmod(index, num_columns)
        top = LINE_HEIGHT + MARGIN + row * (height + GAP)
        place(axes, pixels, Box(left + column * (width + GAP), top, width, height))


def _key(axes: Axes, left: int, num_colours: int) -> int:
    """Print the steps' colours in order, from the left; return where text may go on."""
    side, pitch = 16, 20
    for step in range(num_colours):
        fill(axes, Box(left + step * pitch, BASELINE - side, side, side), part_colour(step))
    return left + num_colours * pitch + pitch // 2
