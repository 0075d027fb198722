"""The work of the command ``edit``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from matplotlib.figure import Figure

from examples.editing.config import EditConfig, check, read_part
from examples.parsing.parse import parse_images
from examples.shared.chosen import choose
from examples.shared.cli import check_files
from rnp_pyro import figures
from rnp_pyro.api.opening import open_trained
from rnp_pyro.api.run import Run
from rnp_pyro.checkpoint import read_json
from rnp_pyro.errors import UserError
from rnp_pyro.figures import Panel, Row
from rnp_pyro.figures.printing import PrintedImage, on_paper
from rnp_pyro.part_tree.edit import (
    Move,
    interpolate,
    mix,
    move_part,
    name_path,
    program_of,
    replace_program,
    swap_parts,
    truncate,
)
from rnp_pyro.part_tree.edit import (
    Path as Place,
)
from rnp_pyro.part_tree.files import load_tree, save_tree
from rnp_pyro.part_tree.value import TreeValue, position
from rnp_pyro.tree import Tree
from rnp_pyro.writing import writing


@dataclass(frozen=True)
class Edit:
    """Trees that were given and what became of them, each with a short name; what was done, in a line."""

    before: Sequence[tuple[str, TreeValue]]
    after: Sequence[tuple[str, TreeValue]]
    title: str


LONGEST_NAME = 14
"""Characters that fit above an image."""


@torch.no_grad()
def main(config: EditConfig) -> list[Path]:
    """Change trees, write and draw them.

    Returns:
        The files.

    Raises:
        UserError: If anything does not fit; nothing is written then.
    """
    operation = check(config)
    run = open_trained(Path(config.run), data=config.data, data_dir=config.data_dir)
    tree = run.tree
    chosen = choose(run, config.index, config.image, config.split, config.as_is)
    values = parse_images(run, tree, chosen) if chosen.names else []
    values += [_load(Path(file), run) for file in config.tree]
    names = [*chosen.names, *(Path(file).stem for file in config.tree)]
    low, high = NUM_TREES[operation]
    if not low <= len(values) <= high:
        wanted = str(low) if low == high else f"{low} or {high}"
        raise UserError(
            f"{config.operation} takes {wanted} of --index, --image and --tree, got {len(values)}: give exactly as many"
        )
    edit = OPERATIONS[operation](tree, values, names, config)
    out = Path(config.out)
    paths = [out / "edit.png", out / "edit.svg", *(out / f"edit-{at + 1}.json" for at in range(len(edit.after)))]
    check_files(paths, config.overwrite)
    chosen.tell()
    _write(edit, paths, run, config)
    print(f"{config.operation}: {' '.join(str(path) for path in paths)}")
    return paths


def replace_part(tree: Tree, values: Sequence[TreeValue], names: Sequence[str], config: EditConfig) -> Edit:
    """Let a part of the first tree run a program of the last."""
    path, other = _parts(values, config)
    _check_level(values[0], path, values[-1], other)
    changed = replace_program(tree, values[0], path, program_of(values[-1], other))
    title = f"part {name_path(path)} of {names[0]} runs the program of part {name_path(other)} of {names[-1]}"
    return Edit(_before(names, values), [("after", changed)], title)


def swap(tree: Tree, values: Sequence[TreeValue], names: Sequence[str], config: EditConfig) -> Edit:
    """Exchange two parts."""
    path, other = _parts(values, config)
    changed = swap_parts(tree, values[0], values[1], path, other, config.with_pose)
    poses = " with their poses" if config.with_pose else ""
    title = f"part {name_path(path)} of {names[0]} and part {name_path(other)} of {names[1]} swapped{poses}"
    return Edit(_before(names, values), [("after", value) for value in changed], title)


def repose(tree: Tree, values: Sequence[TreeValue], names: Sequence[str], config: EditConfig) -> Edit:
    """Move a part in its parent's frame."""
    path = _part(config.part, values[0])
    level, _ = position(values[0], path)
    rows, columns = values[0].assembly.canvas_sizes[values[0].num_levels - level - 1]
    shift = (2 * config.shift[0] / columns, 2 * config.shift[1] / rows)
    changed = move_part(values[0], path, Move(shift, config.turn, config.scale))
    title = (
        f"part {name_path(path)} of {names[0]}: {config.shift[0]:g} pixels right, {config.shift[1]:g} down, turned by "
        f"{config.turn:g} degrees, scaled by {config.scale:g}"
    )
    return Edit(_before(names, values), [("after", changed)], title)


