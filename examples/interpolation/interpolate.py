"""The work of the command ``interpolate``."""

from itertools import combinations
from typing import Any

import torch
from matplotlib.figure import Figure

from examples.interpolation.config import RANGES, InterpolateConfig
from examples.interpolation.paths import PATHS, straight, unlikeliness
from examples.mapping.codes import Clusters, cluster, codes_of, pictures
from examples.shared.cli import check_files
from examples.shared.outputs import output_folder
from examples.shared.spaces import check_ranges, open_runs
from inference.bounds import latent_means
from inference.predictive import programs_of
from rnp_pyro import figures
from rnp_pyro.api.report import EVALUATION_SEED, versions
from rnp_pyro.api.run import Run
from rnp_pyro.checkpoint import write_json
from rnp_pyro.data import binarise_fixed
from rnp_pyro.figures import Panel, Row
from rnp_pyro.figures.printing import on_paper
from rnp_pyro.seeds import check_seed
from rnp_pyro.shapes import Canvas


def main(config: InterpolateConfig) -> dict[str, Any]:
    """Walk, draw, measure, and write it.

    Raises:
        UserError: If anything does not fit; nothing is written then.
    """
    check_ranges(config, RANGES)
    check_seed("--seed", config.seed)
    run, baseline = open_runs(config.run, config.baseline, config.data, config.data_dir)
    out = output_folder(config.run, "interpolation", config.out)
    paths = [out / name for name in ("interpolation.png", "interpolation.pdf", "interpolation.json")]
    check_files(paths, config.overwrite)
    numbers, figure = interpolation(run, baseline, config)
    figures.save(figure, paths[0])
    figures.save(figure, paths[1])
    write_json(paths[2], {**numbers, "versions": versions()})
    for line in describe(numbers):
        print(line)
    print("wrote " + " ".join(map(str, paths)))
    return numbers


def interpolation(run: Run, baseline: Run | None, config: InterpolateConfig) -> tuple[dict[str, Any], Figure]:
    """Walk between clusters of a run's programs; return the numbers and the figure."""
    tree, codes = run.tree, codes_of(run, "test", config.images)
    assert codes.parts is not None
    top = tree.num_levels
    clusters = cluster(codes.root, config.clusters, config.seed)
    pairs = chosen_pairs(clusters, config.pairs)
    found: dict[str, list[Canvas]] = {}
    rows = []
    for number, (one, other) in enumerate(pairs):
        ends = clusters.centres[one], clusters.centres[other]
        walked = {name: pictures(tree, walk(*ends, config.steps), top) for name, walk in PATHS.items()}
        first, last = walked["linear"][0], walked["linear"][-1]
        walked["pixels"] = straight(first.flatten(), last.flatten(), config.steps).unflatten(-1, first.shape)
        if baseline is not None:
            walked["baseline"] = _through(baseline, first, last, config.steps)
        for name, images in walked.items():
            found.setdefault(name, []).append(images)
            title = f"images, cluster {one + 1} to {other + 1}: {name}" if name == "linear" else name
            rows.append(Row([Panel("", pixels) for pixels in on_paper(images)], title))
        if number == 0:
            rows += _parts(run, codes.parts.flatten(0, 1), config)
    judges = {"run": run} | ({} if baseline is None else {"baseline": baseline})
    numbers = {
        f"judged_by_{judge}": {name: _along(one, torch.stack(images), config) for name, images in found.items()}
        for judge, one in judges.items()
    }
    about = {"pairs": len(pairs), "steps": config.steps, "particles": config.particles, "seed": config.seed}
    return {**numbers, **about}, figures.panels(rows)


def chosen_pairs(clusters: Clusters, count: int) -> list[tuple[int, int]]:
    """Choose pairs of clusters whose centres are far from each other, no cluster twice while there are others."""
    far = torch.cdist(clusters.centres, clusters.centres)
    order = sorted(combinations(range(len(far)), 2), key=lambda pair: -float(far[pair]))
    chosen: list[tuple[int, int]] = []
    for fresh in (True, False):
        for pair in order:
            used = {one for other in chosen for one in other}
            if len(chosen) < count and pair not in chosen and not (fresh and used & set(pair)):
                chosen.append(pair)
    return chosen


def _parts(run: Run, programs: Any, config: InterpolateConfig) -> list[Row]:
    """Walk between the two clusters of parts that are farthest from each other."""
    clusters, level = cluster(programs, config.clusters, config.seed), run.tree.num_levels - 1
    ((one, other), *_) = chosen_pairs(clusters, 1)
    rows = []
    for name, walk in PATHS.items():
        path = walk(clusters.centres[one], clusters.centres[other], config.steps)
        shown = [Panel("", pixels) for pixels in on_paper(pictures(run.tree, path, level))]
        rows.append(Row(shown, f"parts, cluster {one + 1} to {other + 1}: {name}" if name == "linear" else name))
    return rows


def _through(baseline: Run, first: Canvas, last: Canvas, steps: int) -> Canvas:
    """Walk straight between a baseline's codes of two images."""
    ends = torch.stack([first, last]).clamp(0, 1)
    if baseline.pair.binary:
        ends = binarise_fixed(ends, EVALUATION_SEED, torch.arange(2))
    means = latent_means(baseline.pair.guide, ends)
    path = {
        site: straight(value[0].flatten(), value[1].flatten(), steps).unflatten(-1, value.shape[1:])
        for site, value in means.items()
    }
    return programs_of(baseline.pair.model, path, baseline.image_shape).mean


def _along(judge: Run, images: Any, config: InterpolateConfig) -> dict[str, Any]:
    """Return -log p(x) at each step, the mean over pairs; within the path, its ends left out, also the spread."""
    pairs, steps = images.shape[:2]
    nats = unlikeliness(judge, images.flatten(0, 1), config.particles, config.seed).view(pairs, steps)
    inside = nats[:, 1:-1].mean(-1)
    error = float(inside.std() / pairs**0.5) if pairs > 1 else None
    return {"by_step": nats.mean(0).tolist(), "inside": float(inside.mean()), "standard_error": error, "n": pairs}


def describe(numbers: dict[str, Any]) -> list[str]:
    """Return the numbers in a line each."""
    lines = []
    for judge, rows in numbers.items():
        if isinstance(rows, dict):
            told = ", ".join(f"{name} {row['inside']:.1f}" for name, row in rows.items())
            lines.append(f"-log p(x) within the path, {judge.replace('_', ' ')}: {told} nats")
    return lines
