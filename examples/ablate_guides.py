"""Compare guides, objectives and settings: python -m examples.ablate_guides --out DIR [--preset quick] ...

Every combination is trained for an equal time from an equal decoder, and evaluated by the importance-weighted bound.
Writes DIR/ablation.json, ablation.md, ablation.png and the runs; an interrupted ablation continues where it stopped.
"""

from collections.abc import Sequence

from examples.ablation.config import AblateConfig
from examples.shared.cli import make_parser, read_options, run_command

DESCRIPTION = (
    "Train every combination of guides, objectives, latents at nodes and other settings for an equal time from equal "
    "decoders, evaluate each by importance sampling, and write a table and a figure."
)


def command(arguments: Sequence[str]) -> None:
    """Read the command line and compare."""
    parser = make_parser("ablate_guides", DESCRIPTION)
    config = read_options(parser, AblateConfig, arguments)
    from examples.ablation.ablate import main  # seconds of imports, which --help and a refused option need not wait for

    main(config)


if __name__ == "__main__":
    run_command(command)
