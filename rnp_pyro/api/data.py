"""A run's images, loaded when they are looked at, and held against what the run was trained on."""

import sys
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from rnp_pyro.api.record import DataRecord, differences, read_record, record_of, was_trained_on, write_record
from rnp_pyro.api.whereabouts import BY_PATH, whole_data
from rnp_pyro.config import Config
from rnp_pyro.data import ImageData, load_images
from rnp_pyro.data.classes import choose_classes
from rnp_pyro.data.image_data import join_splits, split_fields
from rnp_pyro.errors import UserError

IN_MEMORY = "array"
"""Name of data that came as an array: there is no place to load them from again."""


def load_data(config: Config, data: str | None = None, data_dir: str | None = None, trained: bool = True) -> ImageData:
    """Load the images of a run's settings, or others in their place.

    Args:
        config: The run's settings.
        data: Where the images are now; default: where the settings say.
        data_dir: Folder of the public data sets; default: the settings'.
        trained: Whether there is a run that was trained on them, so that a refusal tells how to name them anew.

    Raises:
        UserError: If they are not there, or do not fit.
    """
    name = config.data if data is None else data
    if name == IN_MEMORY and trained:
        raise UserError(
            "the run was trained on an array, which it does not keep: say where images are with --data, or pass them "
            "to rnp_pyro.load(RUN).evaluate(images)"
        )
    try:
        loaded = load_images(
            name,
            data_dir=config.data_dir if data_dir is None else data_dir,
            image_size=config.image_size,
            mixed_sizes=config.mixed_sizes,
            invert=config.invert,
            white=config.white,
            splits=config.splits,
        )
        return choose_classes(loaded, config.classes, config.classes_out)
    except UserError as error:
        if not trained or data is not None or not config.data.startswith(BY_PATH):
            raise
        whole, kind = whole_data(config.data), config.data.split(":")[0]
        tried = "" if whole == config.data else f" (looked for in {whole.removeprefix(f'{kind}:')})"
        raise UserError(
            f"{error}{tried}; if the run's images have moved, say where they are with --data {kind}:"
            f"{'PATH' if kind == 'folder' else 'FILE'}"
        ) from None


def record_for(path: Path, config: Config, data: str | None, data_dir: str | None) -> DataRecord:
    """Read a run's record; one of a run from before there were any is made from its data, and written if it can be.

    Raises:
        UserError: If the record is damaged, or there is none and the data cannot be loaded.
    """
    if (record := read_record(path)) is not None:
        return record
    try:
        record = record_of(load_data(config, data, data_dir))
    except UserError as error:
        raise UserError(
            f"{error} (the run {path} keeps nothing of its images, as runs of earlier versions: it opens given its "
            "data once)"
        ) from None
    with suppress(UserError):  # a folder that cannot be written to is opened with its data each time
        write_record(record, path)
    return record


def as_trained(record: DataRecord, data: ImageData, named: bool) -> ImageData:
    """Return a data set as a run may be measured on it: what it was trained on is among the training images.

    Args:
        record: The run's.
        data: What was loaded.
        named: Whether the user named the data just now. Other images are then taken, with a warning; otherwise the
            run's own images have changed, and are refused.

    Raises:
        UserError: If the images are of another shape, or have changed.
    """
    if data.image_shape != record.image_shape:
        expected, came = ("x".join(map(str, shape)) for shape in (record.image_shape, data.image_shape))
        raise UserError(
            f"expected images of {expected} (channels x rows x columns), as the run was trained on, got {came} in "
            f"{data.name}: name others with --data"
        )
    if not (differing := differences(record, data)):
        return data
    if not named:
        raise UserError(
            f"{data.name} has changed since the run was trained on it ({'; '.join(differing)}), so that its test "
            "images may have been trained on: put it back as it was, or name the images to look at with --data"
        )
    regrouped, told = _regroup(record, data)
    print(
        f"warning: {data.name} is not what the run was trained on ({record.name}; {'; '.join(differing)}): {told}",
        file=sys.stderr,
    )
    return regrouped


def _regroup(record: DataRecord, data: ImageData) -> tuple[ImageData, str]:
    """Move the validation and test images that a run was trained on to the training images, and say how many."""
    if not record.trained_on:
        return data, "if they have images in common, the run may have been trained on some that are looked at here"
    train, moved = [data.split("train")], []
    fields: dict[str, Any] = {}
    for name in ("validation", "test"):
        split = data.split(name)
        trained = was_trained_on(record, split.images)
        fields |= split_fields(name, split.take((~trained).nonzero()[:, 0]))
        if trained.any():
            train.append(split.take(trained.nonzero()[:, 0]))
            moved.append(f"{int(trained.sum())} of {len(split)} {name} images")
    if not moved:
        return data, "the run was trained on none of its validation and test images"
    fields |= split_fields("train", join_splits(train))
    return replace(data, **fields), f"the run was trained on {' and '.join(moved)}, which count as training images here"
