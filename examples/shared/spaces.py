"""What commands that look at the space of programs have in common: a run of a tree, and another beside it."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rnp_pyro.api.opening import open_trained
from rnp_pyro.api.run import Run
from rnp_pyro.errors import UserError


def open_runs(
    name: str, other: str | None, data: str | None = None, data_dir: str | None = None
) -> tuple[Run, Run | None]:
    """Open a run of a tree and, where there is one, its baseline on the same images.

    Args:
        name: The run.
        other: The baseline.
        data: Where the images of both are now; default: where they were.
        data_dir: Folder of the public data sets, if it moved.

    Raises:
        UserError: If one is no run, the tree has a single level, or the images are not of one size.
    """
    run = open_trained(Path(name), data=data, data_dir=data_dir)
    if run.tree.num_levels < 2:
        raise UserError(f"expected a tree of two levels or more, got one of {run.tree.num_levels} in {name}")
    if other is None:
        return run, None
    baseline = open_trained(Path(other), data=data, data_dir=data_dir)
    if baseline.image_shape != run.image_shape:
        raise UserError(f"expected a baseline on images of {run.image_shape} as the run, got {baseline.image_shape}")
    return run, baseline


def check_ranges(config: Any, ranges: Mapping[str, tuple[int, int]]) -> None:
    """Refuse numbers out of range.

    Args:
        config: Options.
        ranges: Name of an option to its least and largest value.

    Raises:
        UserError: In one line.
    """
    for name, (least, most) in ranges.items():
        if not least <= getattr(config, name) <= most:
            raise UserError(f"--{name} must be within {least} to {most}, got {getattr(config, name)}")
