"""Ink and paper told apart: uneven light, coloured paper, dark ink or bright."""

import torch
import torch.nn.functional as F

from rnp_pyro.shapes import Float, Tensor

SURFACE_SIDE = 48
"""Points a side to which the paper's brightness is fitted."""

LEAST_CONTRAST = 0.05
"""Difference from paper below which nothing counts as ink, paper being 1."""

CLEAR, NOISE_FROM_MEDIAN = 5, 1.5
"""Standard deviations of the paper's grain by which ink differs; half a normal's median is 1 / 1.5 of one."""

Grey = Float[Tensor, "rows columns"]
"""One channel of an image, or the strength of its ink."""


def find_ink(image: Float[Tensor, "3 rows columns"]) -> tuple[bool, Grey | None]:
    """Separate ink from paper.

    Args:
        image: Red, green and blue in [0, 1].

    Returns:
        Whether ink is darker than paper, and its strength in [0, 1]; None if there is none.
    """
    smooth = F.avg_pool2d(F.pad(image[None], (1, 1, 1, 1), mode="replicate"), 3, stride=1)[0]
    residual = smooth.mean(0) - paper_surface(smooth.mean(0))
    dark = bool(-residual.min() >= residual.max())
    light = smooth if dark else 1 - smooth
    paper = _close(light)
    # The channel that tells ink from paper best: blue ink is dark in red, red ink in blue.
    depth = ((paper - light) / paper.clamp(min=0.1)).amax(0).clamp(min=0)
    depth = depth - depth.median()
    noise = NOISE_FROM_MEDIAN * float(depth.abs().median())
    depth = depth.clamp(min=0)
    threshold = max(otsu(depth), LEAST_CONTRAST, CLEAR * noise)
    strong = depth[depth > threshold]
    if len(strong) == 0:
        return dark, None
    low, high = 0.5 * threshold, float(strong.quantile(0.6))
    return dark, ((depth - low) / max(high - low, 1e-3)).clamp(0, 1)


def ink_on_paper(grey: Grey) -> Grey:
    """Return the strength in [0, 1] of dark strokes or shapes of any size, the paper's uneven light divided out.

    Unlike ``find_ink`` it takes the border for paper, and so leaves shapes whole that fill most of the picture.
    """
    border = torch.zeros_like(grey, dtype=torch.bool)
    border[0] = border[-1] = border[:, 0] = border[:, -1] = True
    terms = _quadratic(*grey.shape)
    coefficients = _fit_robustly(terms[border.flatten()], grey[border].double())
    paper = (terms @ coefficients).reshape(grey.shape).to(grey.dtype).clamp(min=0.1)
    depth = ((paper - grey) / paper).clamp(min=0)
    threshold = max(otsu(depth), LEAST_CONTRAST)
    strong = depth[depth > threshold]
    if len(strong) == 0:
        return torch.zeros_like(depth)
    low, high = 0.5 * threshold, float(strong.quantile(0.9))
    return ((depth - low) / max(high - low, 1e-3)).clamp(0, 1)


def paper_surface(grey: Grey, rounds: int = 8) -> Grey:
    """Fit the paper's brightness: a quadratic surface, by least squares in which what is far off counts little."""
    coarse = [min(side, SURFACE_SIDE) for side in grey.shape]
    target = F.interpolate(grey[None, None], coarse, mode="area").flatten().double()
    terms = _quadratic(coarse[0], coarse[1])
    coefficients = _fit_robustly(terms, target, rounds)
    return (_quadratic(*grey.shape) @ coefficients).reshape(grey.shape).to(grey.dtype)


def _fit_robustly(
    terms: Float[Tensor, "points 6"], target: Float[Tensor, "points"], rounds: int = 8
) -> Float[Tensor, "6"]:
    """Fit a sum of terms by least squares in which what is far off counts little."""
    coefficients = torch.zeros(terms.shape[-1], dtype=target.dtype)
    coefficients[0] = target.median()
    for _ in range(rounds):
        error = (target - terms @ coefficients).abs()
        weighted = terms / (1 + (error / (error.median() + 1e-3)).square())[:, None]
        coefficients = torch.linalg.lstsq(weighted.T @ terms, weighted.T @ target).solution
    return coefficients


def _quadratic(rows: int, columns: int) -> Float[Tensor, "pixels 6"]:
    """Return 1, x, y, x^2, xy and y^2 at the middles of pixels, both coordinates over [-1, 1]."""
    y = ((2 * torch.arange(rows, dtype=torch.float64) + 1) / rows - 1).repeat_interleave(columns)
    x = ((2 * torch.arange(columns, dtype=torch.float64) + 1) / columns - 1).repeat(rows)
    return torch.stack([torch.ones_like(x), x, y, x * x, x * y, y * y], dim=-1)


def otsu(values: Grey, bins: int = 128) -> float:
    """Find the threshold that parts values into two groups most clearly (Otsu 1979)."""
    flat = values.flatten()
    top = max(float(flat.max()), 1e-6)
    counts = torch.histc(flat, bins, 0, top).double()
    centres = (torch.arange(bins, dtype=torch.float64) + 0.5) * top / bins
    below, total = counts.cumsum(0), counts.sum()
    mass = (counts * centres).cumsum(0)
    above = total - below
    difference = mass / below.clamp(min=1) - (mass[-1] - mass) / above.clamp(min=1)
    return float(centres[int((below * above * difference.square()).argmax())])


def _close(light: Float[Tensor, "channels rows columns"]) -> Float[Tensor, "channels rows columns"]:
    """Fill what is darker than its surroundings: a third of the image's side, the largest value, then the smallest."""
    size = light.shape[-2:]
    # Half of the resolution is enough for paper, and an eighth of the work.
    half = F.max_pool2d(light[None], 2, ceil_mode=True)[0]
    reach = max(1, max(half.shape[-2:]) // 6)
    filled = -_slide(-_slide(half, reach), reach)
    paper = F.interpolate(filled[None], size, mode="bilinear", align_corners=False)[0]
    return torch.maximum(paper, light)


def _slide(image: Float[Tensor, "channels rows columns"], reach: int) -> Float[Tensor, "channels rows columns"]:
    """Return the largest value within ``reach`` pixels, rows first and then columns."""
    tall = F.max_pool2d(image[None], (2 * reach + 1, 1), stride=1, padding=(reach, 0))
    return F.max_pool2d(tall, (1, 2 * reach + 1), stride=1, padding=(0, reach))[0]
