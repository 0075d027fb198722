"""The work of the command ``topography``."""

from typing import Any

import numpy as np
import torch
from matplotlib.figure import Figure

from examples.mapping.codes import Clusters, Codes, cluster, codes_of, pictures
from examples.mapping.config import RANGES, MapConfig
from examples.mapping.draw import draw_clusters, draw_map
from examples.mapping.measures import apart, flat_map, told
from examples.shared.cli import check_files
from examples.shared.outputs import output_folder
from examples.shared.spaces import check_ranges, open_runs
from rnp_pyro import figures
from rnp_pyro.api.report import versions
from rnp_pyro.api.run import Run
from rnp_pyro.checkpoint import write_json
from rnp_pyro.seeds import check_seed
from rnp_pyro.shapes import Float, Tensor
from rnp_pyro.tree import Tree

MEMBERS = 8
"""Members of a cluster that its row shows."""

MAPPED = 2000
"""Parts on the map, at most."""


def main(config: MapConfig) -> dict[str, Any]:
    """Map, draw, measure, and write it.

    Raises:
        UserError: If anything does not fit; nothing is written then.
    """
    check_ranges(config, RANGES)
    check_seed("--seed", config.seed)
    run, baseline = open_runs(config.run, config.baseline, config.data, config.data_dir)
    out = output_folder(config.run, "topography", config.out)
    paths = [out / name for name in ("topography.png", "topography.pdf", "clusters.png", "topography.json")]
    check_files(paths, config.overwrite)
    numbers, drawn = topography(run, baseline, config.images, config.clusters, config.seed)
    figures.save(drawn["map"], paths[0])
    figures.save(drawn["map"], paths[1])
    figures.save(drawn["clusters"], paths[2])
    write_json(paths[3], {**numbers, "versions": versions()})
    for line in describe(numbers):
        print(line)
    print("wrote " + " ".join(map(str, paths)))
    return numbers


def topography(
    run: Run, baseline: Run | None, images: int, clusters: int, seed: int
) -> tuple[dict[str, Any], dict[str, Figure]]:
    """Map a run's programs; return the numbers, and the figures ``map`` and ``clusters``."""
    tree, codes = run.tree, codes_of(run, "test", images)
    assert codes.parts is not None
    parts = codes.parts.flatten(0, 1)
    # Evenly spread over images and steps, whatever their number.
    chosen = torch.linspace(0, len(parts) - 1, min(len(parts), MAPPED)).long()
    some, levels = parts[chosen], (tree.num_levels, tree.num_levels - 1)
    points = flat_map(torch.cat([codes.root, some]), seed)
    split = (points[: len(codes.root)], points[len(codes.root) :])
    found = [cluster(programs, clusters, seed) for programs in (codes.root, some)]
    programs = (codes.root, some)
    names = [f"z^{levels[0]}: images", f"z^{levels[1]}: parts"]
    shown, sheets = [], []
    for name, level, group, place, inside in zip(names, levels, programs, split, found, strict=True):
        nearest = [members[0] for members in inside.members]
        shown.append((place[nearest], pictures(tree, group[nearest], level)))
        sheets.append((name, pictures(tree, inside.centres, level), _members(tree, group, inside, level)))
    drawn = {"map": draw_map(split, names, shown), "clusters": draw_clusters(sheets)}
    return {**measure(run, baseline, codes, images), "images": len(codes.root), "seed": seed}, drawn


def _members(tree: Tree, group: Float[Tensor, "N Z"], inside: Clusters, level: int) -> list[Any]:
    return [pictures(tree, group[list(members[:MEMBERS])], level) for members in inside.members]


def measure(run: Run, baseline: Run | None, asked: Codes, images: int) -> dict[str, Any]:
    """Measure what the codes of test images know, from codes of training images."""
    known = codes_of(run, "train", images)
    assert known.parts is not None
    assert asked.parts is not None
    flat = asked.parts.flatten(0, 1)
    found: dict[str, Any] = {"silhouette_of_levels": apart(asked.root, flat[:MAPPED])}
    steps = known.parts.shape[-2]
    places = [np.tile(np.arange(steps), len(one.root)) for one in (known, asked)]
    found["place_from_part"] = told(known.parts.flatten(0, 1), places[0], flat, places[1])
    if known.labels is None or asked.labels is None:
        return found
    parents = [np.repeat(one.labels.numpy(), steps) for one in (known, asked)]
    found["class_from_image"] = told(known.root, known.labels, asked.root, asked.labels)
    found["class_from_pixels"] = told(known.pixels, known.labels, asked.pixels, asked.labels)
    found["class_from_part"] = told(known.parts.flatten(0, 1), parents[0], flat, parents[1])
    if baseline is not None:
        theirs = codes_of(baseline, "train", images), codes_of(baseline, "test", images)
        found["class_from_baseline"] = told(theirs[0].root, known.labels, theirs[1].root, asked.labels)
    return found


def describe(numbers: dict[str, Any]) -> list[str]:
    """Return the numbers in a line each."""
    lines = [f"silhouette between levels {numbers['silhouette_of_levels']:.3f}"]
    for name, row in numbers.items():
        if isinstance(row, dict):
            lines.append(
                f"{name.replace('_', ' ')}: probe {row['probe']:.3f} +- {row['standard_error']:.3f}, "
                f"{5} neighbours {row['neighbours']:.3f}, guessing {row['chance']:.3f}"
            )
    return lines
