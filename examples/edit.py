"""Change programs and look: python -m examples.edit RUN OPERATION (--index N ... | --image FILE ... | --tree FILE ...).

Operations: replace, swap, repose, interpolate, truncate (``rnp_pyro/part_tree/edit.py``).
"""

from collections.abc import Sequence

from examples.editing.config import OPTIONS, EditConfig
from examples.shared.choice import add_choice
from examples.shared.cli import add_run, make_parser, read_options, run_command

DESCRIPTION = (
    "Change the trees of images and show them before and after: edit.png, edit.svg, and each changed tree as "
    "edit-1.json, edit-2.json, ... OPERATION is one of: replace (the part --part of the first image runs the program "
    "of --with_part of the second, or of the same image if there is one), swap (--part of the first image and "
    "--with_part of the second change places), repose (--shift, --turn and --scale move --part in its parent), "
    "interpolate (from the first image's program to the second's in --steps steps: all nodes, "
    "the root's program alone with --of root, or only --part's), truncate "
    "(what is below --level is cut off, and that level's own coarse patches are drawn). Parts are counted as in the "
    "figures: --part 2 is the second, red one, --part 2.3 its third part."
)


def command(arguments: Sequence[str]) -> None:
    """Read the command line and change trees."""
    parser = make_parser("edit", DESCRIPTION)
    add_run(parser)
    parser.add_argument("operation", metavar="OPERATION", nargs="?", type=str, help=", ".join(OPTIONS) + ".")
    add_choice(parser)
    parser.add_argument(
        "--tree", nargs="+", type=str, default=[], metavar="FILE", help="Trees that parse or edit wrote (JSON)."
    )
    config = read_options(parser, EditConfig, arguments)
    from examples.editing.edit import main  # seconds of imports, which --help and a refused option need not wait for

    main(config)


if __name__ == "__main__":
    run_command(command)
