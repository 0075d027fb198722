"""One image's parse, drawn in full: its views in a row, and below them the tree with a thumbnail at every node."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnp_pyro.figures.colour import colourise, part_colour, tint
from rnp_pyro.figures.printing import on_paper
from rnp_pyro.figures.sheet import LINE_HEIGHT, Box, Colour, enlarged, place, sheet, write
from rnp_pyro.part_tree.value import TreeValue
from rnp_pyro.shapes import Float, Tensor, UInt8

SIDE = 168
"""Printed pixels along a view, about."""

LARGEST_NODE, NODE = 112, 84
"""Printed pixels along the root's thumbnail, and along all others."""

MARGIN, GAP, BOX_GAP, BORDER, BRANCH = 12, 16, 40, 4, 56

View = tuple[str, np.ndarray, Colour | None]
"""A heading, an image, and the colour of its frame; None is a thin grey one."""


def tree_drawing(
    image: Float[Tensor, "C H W"], value: TreeValue, picture: UInt8[Tensor, "3 rows columns"] | None = None
) -> Figure:
    """Show an image, its reconstruction, its parts in colour, each part's sub-parts in a box, and the tree.

    Grey images are printed as dark ink on white paper. Where the image was made from a user's picture, that comes
    first, as it is, and beside it the image as the model sees it, ink bright.

    Args:
        image: Ink or colour in [0, 1].
        value: Its tree, one, not a batch.
        picture: What the image was made from, 0 to 255.

    Returns:
        The figure.
    """
    views = _views(image, value, picture)
    rows = _rows(value)
    width, height = enlarged(image.shape[-2], image.shape[-1], SIDE)
    leaves, pitch = len(rows[-1]), NODE + GAP
    # The first box stands apart from the views.
    row_width = len(views) * (width + GAP) - GAP + (BOX_GAP - GAP)
    sheet_width = 2 * MARGIN + max(row_width, leaves * pitch - GAP)
    tree_top = MARGIN + 2 * LINE_HEIGHT + height + BRANCH
    sheet_height = tree_top + LARGEST_NODE + (len(rows) - 1) * (BRANCH + NODE) + 2 * MARGIN
    figure, axes = sheet(sheet_width, sheet_height)
    _draw_views(axes, views, Box((sheet_width - row_width) // 2, MARGIN + 2 * LINE_HEIGHT, width, height))
    _draw_nodes(axes, rows, sheet_width, tree_top)
    return figure


def _views(
    image: Float[Tensor, "C H W"], value: TreeValue, picture: UInt8[Tensor, "3 rows columns"] | None
) -> list[View]:
    """List what the upper row shows; boxes have a coloured frame."""
    by_level = dict(value.pasted_children())
    parts = by_level[value.num_levels][0]
    views: list[View] = []
    if picture is not None:
        views.append(("picture", on_paper(picture / 255), None))
        # Three equal channels are printed as they are: bright ink on black.
        views.append(("seen, ink bright", on_paper(image.expand(3, -1, -1)), None))
    else:
        views.append(("image", on_paper(image), None))
    views.append(("reconstruction", on_paper(value.fold()), None))
    if image.shape[0] == 1:
        views.append(("parts", on_paper(colourise(parts)), None))
    sub_parts = by_level.get(value.num_levels - 1)
    for step, part in enumerate(parts):
        shown = _coloured(part, step) if sub_parts is None else _superimposed(sub_parts[step])
        views.append((f"part {step + 1}", on_paper(shown), part_colour(step)))
    return views


def _rows(value: TreeValue) -> list[list[tuple[np.ndarray, int | None]]]:
    """Return the thumbnails of each level from the root down, and each node's step; the root has none."""
    by_level = dict(value.pasted_children())
    rows: list[list[tuple[np.ndarray, int | None]]] = [[(on_paper(_superimposed(by_level[value.num_levels][0])), None)]]
    for level in range(value.num_levels - 1, value.leaf_level - 1, -1):
        count = value.num_steps(level + 1)
        canvases = value.canvas_of(level)
        rows.append([(on_paper(_coloured(canvas, at % count)), at % count) for at, canvas in enumerate(canvases)])
    return rows


def _coloured(part: Float[Tensor, "C h w"], step: int) -> Float[Tensor, "3 h w"]:
    """Draw a grey part in its step's colour; a coloured one stays as it is."""
    if part.shape[0] == 3:
        return part
    return tint(part.expand(step + 1, *part.shape))[step]


def _superimposed(parts: Float[Tensor, "T C h w"]) -> Float[Tensor, "3 h w"]:
    """Draw grey parts in their colours over each other; coloured ones are added up."""
    return colourise(parts) if parts.shape[-3] == 1 else parts.sum(0).clamp(0, 1)


def _draw_views(axes: Axes, views: Sequence[View], first: Box) -> None:
    left = first.left
    for at, (name, pixels, frame) in enumerate(views):
        if frame is not None and views[at - 1][2] is None:
            left += BOX_GAP - GAP
        cell = first._replace(left=left)
        if frame is None:
            place(axes, pixels, cell)
            write(axes, left + first.width // 2, first.top - LINE_HEIGHT // 2, name, align="center")
        else:
            place(axes, pixels, cell, frame=frame, border=BORDER)
            write(axes, left + first.width // 2, first.top - LINE_HEIGHT // 2, name, align="center", colour=frame)
        left += first.width + GAP


def _draw_nodes(axes: Axes, rows: Sequence[Sequence[tuple[np.ndarray, int | None]]], width: int, top: int) -> None:
    """Draw each node in the middle above its children, and a line to each in the colour of the child's step."""
    leaves = len(rows[-1])
    pitch = max(NODE + GAP, (width - 2 * MARGIN) // leaves)
    start = (width - leaves * pitch) // 2
    above: list[tuple[int, int]] = []
    for row in rows:
        side = NODE if above else LARGEST_NODE
        share = leaves // len(row)
        feet = []
        for at, (pixels, step) in enumerate(row):
            middle = start + (at * share * pitch) + share * pitch // 2
            if step is None:
                place(axes, pixels, Box(middle - side // 2, top, side, side))
            else:
                x, y = above[at * len(above) // len(row)]
                axes.plot([x, middle], [y, top], color=part_colour(step), linewidth=1.2, zorder=0)
                place(axes, pixels, Box(middle - side // 2, top, side, side), frame=part_colour(step), border=3)
            feet.append((middle, top + side))
        above, top = feet, top + side + BRANCH
