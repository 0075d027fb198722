"""Walk between programs: python -m examples.interpolate RUN --out DIR [--baseline RUN].

Linear and spherical paths between centres of clusters, how likely their images are, beside blending pixels.
"""

from collections.abc import Sequence

from examples.interpolation.config import InterpolateConfig
from examples.shared.cli import add_run, make_parser, read_options, run_command

DESCRIPTION = (
    "Go from the centre of one cluster of programs to that of another, straight and along a sphere, for images and for "
    "their parts: interpolation.png and .pdf. interpolation.json holds an estimate of -log p(x) at each step of the "
    "images' paths under the run (and under a baseline, if one is named), beside blending the pixels of both ends and "
    "the baseline's straight path between its codes of them. To draw single images' programs, see edit interpolate."
)


def command(arguments: Sequence[str]) -> None:
    """Read the command line and walk."""
    parser = make_parser("interpolate", DESCRIPTION)
    add_run(parser)
    config = read_options(parser, InterpolateConfig, arguments)
    from examples.interpolation.interpolate import main  # seconds of imports, which --help need not wait for

    main(config)


if __name__ == "__main__":
    run_command(command)
