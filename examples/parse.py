"""Parse images into trees: python -m examples.parse RUN (--index N ... | --image FILE ...) --out DIR.

The guide's mean of the root program is unfolded into parts and sub-parts, written as JSON and drawn as SVG and PNG.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from examples.shared.chosen import Chosen, Split, add_choice, choose
from examples.shared.cli import run_command
from rnp_pyro import figures
from rnp_pyro.api.report import mean_parse
from rnp_pyro.api.run import Run, fingerprint, open_trained
from rnp_pyro.api.settings import make_parser
from rnp_pyro.errors import UserError
from rnp_pyro.part_tree.files import load_tree, save_tree
from rnp_pyro.part_tree.value import TreeValue, assembly_of, select
from rnp_pyro.tree import Tree

DESCRIPTION = (
    "Parse images into trees of parts. For each image parse.json (programs, poses and patches of all nodes, which fold "
    "back to the canvas), parse.svg and parse.png: the image, its reconstruction, its parts in colour (blue, red, "
    "green, orange in the order in which they are drawn), each part's own parts in a box, and the tree. One image's "
    "files are written into --out itself, several images' each into a folder of its own there."
)
NAMES = ("parse.json", "parse.svg", "parse.png")


@dataclass(frozen=True)
class ParseConfig:
    """What to parse, and where to write it.

    Args:
        run: Run directory that train_svi wrote, its training ended.
        out: Folder to write to; made if it is not there.
        index: Numbers of images in the split.
        image: Files of the user's own.
        split: Which of the run's images.
        as_is: Take a file's pixels as they are.
        patches: Write the patches of all nodes into parse.json; without them it takes the run to draw the tree again.
        overwrite: Replace files that exist.
    """

    run: str
    out: str
    index: Sequence[int] = ()
    image: Sequence[str] = ()
    split: Split = "test"
    as_is: bool = False
    patches: bool = True
    overwrite: bool = False


def main(config: ParseConfig) -> list[Path]:
    """Parse, write and draw.

    Returns:
        The folders that were written to, one for each image.

    Raises:
        UserError: If anything does not fit; nothing is written then.
    """
    if not config.index and not config.image:
        raise UserError("expected images to parse, got none: name them with --index N or --image FILE")
    run = open_trained(Path(config.run))
    tree = tree_of(run)
    chosen = choose(run, config.index, config.image, config.split, config.as_is)
    out = Path(config.out)
    folders = [out] if len(chosen.names) == 1 else [out / name for name in chosen.names]
    check_files([folder / name for folder in folders for name in NAMES], config.overwrite)
    for note in chosen.notes:
        print(note)
    values = parse_images(run, tree, chosen)
    for at, (folder, value) in enumerate(zip(folders, values, strict=True)):
        _write(folder, chosen, at, value, tree, config)
    return folders


def tree_of(run: Run) -> Tree:
    """Return a run's tree, which the flat baseline does not have.

    Raises:
        UserError: If it is a run of the flat baseline.
    """
    if not isinstance(tree := run.pair.model.decoder, Tree):
        raise UserError(
            f"expected a run of a model with parts, got {run.path} of {run.config.model.name}, which has none: name a "
            "run of model rnp"
        )
    return tree


@torch.no_grad()
def parse_images(run: Run, tree: Tree, chosen: Chosen) -> list[TreeValue]:
    """Unfold the guide's mean of each image's root program into a tree."""
    batch = TreeValue(mean_parse(run.pair, tree, chosen.observed(run)), assembly_of(tree))
    return [select(batch, index) for index in range(len(chosen.names))]


def check_files(paths: Sequence[Path], overwrite: bool) -> None:
    """Refuse folders that cannot be written to, and files that exist, before anything is computed.

    Raises:
        UserError: If there are any.
    """
    for path in paths:
        if any(above.exists() and not above.is_dir() for above in path.parents):
            raise UserError(f"expected a folder to write to with --out, got {path.parent}, which is or lies in a file")
        if path.exists() and not overwrite:
            raise UserError(f"{path} exists: choose another folder with --out, or replace it with --overwrite true")


@torch.no_grad()
def _write(folder: Path, chosen: Chosen, at: int, value: TreeValue, tree: Tree, config: ParseConfig) -> None:
    """Write one image's files, and fold what was written back."""
    about = {
        "run": config.run,
        "weights": fingerprint(Path(config.run)),
        "image": (*(f"{config.split} {number}" for number in config.index), *config.image)[at],
    }
    drawing = figures.tree_drawing(chosen.grey[at], value, chosen.pictures[at])
    try:
        folder.mkdir(parents=True, exist_ok=True)
        save_tree(value, folder / "parse.json", config.patches, about)
        figures.save(drawing, folder / "parse.svg")
        figures.save(drawing, folder / "parse.png")
    except OSError as error:
        raise UserError(f"cannot write to {folder}: {error.strerror or error}") from None
    again = load_tree(folder / "parse.json", tree).fold()
    difference = (again - value.fold()).abs().max().item()
    error = (value.fold() - chosen.grey[at]).square().sum().item()
    print(
        f"{chosen.names[at]}: squared error {error:.2f}; parse.json folds back to the canvas within {difference:.1e}; "
        f"{folder / 'parse.json'} .svg .png"
    )


def command(arguments: Sequence[str]) -> None:
    """Read the command line and parse."""
    parser = make_parser("parse", DESCRIPTION)
    parser.add_argument("run", metavar="RUN", type=str, help="Run directory that train_svi wrote, its training ended.")
    add_choice(parser)
    parser.add_class_arguments(ParseConfig, None, skip={"run", "index", "image", "split", "as_is"})
    main(ParseConfig(**vars(parser.instantiate(parser.parse_args(list(arguments))))))


if __name__ == "__main__":
    run_command(command)
