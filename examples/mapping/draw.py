"""The map of programs, and sheets of clusters."""

from collections.abc import Sequence
from typing import Any

from matplotlib.figure import Figure
from matplotlib.offsetbox import AnnotationBbox, OffsetImage

from rnp_pyro.figures.colour import part_colour
from rnp_pyro.figures.panels import Panel, Row, panels
from rnp_pyro.figures.printing import on_paper
from rnp_pyro.figures.sheet import DPI, FONT_SIZE
from rnp_pyro.shapes import Canvas

THUMBNAIL = 30
"""Printed pixels along a picture on the map, before the figure's own scale."""


def draw_map(points: Sequence[Any], names: Sequence[str], shown: Sequence[tuple[Any, Canvas]]) -> Figure:
    """Draw groups of points in colours, and pictures at some of them.

    Args:
        points: For each group ``[N 2]``.
        names: Of the groups.
        shown: For each group, places ``[k 2]`` and what is drawn there, ``[k C H W]``.
    """
    figure = Figure(figsize=(6, 6), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    for number, (name, group) in enumerate(zip(names, points, strict=True)):
        axes.scatter(group[:, 0], group[:, 1], s=3, color=part_colour(number), label=name, alpha=0.5, linewidths=0)
    for number, (places, images) in enumerate(shown):
        for place, pixels in zip(places, on_paper(images), strict=True):
            picture = OffsetImage(pixels, zoom=THUMBNAIL / max(pixels.shape[:2]), interpolation="nearest")
            frame = {"edgecolor": part_colour(number), "linewidth": 1.0}
            axes.add_artist(AnnotationBbox(picture, place, pad=0.1, bboxprops=frame))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.legend(fontsize=FONT_SIZE, frameon=False, markerscale=3, loc="upper left")
    return figure


def draw_clusters(groups: Sequence[tuple[str, Canvas, Sequence[Canvas]]]) -> Figure:
    """Draw clusters, one in each row: its centre, then members, the nearest to the centre first.

    Args:
        groups: The name of a level, the pictures of its clusters' centres, and those of each cluster's members.
    """
    rows = []
    for name, centres, members in groups:
        for number, (centre, inside) in enumerate(zip(on_paper(centres), members, strict=True)):
            title = name if number == 0 else ""
            shown = [Panel("centre", centre), *(Panel("", pixels) for pixels in on_paper(inside))]
            rows.append(Row(shown, title))
    return panels(rows)
