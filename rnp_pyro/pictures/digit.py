"""A photographed or drawn digit as MNIST has them: ink bright, paper black, scaled and centred."""

from dataclasses import dataclass, replace
from math import ceil, floor
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Int64

from rnp_pyro.errors import UserError
from rnp_pyro.pictures.ink import Grey, find_ink
from rnp_pyro.pictures.picture import read_upright
from rnp_pyro.shapes import Bool, Float, Tensor, UInt8

READING_SIDE, WORKING_SIDE = 1024, 256
"""Longest side, in pixels, at which a file is read, and at which ink is looked for: first in all of it, then around
the digit."""

MARGIN = 0.35
"""Paper left around a digit that is looked at closer, as a share of the digit's longer side."""

BOX_SHARE = 20 / 28
"""Longer side of a digit's box as a share of the image's: MNIST's digits were scaled to 20 pixels of 28."""

STROKE_SHARE = 2.2 / 20
"""Width of a stroke below which it is thickened, as a share of the box: MNIST's are seldom thinner."""

LEAST_SPECK = 0.03
"""Share of the largest stroke's area below which a patch of ink is a speck."""

LEAST_DIGIT = 0.001
"""Share of the image that a digit's strokes cover at least."""

MOST_CONTACT = 0.2
"""Share of the border that is touched by a table or a shadow, not by a digit."""


@dataclass(frozen=True)
class Digit:
    """A file's digit, and what was done to it.

    Attributes:
        pixels: 0 to 255, ink bright.
        note: What was done, for the user.
    """

    pixels: UInt8[Tensor, "1 S S"]
    note: str


def read_digit(path: Path, image_size: int) -> Digit:
    """Reads a PNG or JPEG file and makes its digit look as MNIST's do.

    The paper is told from the ink by its share of the image, and uneven light is divided out; specks and what reaches
    in from the border are left out; thin strokes are thickened; the digit's box is scaled to 20/28 of the image, and
    its centre of mass put in the middle.

    Raises:
        UserError: The file is no image (see ``read_upright``), or has no ink.
    """
    size, pixels = read_upright(path, READING_SIDE)
    image = torch.from_numpy(pixels.copy()).permute(2, 0, 1) / 255
    found = _look_closer(image, find_strokes(image))
    if found is None:
        raise UserError(
            f"expected a digit drawn darker or brighter than its ground in {str(path)!r}, got an even image: take a "
            "sharper picture, or switch this off with --as_is true"
        )
    thick = thicken(found.ink)
    width, height = (round(side * max(size) / max(image.shape[-2:])) for side in (found.width, found.height))
    steps = [
        "dark ink on a bright ground" if found.dark else "bright ink on a dark ground",
        *(["specks and what touches the border left out"] if found.dropped else []),
        f"cut out {width}x{height} of {size[0]}x{size[1]} pixels",
        *(["strokes thickened"] if thick.shape != found.ink.shape else []),
        f"scaled and centred in {image_size}x{image_size}",
    ]
    return Digit((255 * centre(thick, image_size)).round().to(torch.uint8)[None], ", ".join(steps))


@dataclass(frozen=True)
class Strokes:
    """Ink that was found in an image.

    Attributes:
        ink: Its strength in [0, 1], cut out.
        box: Top, bottom, left and right of the cut, in pixels of the image that was looked at; ends not counted.
        dark: Whether it is darker than the paper.
        dropped: Whether specks, or what touches the border, were left out.
    """

    ink: Grey
    box: tuple[int, int, int, int]
    dark: bool
    dropped: bool

    @property
    def width(self) -> int:
        """Of the cut."""
        return self.box[3] - self.box[2]

    @property
    def height(self) -> int:
        """Of the cut."""
        return self.box[1] - self.box[0]


def find_strokes(image: Float[Tensor, "3 rows columns"]) -> Strokes | None:
    """Find the digit in an image of any size, at the working size; None if there is no ink."""
    factor = min(1.0, WORKING_SIDE / max(image.shape[-2:]))
    rows, columns = (max(1, round(side * factor)) for side in image.shape[-2:])
    small = F.interpolate(image[None], (rows, columns), mode="bilinear", antialias=True, align_corners=False)[0]
    dark, ink = find_ink(small)
    if ink is None:
        return None
    ink, dropped = keep_strokes(ink)
    top, bottom, left, right = bounding_box(ink > 0.5)
    box = (floor(top / factor), ceil(bottom / factor), floor(left / factor), ceil(right / factor))
    return Strokes(ink[top:bottom, left:right], box, dark, dropped)


