"""Train on all sound images, with four trees and three seeds: python tests/sweep.py [--steps 300] [--out FILE].

Prints a Markdown table for docs/reliability.md. Each cell is the -ELBO of the last 25 steps, nats per image.
"""

import argparse
import itertools
import json
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from lightning_fabric import Fabric
from sound_images import KINDS, sound_images

from inference.training.loop import train
from inference.training.schedule import make_progress
from inference.training.task import Task
from rnp_pyro.api.pair import build_pair
from rnp_pyro.config import Config, GuideConfig, ModelConfig, TrainConfig, TreeConfig
from rnp_pyro.errors import UserError

DEEP = TreeConfig(num_steps=(3, 4, 4), canvas_sizes=(20, 16))
TREES: dict[str, tuple[ModelConfig, GuideConfig]] = {
    "default": (ModelConfig(), GuideConfig()),
    "depth 3": (ModelConfig(tree=DEEP), GuideConfig()),
    "feedback": (ModelConfig(tree=TreeConfig(feedback=True)), GuideConfig()),
    "ladder": (ModelConfig(node_latents="state"), GuideConfig("ladder")),
}
"""Name to settings."""

SEEDS = (0, 1, 2)


@dataclass
class Rows:
    """An observer that keeps rows of metrics, and nothing else."""

    rows: list[dict[str, float]]

    def row(self, row: dict[str, float]) -> None:
        """Keep a row."""
        self.rows.append(row)

    def save(self, state: dict[str, Any]) -> None:
        """Keep nothing."""

    def warn(self, message: str) -> None:
        """Say nothing: a collapsed posterior is no failure of black images."""

    def should_stop(self) -> bool:
        """Never stop."""
        return False


def outcome(kind: str, tree: str, seed: int, steps: int, batch_size: int) -> float | str:
    """Train once, and return the -ELBO of the last steps, nats per image, or what went wrong."""
    images = sound_images(kind, seed)
    model, guide = TREES[tree]
    config = Config(
        seed=seed,
        model=model,
        guide=guide,
        train=TrainConfig(minutes=None, steps=steps, batch_size=batch_size, checkpoint_minutes=1e6),
    )
    image_shape = (1, images.shape[-2], images.shape[-1])
    pair = build_pair(config, image_shape)
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    observer = Rows([])
    task = Task(pair.model, pair.amortized, images, pair.prepare_fixed(images[:32]), pair.prepare, seed)
    try:
        train(task, config.train, make_progress(config.train, len(images)), fabric, observer)
    except UserError as error:
        return str(error)
    return [row["neg_elbo"] for row in observer.rows if "neg_elbo" in row][-1]


def piece(arguments: tuple[str, str, int, int, int]) -> tuple[tuple[str, str, int, int, int], float | str]:
    """Train once in a process of its own, on one thread."""
    torch.set_num_threads(1)
    return arguments, outcome(*arguments)


def table(found: dict[str, float | str]) -> str:
    """Return the Markdown table: kinds by trees, the seeds' -ELBOs in each cell."""
    lines = [f"| images | {' | '.join(TREES)} |", "|---" * (len(TREES) + 1) + "|"]
    for kind in KINDS:
        cells = []
        for tree in TREES:
            values = [found.get(f"{kind}, {tree}, {seed}") for seed in SEEDS]
            cells.append(" ".join(f"{one:.1f}" if isinstance(one, float) else "failed" for one in values))
        lines.append(f"| {kind} | {' | '.join(cells)} |")
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> None:
    """Run what is not in ``--out`` yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--batch_size", type=int, default=16, help="Images per step.")
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
