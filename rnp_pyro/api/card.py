"""A run's model card: what it is, how it was made, what was measured, and what it is not for. Markdown."""

import json
import shlex
from dataclasses import fields
from pathlib import Path
from typing import Any

from rnp_pyro.api.record import DataRecord
from rnp_pyro.api.settings import config_parser, parse_config
from rnp_pyro.checkpoint import SUMMARY, read_object
from rnp_pyro.config import Config

CARD = "README.md"
TAGS = ("recursive-neural-programs", "pyro", "variational-autoencoder", "part-whole-hierarchy")

LICENCES = {
    "mnist": "CC-BY-SA-3.0, that of MNIST (Yann LeCun, Corinna Cortes)",
    "mnist-sample": "CC-BY-SA-3.0, that of MNIST (Yann LeCun, Corinna Cortes)",
    "omniglot": "MIT, that of Omniglot (Brenden Lake)",
}
"""Of weights trained on a data set, by its name; of others the owner of the images must judge."""


def model_card(config: Config, record: DataRecord, folder: Path | None, half: bool) -> str:
    """Return the card's text.

    Args:
        config: The run's settings.
        record: What the run keeps of its images.
        folder: The run's, for the numbers of its test split; None: none were measured.
        half: Whether its weights are kept in half precision.
    """
    numbers = read_object(folder / SUMMARY) if folder is not None and (folder / SUMMARY).is_file() else None
    channels, rows, columns = record.image_shape
    lines = [
        "---",
        "library_name: rnp-pyro",
        "license: other",
        "tags:",
        *(f"- {tag}" for tag in TAGS),
        "---",
        "",
        f"# {config.model.name} with guide {config.guide.name}, trained on {record.name}",
        "",
        "A recursive neural program (Fisher & Rao, arXiv 2206.08462), trained with "
        "[rnp-pyro](https://arxiv.org/abs/2206.08462)'s Pyro model and guide."
        if config.model.name == "rnp"
        else "The flat variational autoencoder that rnp-pyro compares with.",
        "",
        "```python",
        "import rnp_pyro",
        "",
        "run = rnp_pyro.load(FOLDER)",
        "run.parse(images).figure()" if config.model.name == "rnp" else "run.sample(64)",
        "```",
        "",
        f"- **Images**: {record.name}, {channels} x {rows} x {columns}; {record.num_images['train']} trained on, "
        f"{record.num_images['validation']} for choosing, {record.num_images['test']} for testing.",
        f"- **Command**: `{command(config)}`",
        f"- **Seed**: {config.seed}",
        *(_numbers(numbers) if numbers is not None else ["- **Numbers**: none were measured."]),
        *(["- **Weights**: kept in half precision, read back as single precision."] if half else []),
        f"- **Limits**: it explains images like those that it was trained on, {rows}x{columns} pixels; of others its "
        "parts mean little. It is no classifier, and its samples are no data.",
        f"- **Licence**: {LICENCES.get(record.name, 'that of the images; ask their owner')}.",
    ]
    return "\n".join(lines) + "\n"


def command(config: Config) -> str:
    """Return the command that trains with these settings: the options that differ from the command's defaults."""
    given = dict(_differences(config, parse_config(config_parser("train_svi", ""), [])[0]))
    given.pop("run", None)
    options = [f"--{name} {shlex.quote(_text(value))}" for name, value in given.items()]
    return " ".join(["python -m examples.train_svi", *options])


def _differences(ours: Any, default: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """List the settings in which two differ, by their dotted names."""
    found = []
    for one in fields(ours):
        value, usual = getattr(ours, one.name), getattr(default, one.name)
        if hasattr(value, "__dataclass_fields__"):
            found += _differences(value, usual, f"{prefix}{one.name}.")
        elif value != usual:
            found.append((prefix + one.name, value))
    return found


def _text(value: Any) -> str:
    """Return a setting as the command line takes it."""
    return value if isinstance(value, str) else json.dumps(value)


def _numbers(numbers: dict[str, Any]) -> list[str]:
    """Return what the summary says, in a line each."""
    versions = numbers.get("versions", {})
    parts = numbers.get("distinct_parts")
    return [
        f"- **Training**: {numbers['steps']} steps, {numbers['seconds'] / 3600:.2f} hours; "
        + ", ".join(f"{name} {version}" for name, version in versions.items()),
        f"- **Numbers**: -ELBO {numbers['neg_elbo']:.2f} nats per image (KL {numbers['kl']:.2f}), squared error "
        f"{numbers['mse']:.4f} per pixel"
        + (f", distinct parts {parts:.3f}" if parts is not None else "")
        + f", on {numbers['test_images']} test images.",
    ]
