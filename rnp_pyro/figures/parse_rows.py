"""Images parsed into parts and sub-parts, in the manner of the paper's fig. 3."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnp_pyro.figures.colour import colourise, part_colour, tint
from rnp_pyro.figures.printing import on_paper
from rnp_pyro.figures.sheet import LINE_HEIGHT, Box, enlarged, place, sheet, write
from rnp_pyro.shapes import Float, Tensor

SIDE = 168
"""Printed pixels along an image, about: the word "reconstruction" fits above it."""

MARGIN, GAP, BOX_GAP, ROW_GAP = 12, 16, 40, 20
BORDER = 4
"""Printed pixels of a box's border in its part's colour."""


def parse(
    images: Float[Tensor, "n C H W"],
    reconstructions: Float[Tensor, "n C H W"],
    parts: Float[Tensor, "n T C H W"],
    sub_parts: Float[Tensor, "n T S C h w"] | None,
) -> Figure:
    """Show one image per row: itself, its reconstruction, its parts superimposed in colour, a box for each part.

    A box has the colour of its part and shows the part's sub-parts superimposed in colour; in a tree of one
    level, the part alone. Colour images are not tinted: the boxes show their parts as they are (fig. 3c).

    Args:
        images: ink or colour in [0, 1].
        reconstructions: of the same images.
        parts: the root's parts pasted on the image canvas, ink or colour in [0, 1].
        sub_parts: each part's own parts, pasted in that part's reference frame; None in a tree of one level.
            Not shown for colour images.

    Returns:
        The figure.

    Raises:
        ValueError: No image.
    """
    if len(images) == 0:
        raise ValueError("expected at least one image to show, got 0")
    views = {"image": on_paper(images), "reconstruction": on_paper(reconstructions)}
    if images.shape[-3] == 1:
        views["parts"] = on_paper(colourise(parts))
    drawn, caption = _boxes(parts, sub_parts)
    boxes = on_paper(drawn)
    rows, columns = images.shape[-2:]
    width, height = enlarged(rows, columns, SIDE)
    lefts = [MARGIN + column * (width + GAP) for column in range(len(views))]
    first_box = lefts[-1] + width + BOX_GAP
    lefts += [first_box + step * (width + GAP) for step in range(boxes.shape[1])]
    first_top = MARGIN + 2 * LINE_HEIGHT
    figure, axes = sheet(lefts[-1] + width + MARGIN, first_top + len(images) * (height + ROW_GAP) - ROW_GAP + MARGIN)
    _headings(axes, list(views), boxes.shape[1], caption, lefts, width)
    for row in range(len(images)):
        top = first_top + row * (height + ROW_GAP)
        cells = [Box(left, top, width, height) for left in lefts]
        for cell, pixels in zip(cells, views.values(), strict=False):
            place(axes, pixels[row], cell)
        for step, cell in enumerate(cells[len(views) :]):
            place(axes, boxes[row, step], cell, frame=part_colour(step), border=BORDER)
    return figure


def _boxes(
    parts: Float[Tensor, "n T C H W"], sub_parts: Float[Tensor, "n T S C h w"] | None
) -> tuple[Float[Tensor, "n T 3 rows columns"], str]:
    """Draw what is in the boxes and say what it is."""
    if parts.shape[-3] == 3:
        return parts, "each part alone"
    if sub_parts is None:
        return tint(parts), "each part alone"
    return colourise(sub_parts), "sub-parts of each part, in the part's own frame"


def _headings(axes: Axes, views: list[str], num_boxes: int, caption: str, lefts: list[int], width: int) -> None:
    """Name the columns: two lines above the boxes, one above the views."""
    first_line, second_line = LINE_HEIGHT, 2 * LINE_HEIGHT
    for left, name in zip(lefts, views, strict=False):
        write(axes, left + width // 2, second_line, name, align="center")
    box_lefts = lefts[len(views) :]
    write(axes, (box_lefts[0] + box_lefts[-1] + width) // 2, first_line, caption, align="center")
    for step, left in zip(range(num_boxes), box_lefts, strict=True):
        write(axes, left + width // 2, second_line, f"part {step + 1}", align="center", colour=part_colour(step))
