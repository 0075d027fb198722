"""Rows of pictures that figures are made of."""

import torch

from inference.bounds import reconstruct
from rnp_pyro import figures
from rnp_pyro.api.report import EVALUATION_SEED, draw_parts, mean_parse
from rnp_pyro.api.run import Run
from rnp_pyro.data import to_unit
from rnp_pyro.figures import Panel, Row
from rnp_pyro.figures.colour import part_colour
from rnp_pyro.figures.printing import on_paper
from rnp_pyro.tree import Tree


def parse_rows(run: Run, count: int, title: str) -> list[Row]:
    """Show test images as figure 3 does: image, reconstruction, parts in colour, and each part's own in a box."""
    images, tree = spread(run, count), run.tree
    with torch.no_grad():
        drawn = draw_parts(tree, mean_parse(run.pair, tree, run.pair.prepare_fixed(images, EVALUATION_SEED)))
    grey, rows = run.image_shape[0] == 1, []
    for at, image in enumerate(to_unit(images)):
        shown = [Panel("image", on_paper(image)), Panel("drawn", on_paper(drawn.canvases[at]))]
        if grey:
            shown.append(Panel("parts", on_paper(figures.colourise(drawn.parts[at]))))
        boxes = drawn.parts[at]
        if grey:
            inside = drawn.sub_parts
            boxes = figures.colourise(inside[at]) if inside is not None else boxes
        for step, box in enumerate(on_paper(boxes)):
            shown.append(Panel(f"part {step + 1}", box, part_colour(step)))
        rows.append(Row(shown, title if at == 0 else ""))
    return rows


def reconstructions(run: Run, count: int, title: str) -> list[Row]:
    """Show test images in a row, and what a run makes of them below."""
    images = spread(run, count)
    drawn = reconstruct(run.pair.model, run.pair.guide, run.pair.prepare_fixed(images, EVALUATION_SEED))
    above = Row([Panel("", pixels) for pixels in on_paper(to_unit(images))], title)
    return [above, Row([Panel("", pixels) for pixels in on_paper(drawn)])]


def sample_rows(run: Run, count: int, title: str) -> list[Row]:
    """Show samples of the prior in a row, and their parts in colour below."""
    samples = run.sample(count, seed=0)
    rows = [Row([Panel("", pixels) for pixels in on_paper(samples.images)], title)]
    if isinstance(run.pair.model.decoder, Tree) and samples.parts is not None and run.image_shape[0] == 1:
        rows.append(Row([Panel("", pixels) for pixels in on_paper(figures.colourise(samples.parts))]))
    return rows


def spread(run: Run, count: int) -> torch.Tensor:
    """Return test images at equal distances, which are of several classes."""
    test = run.data.test
    return test[torch.linspace(0, len(test) - 1, min(count, len(test))).long()]