def interpolate_programs(tree: Tree, values: Sequence[TreeValue], names: Sequence[str], config: EditConfig) -> Edit:
    """Go from one program to the other in equal steps."""
    path = _part(config.part, values[0]) if config.part is not None else ()
    weights = torch.linspace(0, 1, config.steps).tolist()
    if path:
        _part(config.part, values[1])
    whole = config.of == "all" and not path
    between = partial(mix, tree, *values) if whole else partial(interpolate, tree, *values, path=path)
    changed = [(f"{weight:.2f}", between(weight=weight)) for weight in weights]
    whose = "all programs and poses" if whole else f"part {name_path(path)}'s program" if path else "the root's program"
    return Edit(_before(names, values), changed, f"{whose}, from {names[0]}'s to {names[1]}'s")


def cut_off(tree: Tree, values: Sequence[TreeValue], names: Sequence[str], config: EditConfig) -> Edit:
    """Draw a tree by the coarse patches of one level."""
    changed = truncate(values[0], config.level)
    return Edit(_before(names, values), [("after", changed)], f"{names[0]}, cut off at level {config.level}")


def _before(names: Sequence[str], values: Sequence[TreeValue]) -> list[tuple[str, TreeValue]]:
    """Name what was given, short enough to stand above an image."""
    return [(name if len(name) <= LONGEST_NAME else name[: LONGEST_NAME - 1] + "…", value)
            for name, value in zip(names, values, strict=True)]  # fmt: skip


OPERATIONS: dict[str, Callable[[Tree, Sequence[TreeValue], Sequence[str], EditConfig], Edit]] = {
    "replace": replace_part,
    "swap": swap,
    "repose": repose,
    "interpolate": interpolate_programs,
    "truncate": cut_off,
}
NUM_TREES = {"replace": (1, 2), "swap": (2, 2), "repose": (1, 1), "interpolate": (2, 2), "truncate": (1, 1)}


def _load(path: Path, run: Run) -> TreeValue:
    """Read a tree that this run made: another run's programs mean nothing to its networks.

    Raises:
        UserError: If it is no tree, or says that other weights made it.
    """
    value, about = load_tree(path, run.tree), read_json(path).get("about")
    if isinstance(about, dict) and about.get("weights", run.weights_hash) != run.weights_hash:
        whose = about.get("run")
        raise UserError(f"expected trees of {run.name} with --tree, got {path} of the run {whose}: name its run")
    return value


def _check_level(one: TreeValue, path: Place, other: TreeValue, other_path: Place) -> None:
    """Refuse a program of another level."""
    levels = position(one, path)[0], position(other, other_path)[0]
    if levels[0] != levels[1]:
        raise UserError(
            f"expected two parts of one level, got {name_path(path)} of level {levels[0]} and {name_path(other_path)} "
            f"of level {levels[1]}: give --with_part as many numbers as --part"
        )


def _parts(values: Sequence[TreeValue], config: EditConfig) -> tuple[Place, Place]:
    """Read --part of the first tree, and --with_part of the last."""
    return _part(config.part, values[0]), _part(config.with_part or config.part, values[-1])


def _part(text: str | None, value: TreeValue) -> Place:
    """Read a part of a tree, counted from 1.

    Raises:
        UserError: If there is no such part.
    """
    path, steps = read_part(text), value.assembly.num_steps
    if len(path) > len(steps) or any(at >= count for at, count in zip(path, steps, strict=False)):
        allowed = " and ".join(f"1 to {count}" for count in steps)
        raise UserError(
            f"there is no part {text}: expected up to {len(steps)} numbers with dots between them, {allowed}"
        )
    return path


def _write(edit: Edit, paths: Sequence[Path], run: Run, config: EditConfig) -> None:
    """Write the figure and the changed trees."""
    drawing = _draw(edit)
    about = {**run.origin, "operation": str(config.operation)}
    with writing(config.out):
        paths[0].parent.mkdir(parents=True, exist_ok=True)
        for path in paths[:2]:
            figures.save(drawing, path)
        for path, (name, value) in zip(paths[2:], edit.after, strict=True):
            save_tree(value, path, about={**about, "what": edit.title, "name": name})


def _draw(edit: Edit) -> Figure:
    """Show trees before and after: what they draw, and below it their parts in colour."""
    columns = [*edit.before, *edit.after]
    rows = [Row([Panel(name, on_paper(value.fold())) for name, value in columns], edit.title)]
    if columns[0][1].parse.levels[0].patch.shape[-3] == 1:
        rows.append(Row([Panel("", _coloured(value)) for _, value in columns]))
    return figures.panels(rows)


def _coloured(value: TreeValue) -> PrintedImage:
    *_, (_, pasted) = value.pasted_children()
    return on_paper(figures.colourise(pasted[0]))
