"""Where a training step's time goes: python -m examples.cost_model [--batch_size 128] [--rounds 15].

Every stage's arithmetic and fewest bytes, the machine's two ceilings, the floor that follows, and the measured time.
"""

from collections.abc import Sequence

from examples.benchmarking.config import CostConfig
from examples.shared.cli import make_parser, read_options, run_command

DESCRIPTION = (
    "Time the stages of a training step of the default model, in interleaved rounds, beside the floor that arithmetic "
    "and memory set. Forward and backward pass together; FLOP are counted operations of matrix products and "
    "convolutions, bytes the fewest that must go through memory if every stage's input and output does once."
)


def command(arguments: Sequence[str]) -> None:
    """Read the command line and measure."""
    parser = make_parser("cost_model", DESCRIPTION)
    config = read_options(parser, CostConfig, arguments)
    from examples.benchmarking.cost_model import (
        main,  # seconds of imports, which --help and a refused option need not wait for
    )

    main(config)


if __name__ == "__main__":
    run_command(command)
