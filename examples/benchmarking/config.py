"""Options of ``benchmark``."""

from dataclasses import dataclass


@dataclass(frozen=True)
class BenchmarkConfig:
    """What to measure, and how thoroughly.

    Args:
        json: File to write all numbers to.
        figure: PNG file to draw; its ending is .png.
        batch_size: Images per step of the first table, at least 1.
        rounds: Times that each step is measured, at least 2.
        growth: Measure growth too.
        quick: Measure the two smallest points of each line of growth only, with few images: a try, not a measurement.
        threads: Processor threads; null: PyTorch's default.
        accelerator: Where to compute: cpu, cuda, mps, ..., or auto: what the machine has.
        precision: 32-true or bf16-mixed, as train_svi's --fabric.precision.
        overwrite: Replace files that exist.
    """

    json: str | None = None
    figure: str | None = None
    batch_size: int = 128
    rounds: int = 20
    growth: bool = True
    quick: bool = False
    threads: int | None = None
    accelerator: str = "auto"
    precision: str = "32-true"
    overwrite: bool = False


@dataclass(frozen=True)
class CostConfig:
    """What to time.

    Args:
        batch_size: Images per step, at least 1.
        rounds: Times that each stage is measured, at least 3; medians are printed.
    """

    batch_size: int = 128
    rounds: int = 15
