"""What AIR makes of images: each object's window framed on the image, in the colours of a program's steps."""

import torch
import torch.nn.functional as F

from examples.paper.baselines.objects import objects_of
from examples.paper.pictures import spread
from rnp_pyro import figures
from rnp_pyro.affine import invert
from rnp_pyro.api.run import Run
from rnp_pyro.data import to_unit
from rnp_pyro.figures import Panel, Row
from rnp_pyro.figures.colour import part_colour
from rnp_pyro.figures.printing import on_paper
from rnp_pyro.shapes import Float, Tensor

FINER = 6
"""Pixels of a framed image along a pixel of the image: frames are thinner than pixels."""

THICKNESS = 0.04
"""Of a frame, as a share of the window's half side."""


def window_rows(run: Run, count: int, title: str) -> list[Row]:
    """Show test images: the image with framed windows, the reconstruction, objects in colour, and each in a box."""
    images, rows = spread(run, count), []
    drawn = objects_of(run.pair, images)
    framed = outlined(to_unit(images), drawn.poses)
    for at, objects in enumerate(drawn.objects):
        shown = [
            Panel("windows", on_paper(framed[at])),
            Panel("drawn", on_paper(drawn.canvases[at])),
            Panel("objects", on_paper(figures.colourise(objects))),
        ]
        for step, box in enumerate(on_paper(objects)):
            shown.append(Panel(f"object {step + 1}", box, part_colour(step)))
        rows.append(Row(shown, title if at == 0 else ""))
    return rows


def outlined(images: Float[Tensor, "n 1 H W"], poses: Float[Tensor, "n T 2 3"]) -> Float[Tensor, "n 3 rows columns"]:
    """Draw grey images as ink on white paper, and the frame of each window over them in its step's colour.

    Args:
        images: Ink in [0, 1].
        poses: The windows' on the image.

    Returns:
        Red, green and blue in [0, 1], ``FINER`` times as many rows and columns.
    """
    fine = F.interpolate(images, scale_factor=FINER, mode="nearest")
    y, x = (torch.arange(1 - length, length, 2) / length for length in fine.shape[-2:])
    places = torch.stack([*torch.meshgrid(x, y, indexing="xy"), torch.ones(len(y), len(x))]).flatten(1).to(poses)
    # In a window's own coordinates its frame is the square of half side 1.
    inside = (invert(poses) @ places).abs().amax(-2).unflatten(-1, (len(y), len(x)))
    frames = ((inside - 1).abs() < THICKNESS).to(images)[..., None, :, :]
    bare = 1 - frames.amax(-4)
    return figures.colourise(frames) * (1 - fine * bare)
