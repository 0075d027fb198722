"""Train on all sound images, with four trees and three seeds: python tests/sweep.py [--steps 300] [--out FILE].

Prints a Markdown table for docs/reliability.md: the -ELBO of the images after training, nats per image.
"""

import argparse
import itertools
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from sound_images import KINDS, sound_images

from inference.bounds import elbo_terms
from rnp_pyro.api.fitting import make_config
from rnp_pyro.api.training import train_run
from rnp_pyro.data import ImageData
from rnp_pyro.errors import UserError

TREES: dict[str, dict[str, Any]] = {
    "default": {},
    "depth 3": {"model.tree.num_steps": [3, 4, 4]},
    "feedback": {"model.tree.feedback": True},
    "root alone": {"model.node_latents": "none"},
}
"""Name to the settings that differ from the default."""

SEEDS = (0, 1, 2)


def outcome(kind: str, tree: str, seed: int, steps: int, batch_size: int) -> float | str:
    """Train once as the commands do, and return the -ELBO of the images, nats per image, or what went wrong."""
    images = sound_images(kind, seed)
    budget = {"train.steps": steps, "train.batch_size": batch_size, "seed": seed}
    config = make_config({"image_size": images.shape[-1], **budget, **TREES[tree]})
    data = ImageData(name=kind, train=images, validation=images[:32], test=images[:32])
    try:
        trained = train_run(config, data, None, silent=True)
    except UserError as error:
        return str(error)
    observed = trained.pair.prepare_fixed(images)
    return elbo_terms(trained.pair.model, trained.pair.guide, observed, seed).neg_elbo.mean().item()


def piece(arguments: tuple[str, str, int, int, int]) -> tuple[tuple[str, str, int, int, int], float | str]:
    """Train once in a process of its own, on one thread."""
    torch.set_num_threads(1)
    return arguments, outcome(*arguments)


def shown(value: float | str | None) -> str:
    """Return a run's cell; a dash: it has not been made."""
    if value is None:
        return "-"
    return f"{value:.1f}" if isinstance(value, float) else "failed"


def table(found: dict[str, float | str]) -> str:
    """Return the Markdown table: kinds by trees, the seeds' -ELBOs in each cell."""
    lines = [f"| images | {' | '.join(TREES)} |", "|---" * (len(TREES) + 1) + "|"]
    for kind in KINDS:
        cells = []
        for tree in TREES:
            values = [found.get(f"{kind}, {tree}, {seed}") for seed in SEEDS]
            cells.append(" ".join(shown(one) for one in values))
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is not in ``--out`` yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch_size", type=int, default=8, help="Images per step.")
    parser.add_argument("--processes", type=int, default=2)
    parser.add_argument(
        "--out", type=Path, default=Path("sweep.json"), help="Where results are kept; it goes on there."
    )
    options = parser.parse_args(arguments)
    found: dict[str, float | str] = json.loads(options.out.read_text()) if options.out.exists() else {}
    cells = itertools.product(SEEDS, KINDS, TREES)
    left = [(kind, tree, seed, options.steps, options.batch_size) for seed, kind, tree in cells]
    left = [one for one in left if f"{one[0]}, {one[1]}, {one[2]}" not in found]
    with ProcessPoolExecutor(options.processes, get_context("spawn")) as pool:
        for (kind, tree, seed, *_), value in pool.map(piece, left):
            found[f"{kind}, {tree}, {seed}"] = value
            options.out.write_text(json.dumps(found, indent=1))
            print(f"{kind}, {tree}, seed {seed}: {value}", flush=True)
    print(table(found))
    failed = [name for name, value in found.items() if not isinstance(value, float)]
    print(f"{len(found)} runs, {len(failed)} failed")


if __name__ == "__main__":
    main()
