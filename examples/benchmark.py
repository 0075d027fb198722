"""Time the engine beside a flat VAE: python -m examples.benchmark [--json FILE] [--figure FILE].

In one process and in interleaved rounds: training and decoding of trees of two and three levels, of Algorithm 1 read
aloud, and of a flat VAE with the same encoder; then how time and memory grow.
"""

from collections.abc import Sequence

from examples.benchmarking.config import BenchmarkConfig
from examples.shared.cli import make_parser, read_options, run_command

DESCRIPTION = (
    "Measure images per second of training steps and of decoding alone, peak memory of a training step (MiB of tensors "
    "that it makes, gradients among them; parameters, the optimizer's moments and, on a processor, scratch inside "
    "operations do not count), and how both grow with steps, depth, |z| and batch. In one process, in interleaved "
    "rounds, as medians; numbers of two runs do not compare."
)


def command(arguments: Sequence[str]) -> None:
    """Read the command line and measure."""
    parser = make_parser("benchmark", DESCRIPTION)
    config = read_options(parser, BenchmarkConfig, arguments)
    from examples.benchmarking.benchmark import (
        main,  # seconds of imports, which --help and a refused option need not wait for
    )

    main(config)


if __name__ == "__main__":
    run_command(command)