def _look_closer(image: Float[Tensor, "3 rows columns"], found: Strokes | None) -> Strokes | None:
    """Look again at a small digit in a large image, with some paper around it."""
    if found is None or max(image.shape[-2:]) <= WORKING_SIDE:
        return found
    margin = ceil(MARGIN * max(found.width, found.height))
    top, bottom, left, right = found.box
    top, left = max(0, top - margin), max(0, left - margin)
    closer = find_strokes(image[:, top : bottom + margin, left : right + margin])
    return found if closer is None else replace(closer, dropped=found.dropped)


def keep_strokes(ink: Grey) -> tuple[Grey, bool]:
    """Leave specks out, and what reaches in from the border if there is something else.

    Returns:
        The ink that is kept, and whether any was left out.
    """
    labels = label(ink > 0.5)
    areas = torch.bincount(labels.flatten())
    contact = torch.bincount(
        torch.cat([labels[0], labels[-1], labels[1:-1, 0], labels[1:-1, -1]]), minlength=len(areas)
    )
    areas[0] = contact[0] = 0
    perimeter = 2 * sum(labels.shape) - 4
    for most, least in ((MOST_CONTACT * perimeter, LEAST_DIGIT * labels.numel()), (0, 0.1 * float(areas.max()))):
        inner = torch.where(contact > most, 0, areas)
        if inner.max() > least:
            areas = inner
    kept = areas >= (LEAST_SPECK * areas.max()).clamp(min=1)
    near = F.max_pool2d(kept[labels].float()[None, None], 5, stride=1, padding=2)[0, 0]
    return ink * near, bool(kept.sum() < len(areas) - 1)


def label(mask: Bool[Tensor, "rows columns"]) -> Int64[Tensor, "rows columns"]:
    """Number the connected patches of a mask from 1, diagonal neighbours counted; 0 elsewhere."""
    rows, columns = mask.shape
    seen = np.zeros((rows + 2, columns + 2), np.int64)
    seen[1:-1, 1:-1] = -mask.numpy().astype(np.int64)
    count = 0
    for start in zip(*np.nonzero(seen < 0), strict=True):
        if seen[start] == -1:
            count += 1
            seen[start] = count
            stack = [start]
            while stack:
                row, column = stack.pop()
                for near in ((row + dy, column + dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1)):
                    if seen[near] == -1:
                        seen[near] = count
                        stack.append(near)
    return torch.from_numpy(seen[1:-1, 1:-1])


def bounding_box(mask: Bool[Tensor, "rows columns"]) -> tuple[int, int, int, int]:
    """Find the rows and columns that hold a mask: top, bottom, left, right, ends not counted."""
    rows, columns = mask.any(1).nonzero().flatten(), mask.any(0).nonzero().flatten()
    return int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1


def thicken(ink: Grey) -> Float[Tensor, "grown_rows grown_columns"]:
    """Widen strokes that would be faint threads at the digit's final size; the image grows by as much on each side."""
    strokes = (ink > 0.5).float()
    padded = F.pad(strokes[None, None], (1, 1, 1, 1))
    eroded = -F.max_pool2d(-padded, 3, stride=1, padding=1)
    # A stroke of width w and length l has the area w l; when it is eroded by a pixel all around, 2 l of it is lost.
    width = 2 * float(strokes.sum()) / max(float((padded - eroded).sum()), 1.0)
    radius = round((STROKE_SHARE * max(ink.shape) - width) / 2 / (1 - STROKE_SHARE))
    if radius < 1:
        return ink
    grown = F.pad(ink[None, None], (radius,) * 4)
    # A square and a cross in turn make an octagon, which is near enough to a round pen.
    for step in range(radius):
        tall = F.max_pool2d(grown, (3, 1), stride=1, padding=(1, 0))
        across = F.max_pool2d(tall if step % 2 else grown, (1, 3), stride=1, padding=(0, 1))
        grown = torch.maximum(tall, across)
    return grown[0, 0]


def centre(ink: Grey, image_size: int) -> Float[Tensor, "S S"]:
    """Scale a digit's box to its share of the image, and put its centre of mass in the middle, if it fits so."""
    scale = BOX_SHARE * image_size / max(ink.shape)
    rows, columns = (max(1, round(side * scale)) for side in ink.shape)
    small = F.interpolate(ink[None, None], (rows, columns), mode="bilinear", antialias=True, align_corners=False)[0, 0]
    small = (small / small.max().clamp(min=1e-6)).clamp(0, 1)
    total = small.sum()
    middle_row = float((small.sum(1) * (torch.arange(rows) + 0.5)).sum() / total)
    middle_column = float((small.sum(0) * (torch.arange(columns) + 0.5)).sum() / total)
    top = min(max(round(image_size / 2 - middle_row), 0), image_size - rows)
    left = min(max(round(image_size / 2 - middle_column), 0), image_size - columns)
    square = torch.zeros(image_size, image_size)
    square[top : top + rows, left : left + columns] = small
    return square
