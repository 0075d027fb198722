"""The work of the command ``benchmark``."""

import os
import platform
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from statistics import median
from typing import Any

import pyro
import torch
from lightning_fabric import Fabric

from examples.benchmarking.config import BenchmarkConfig
from examples.benchmarking.growth import few, growth, growth_lines, last_exponent
from examples.benchmarking.subjects import SETTINGS, build_subject
from examples.benchmarking.timing import interleaved, quartiles
from examples.shared.cli import check_output
from examples.shared.memory import keep_freed_memory
from rnp_pyro import figures
from rnp_pyro.api.devices import launch
from rnp_pyro.api.report import git_commit, versions
from rnp_pyro.checkpoint import write_json
from rnp_pyro.config import FabricConfig
from rnp_pyro.errors import UserError

QUICK_BATCH = 8


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
    points_of = few(growth_lines(QUICK_BATCH)) if config.quick else growth_lines()
    with _threads(config.threads), pyro.get_param_store().scope(), pyro.validation_enabled(False):
        numbers = rates(config, fabric)
        grown = growth(points_of, max(2, config.rounds // 4), fabric) if config.growth else []
        numbers["machine"] = _machine(fabric, config)
    numbers["exponents"] = {f"{one.measure} by {one.by}": round(one.exponent, 3) for one in grown}
    numbers["last_exponents"] = {f"{one.measure} by {one.by}": round(last_exponent(one), 3) for one in grown}
    numbers["growth"] = {f"{one.measure} by {one.by}": [list(one.sizes), list(one.values)] for one in grown}
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
        name: build_subject(
            settings, config.batch_size, fabric, reference=name == "reference", fused=name != "rnp2 plain loop"
        )
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
        "train_quartiles": {name: _rates(times, config.batch_size) for name, times in training.items()},
        "decode_quartiles": {name: _rates(times, config.batch_size) for name, times in decoding.items()},
        "peak_memory_mib": {name: subject.peak_mib() for name, subject in subjects.items()},
        "ratio_to_vae": {name: vae / median(times) for name, times in training.items()},
        "ratio_to_rnp2": {name: median(training["rnp2"]) / median(times) for name, times in training.items()},
    }


def _rates(times: Sequence[float], batch_size: int) -> list[float]:
    """Return the lower and the upper quartile of images per second."""
    return sorted(batch_size / quartile for quartile in quartiles(times))


def describe(numbers: dict[str, Any]) -> list[str]:
    """Print the numbers as Markdown."""
    machine = numbers["machine"]
    lines = [
        f"{machine['processor']}, {machine['threads']} threads, torch {machine['torch']}, {machine['precision']}, "
        f"{machine['batch_size']} images per step, medians of {machine['rounds']} interleaved rounds",
        "",
        "| | training, images/s | quartiles | ratio to vae | ratio to rnp2 | decoding, images/s | peak memory, MiB |",
        "|---|---|---|---|---|---|---|",
    ]
    for name, rate in numbers["train_images_per_second"].items():
        low, high = numbers["train_quartiles"][name]
        lines.append(
            f"| {name} | {rate:.0f} | {low:.0f} to {high:.0f} | {numbers['ratio_to_vae'][name]:.2f} "
            f"| {numbers['ratio_to_rnp2'][name]:.2f} "
            f"| {numbers['decode_images_per_second'][name]:.0f} | {numbers['peak_memory_mib'][name]:.0f} |"
        )
    train, decode = numbers["train_images_per_second"], numbers["decode_images_per_second"]
    lines += [
        "",
        f"rnp2 trains at {train['rnp2'] / train['vae']:.2f} of vae's images/s and at "
        f"{train['rnp2'] / train['reference']:.1f} times reference's, which leaves out the part term; it decodes at "
        f"{decode['rnp2'] / train['rnp2']:.1f} times the rate that it trains at; the fused path trains at "
        f"{train['rnp2'] / train['rnp2 plain loop']:.2f} times and decodes at "
        f"{decode['rnp2'] / decode['rnp2 plain loop']:.2f} times the plain loop's rate; the ladder trains at "
        f"{train['rnp2 ladder'] / train['rnp2']:.2f} and feedback at {train['rnp2 feedback'] / train['rnp2']:.2f} of "
        f"rnp2's rate; an image costs rnp3 "
        f"{train['rnp2'] / train['rnp3']:.2f} times as long as rnp2",
    ]
    if numbers["exponents"]:
        lines += ["", "| a training step's | exponent of growth, fitted | between the two largest |", "|---|---|---|"]
    for name, exponent in numbers["exponents"].items():
        cell = name.replace("|", r"\|")
        lines.append(f"| {cell} | {exponent:.2f} | {numbers['last_exponents'][name]:.2f} |")
    return lines


def _machine(fabric: Fabric, config: BenchmarkConfig) -> dict[str, Any]:
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
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


@contextmanager
def _threads(number: int | None) -> Iterator[None]:
    """Compute with so many processor threads, and afterwards with as many as before."""
    before = torch.get_num_threads()
    torch.set_num_threads(number or before)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _check(config: BenchmarkConfig) -> None:
    """Refuse what can be refused before anything is measured."""
    if config.batch_size < 1 or config.rounds < 2:
        raise UserError(
            f"--batch_size must be at least 1 and --rounds at least 2, got {config.batch_size} and {config.rounds}"
        )
    if config.threads is not None and config.threads < 1:
        raise UserError(f"--threads must be at least 1, got {config.threads}")
    if config.figure is not None and Path(config.figure).suffix != ".png":
        raise UserError(f"expected a file that ends in .png with --figure, got {config.figure}")
    if config.json is not None and config.json == config.figure:
        raise UserError(f"--json and --figure must be different files, got {config.json} for both")
    for option, file in (("--json", config.json), ("--figure", config.figure)):
        if file is not None:
            check_output(option, Path(file), config.overwrite)
