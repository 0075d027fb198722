"""Write the codes of a run's images: python -m examples.encode RUN --out FILE.npz [--split test] [--limit N].

The guide's mean of the root program is unfolded into the programs, actions and poses of all levels.
"""

from collections.abc import Sequence

from examples.encoding.config import EncodeConfig
from examples.shared.cli import add_run, make_parser, read_options, run_command

DESCRIPTION = (
    "Write the codes of a run's images for further analysis, one array per key, N images first. K is the root's level, "
    "Z the size of a program; nodes are those of one level, children of one parent adjacent, in the order of their "
    "steps. z.K: the guide's mean of the root program [N, Z]. posterior_scale.K: the guide's standard deviation of it "
    "[N, Z], except for a flow, which has no formula for it. Where nodes are random, posterior_scale.SITE for each of "
    "their sites, z.L.STEP and action.L.STEP, given their ancestors' means [N, parents, Z or 6]. For each level L "
    "below the root: z.L, the programs that z.K unfolds into, or the guide's means [N, nodes, Z]; action.L, what the "
    "policies emitted, unbounded [N, nodes, 6]: scale x and y, rotation, shear, translation x and y; pose.L "
    "[N, nodes, 2, 3], the map from a node's frame to its parent's, both over [-1, 1], x to the right and y down. "
    "images_index: each image's position in its split [N]. labels: its class [N], and classes its name, where the data "
    "have classes; files: where it came from, if it has a name; splits, with --split all. The "
    "flat baseline has only z.0 and posterior_scale.0."
)


def command(arguments: Sequence[str]) -> None:
    """Read the command line and encode."""
    parser = make_parser("encode", DESCRIPTION)
    add_run(parser)
    config = read_options(parser, EncodeConfig, arguments)
    from examples.encoding.encode import main  # seconds of imports, which --help and a refused option need not wait for

    main(config)


if __name__ == "__main__":
    run_command(command)
