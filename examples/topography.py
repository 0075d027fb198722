"""Map a run's space of programs: python -m examples.topography RUN --out DIR [--baseline RUN].

t-SNE of the programs of images and of their parts, clusters with a picture of each, and what the codes know.
"""

from collections.abc import Sequence

from examples.mapping.config import MapConfig
from examples.shared.cli import add_run, make_parser, read_options, run_command

DESCRIPTION = (
    "Map programs of the two topmost levels together (t-SNE), with a picture of each cluster: topography.png and .pdf; "
    "clusters.png shows the members of each cluster. topography.json holds: the silhouette between the two levels; "
    "how well a linear probe and the nearest neighbours tell an image's class from its program, beside raw pixels and "
    "a baseline's code; and how well they tell a part's place (its step) and its image's class from the part's program."
)


def command(arguments: Sequence[str]) -> None:
    """Read the command line and map."""
    parser = make_parser("topography", DESCRIPTION)
    add_run(parser)
    config = read_options(parser, MapConfig, arguments)
    from examples.mapping.topography import main  # seconds of imports, which --help need not wait for

    main(config)


if __name__ == "__main__":
    run_command(command)
