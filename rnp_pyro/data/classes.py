"""Some of a data set's classes: those that are named, or all but those."""

from dataclasses import replace

import torch

from rnp_pyro.data.image_data import SPLITS, ImageData
from rnp_pyro.errors import UserError

FEWEST = {"train": 2, "validation": 0, "test": 1}
"""Images that must be left of each split; training does without validation."""


def choose_classes(data: ImageData, keep: str | None, leave_out: str | None) -> ImageData:
    """Return the images of some classes; classes keep their numbers.

    Args:
        data: The data set.
        keep: Names of classes with commas between; None: all.
        leave_out: Names of classes to leave out, in the same way.

    Raises:
        UserError: If the data have no classes, there is none of a name, or too few images are left.
    """
    if keep is None and leave_out is None:
        return data
    if data.train_labels is None or data.test_labels is None or data.validation_labels is None:
        raise UserError(f"{data.name} has no classes to choose among: leave --classes and --classes_out out")
    count = 1 + int(max(data.train_labels.max(), data.test_labels.max()))
    names = list(data.class_names or map(str, range(count)))
    wanted = torch.ones(max(count, len(names)), dtype=torch.bool)
    if keep is not None:
        wanted[:] = False
        wanted[_numbers("--classes", keep, names)] = True
    if leave_out is not None:
        wanted[_numbers("--classes_out", leave_out, names)] = False
    changes: dict = {}
    for name in SPLITS:
        split = data.split(name)
        assert split.labels is not None
        chosen = split.take(wanted[split.labels].nonzero()[:, 0])
        if len(chosen) < FEWEST[name]:
            raise UserError(f"expected {name} images of the chosen classes in {data.name}, found {len(chosen)}")
        changes[name] = chosen.images
        changes |= {f"{name}_{what}": getattr(chosen, what) for what in ("labels", "files", "masks")}
    return replace(data, **changes)


def _numbers(option: str, text: str, names: list[str]) -> list[int]:
    chosen = [name.strip() for name in text.split(",") if name.strip()]
    for name in chosen:
        if name not in names:
            shown = ", ".join(names[:12]) + (", ..." if len(names) > 12 else "")
            raise UserError(f"{option}: expected names of classes with commas between, such as {shown}, got {name}")
    if not chosen:
        raise UserError(f"{option}: expected at least one class, got none")
    return [names.index(name) for name in chosen]
