"""The work of the command ``parse``."""

from pathlib import Path

import torch

from examples.parsing.config import ParseConfig
from examples.shared.chosen import Chosen, choose
from examples.shared.cli import check_files
from rnp_pyro import figures
from rnp_pyro.api.opening import open_trained
from rnp_pyro.api.report import mean_parse
from rnp_pyro.api.run import Run
from rnp_pyro.errors import UserError
from rnp_pyro.part_tree.files import load_tree, save_tree
from rnp_pyro.part_tree.value import TreeValue, select, tree_value
from rnp_pyro.tree import Tree
from rnp_pyro.writing import writing

NAMES = ("parse.json", "parse.svg", "parse.png")


def main(config: ParseConfig) -> list[Path]:
    """Parse, write and draw.

    Returns:
        The folders that were written to, one for each image.

    Raises:
        UserError: If anything does not fit; nothing is written then.
    """
    if not config.index and not config.image:
        raise UserError("expected images to parse, got none: name them with --index N or --image FILE")
    run = open_trained(Path(config.run), data=config.data, data_dir=config.data_dir)
    tree = run.tree
    chosen = choose(run, config.index, config.image, config.split, config.as_is)
    out = Path(config.out)
    folders = [out] if len(chosen.names) == 1 else [out / name for name in chosen.names]
    check_files([folder / name for folder in folders for name in NAMES], config.overwrite)
    chosen.tell()
    values = parse_images(run, tree, chosen)
    for at, (folder, value) in enumerate(zip(folders, values, strict=True)):
        _write(folder, chosen, at, value, run, config)
    return folders


@torch.no_grad()
def parse_images(run: Run, tree: Tree, chosen: Chosen) -> list[TreeValue]:
    """Unfold the guide's mean of each image's root program into a tree."""
    batch = tree_value(tree, mean_parse(run.pair, tree, chosen.observed(run)))
    return [select(batch, index) for index in range(len(chosen.names))]


@torch.no_grad()
def _write(folder: Path, chosen: Chosen, at: int, value: TreeValue, run: Run, config: ParseConfig) -> None:
    """Write one image's files, and fold what was written back."""
    about = {
        **run.origin,
        "image": (*(f"{config.split} {number}" for number in config.index), *config.image)[at],
        **chosen.facts[at],
    }
    drawing = figures.tree_drawing(chosen.grey[at], value, chosen.pictures[at])
    with writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        save_tree(value, folder / "parse.json", config.patches, about)
        figures.save(drawing, folder / "parse.svg")
        figures.save(drawing, folder / "parse.png")
    again = load_tree(folder / "parse.json", run.tree).fold()
    difference = (again - value.fold()).abs().max().item()
    error = (value.fold() - chosen.grey[at]).square().sum().item()
    print(
        f"{chosen.names[at]}: squared error {error:.2f}; parse.json folds back to the canvas within {difference:.1e}; "
        f"{folder / 'parse.json'} .svg .png"
    )
