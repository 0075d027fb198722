"""What stands in a run directory, and how tests read it."""

import json
from pathlib import Path

FILES = [
    "checkpoint.pt", "checkpoint_before.pt", "config.yaml", "data.json", "figures", "metrics.csv", "model.safetensors",
    "summary.json",
]  # fmt: skip
FIGURES = ["parse.png", "prior_samples.png", "reconstructions.png", "training_curves.png"]
UNDRAWN = [name for name in FILES if name != "figures"]


def summary_of(run: Path) -> dict:
    return json.loads((run / "summary.json").read_text())


def files(run: Path) -> list[str]:
    """Names in a run directory, without what TensorBoard adds where it is installed."""
    return sorted(path.name for path in run.iterdir() if path.name != "tensorboard")
