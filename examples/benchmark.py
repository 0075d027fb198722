"""Time the engine beside a flat VAE: python -m examples.benchmark [--json FILE] [--figure FILE].

In one process and in interleaved rounds: training and decoding of trees of two and three levels, of Algorithm 1 read
aloud, and of a flat VAE with the same encoder; then how time and memory grow.
"""

import platform
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median, quantiles
from typing import Any

import numpy as np
import pyro
import torch
from lightning_fabric import Fabric

from examples.benchmark_subjects import PLAIN, SETTINGS, build_subject
from examples.cli import make_parser, run_command
from examples.memory import keep_freed_memory
from examples.report import git_commit, versions
from examples.timing import interleaved, medians, peak_mib
from examples.train_svi import launch
from rnp_pyro import figures
from rnp_pyro.checkpoint import write_json
from rnp_pyro.config import FabricConfig, ModelConfig
from rnp_pyro.errors import UserError
from rnp_pyro.figures import Growth

DESCRIPTION = (
    "Measure images per second of training steps and of decoding alone, peak memory of a training step (MiB of tensors "
    "that it makes; parameters and optimizer not counted), and how both grow with steps, depth, |z| and batch. In one "
    "process, in interleaved rounds, as medians; numbers of two runs are not to be compared."
)
GROWTH_BATCH = 64


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to measure, and how thoroughly.

    Args:
        json: File to write all numbers to.
        figure: PNG file to draw.
        batch_size: Images a step of the first table, at least 1.
        rounds: Times that each step is measured, at least 2.
        growth: Measure growth too.
        accelerator: Where to compute: cpu, cuda, mps, ..., or auto: what the machine has.
        precision: 32-true or bf16-mixed, as train_svi's --fabric.precision.
        overwrite: Replace files that exist.
    """

    json: str | None = None
    figure: str | None = None
    batch_size: int = 128
    rounds: int = 20
    growth: bool = True
    accelerator: str = "auto"
    precision: str = "32-true"
    overwrite: bool = False


def main(config: BenchmarkConfig) -> dict[str, Any]:
    """Measure, print, and write what is asked for.

    Returns:
        The numbers, as in the JSON file.

    Raises:
        UserError: If anything does not fit; nothing is measured then.
    """
    _check(config)
    keep_freed_memory()
    fabric = launch(FabricConfig(config.accelerator, devices=1, precision=config.precision))
    with pyro.get_param_store().scope(), pyro.validation_enabled(False):
        numbers = rates(config, fabric)
        grown = growth(config, fabric) if config.growth else []
    numbers["exponents"] = {f"{one.measure} by {one.by}": round(one.exponent, 3) for one in grown}
    numbers["growth"] = {f"{one.measure} by {one.by}": [list(one.sizes), list(one.values)] for one in grown}
    numbers["machine"] = _machine(fabric, config)
    print("\n".join(describe(numbers)))
    if config.json is not None:
        write_json(Path(config.json), numbers)
        print(f"wrote {config.json}")
    if config.figure is not None:
        figures.save(figures.benchmark(numbers["train_images_per_second"], grown), Path(config.figure))
        print(f"wrote {config.figure}")
    return numbers


def rates(config: BenchmarkConfig, fabric: Fabric) -> dict[str, Any]:
    """Measure all subjects side by side."""
    subjects = {
        name: build_subject(settings, config.batch_size, fabric, reference=name == "reference")
        for name, settings in SETTINGS.items()
    }
    calls = [subject.train for subject in subjects.values()] + [subject.decode for subject in subjects.values()]
    seconds = interleaved(calls, config.rounds)
    training, decoding = (
        dict(zip(subjects, times, strict=True)) for times in (seconds[: len(subjects)], seconds[len(subjects) :])
    )
    vae = median(training["vae"])
    return {
        "train_images_per_second": {name: config.batch_size / median(times) for name, times in training.items()},
        "decode_images_per_second": {name: config.batch_size / median(times) for name, times in decoding.items()},
        "train_quartiles": {
            name: [config.batch_size / q for q in quantiles(times)] for name, times in training.items()
        },
        "peak_memory_mib": {name: peak_mib(subject.train) for name, subject in subjects.items()},
        "ratio_to_vae": {name: vae / median(times) for name, times in training.items()},
    }


def growth(config: BenchmarkConfig, fabric: Fabric) -> list[Growth]:
    """Measure how a training step's time and memory grow along each of four lines."""
    found = []
    for by, points in _lines().items():
        subjects = [build_subject(settings, batch_size, fabric) for _, settings, batch_size in points]
        seconds = medians([subject.train for subject in subjects], max(2, config.rounds // 4))
        memory = [peak_mib(subject.train) for subject in subjects]
        sizes = [size for size, _, _ in points]
        found += [fit("seconds", by, sizes, seconds), fit("memory", by, sizes, memory)]
    return found


def fit(measure: str, by: str, sizes: Sequence[float], values: Sequence[float]) -> Growth:
    """Fit ``value = factor * size ** exponent`` by least squares of logarithms."""
    exponent, logarithm = np.polyfit(np.log(sizes), np.log(values), 1)
    return Growth(measure, by, tuple(sizes), tuple(values), float(exponent), float(np.exp(logarithm)))


def _lines() -> dict[str, list[tuple[float, ModelConfig, int]]]:
    """Give the lines of growth: each point's size, settings and batch."""

    def tree(**changes: Any) -> ModelConfig:
        return replace(PLAIN, tree=replace(PLAIN.tree, **changes))

    canvases = (20, 16, 12)
    return {
        "nodes (2 to 8 steps, depth 2)": [
            (steps + steps**2, tree(num_steps=(steps, steps)), GROWTH_BATCH) for steps in (2, 3, 4, 6, 8)
        ],
        "nodes (depth 1 to 4, 3 steps)": [
            (
                sum(3**level for level in range(1, depth + 1)),
                tree(num_steps=(3,) * depth, canvas_sizes=canvases[: depth - 1]),
                GROWTH_BATCH // 2,
            )
            for depth in (1, 2, 3, 4)
        ],
        "|z|": [(size, replace(PLAIN, latent_size=size), GROWTH_BATCH) for size in (8, 16, 32, 64, 96)],
        "batch": [(size, PLAIN, size) for size in (16, 32, 64, 128, 256, 512)],
    }


def describe(numbers: dict[str, Any]) -> list[str]:
    """Print the numbers as Markdown."""
    machine = numbers["machine"]
    lines = [
        f"{machine['processor']}, {machine['threads']} threads, torch {machine['torch']}, {machine['precision']}, "
        f"{machine['batch_size']} images a step, medians of {machine['rounds']} interleaved rounds",
        "| | training, images/s | quartiles | ratio to vae | decoding, images/s | peak memory, MiB |",
        "|---|---|---|---|---|---|",
    ]
    for name, rate in numbers["train_images_per_second"].items():
        low, _, high = sorted(numbers["train_quartiles"][name])
        lines.append(
            f"| {name} | {rate:.0f} | {low:.0f} to {high:.0f} | {numbers['ratio_to_vae'][name]:.2f} "
            f"| {numbers['decode_images_per_second'][name]:.0f} | {numbers['peak_memory_mib'][name]:.0f} |"
        )
    if numbers["exponents"]:
        lines.append(
            "exponents of growth: " + ", ".join(f"{name} {value:.2f}" for name, value in numbers["exponents"].items())
        )
    return lines


def _machine(fabric: Fabric, config: BenchmarkConfig) -> dict[str, Any]:
    return {
        "processor": _processor(),
        "threads": torch.get_num_threads(),
        "device": str(fabric.device),
        "precision": config.precision,
        "batch_size": config.batch_size,
        "rounds": config.rounds,
        "python": platform.python_version(),
        **versions(),
        "git_commit": git_commit(),
    }


def _processor() -> str:
    """Name the processor; Linux knows more than Python."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _check(config: BenchmarkConfig) -> None:
    """Refuse what can be refused before anything is measured."""
    if config.batch_size < 1 or config.rounds < 2:
        raise UserError(
            f"--batch_size must be at least 1 and --rounds at least 2, got {config.batch_size} and {config.rounds}"
        )
    for option, file in (("--json", config.json), ("--figure", config.figure)):
        if file is None:
            continue
        path = Path(file)
        if path.is_dir() or not path.parent.is_dir():
            raise UserError(f"expected a file in a folder that exists with {option}, got {path}")
        if path.exists() and not config.overwrite:
            raise UserError(f"{path} exists: choose another file with {option}, or replace it with --overwrite true")


def command(arguments: Sequence[str]) -> None:
    """Read the command line and measure."""
    parser = make_parser("benchmark", DESCRIPTION)
    parser.add_class_arguments(BenchmarkConfig, None)
    main(BenchmarkConfig(**vars(parser.instantiate(parser.parse_args(list(arguments))))))


if __name__ == "__main__":
    run_command(command)
