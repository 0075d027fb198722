"""Splits and classes of a folder, as the paths of its files tell them."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rnp_pyro.data.listing import one_form
from rnp_pyro.errors import UserError

_SPLIT_FOLDERS = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}

_MASK_WORDS = {"mask", "masks", "segmentation", "segmentations", "annotation", "annotations", "groundtruth", "gt"}
"""Words in names of folders that hold no images to train on, but what belongs to them."""

Folder = tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """What the paths tell.

    Attributes:
        splits: For each file its split: train, validation or test; all are train where there are no splits.
        labels: For each file its class from 0; None in splits without classes.
        class_names: Name of each class, or None.
        notes: What the user is told, a line each.
    """

    splits: tuple[str, ...]
    labels: tuple[int | None, ...]
    class_names: tuple[str, ...] | None
    notes: tuple[str, ...]


def read_layout(paths: Sequence[Path]) -> Layout:
    """Find splits and classes in paths such as ``train/ape/1.png``, ``ape/test/1.png`` or ``ape/1.png``.

    A split is a folder named train, test or val (or training, testing, valid, validation), in any letters, at any
    depth; so is ``my-train`` beside ``my-test``. A class is the uppermost folder that holds images itself, by its path
    below the split.

    Args:
        paths: Relative to the data set's folder.

    Raises:
        UserError: Some images lie in a split and some do not, or there is nothing to train on.
    """
    folders = [tuple(one_form(part) for part in path.parts[:-1]) for path in paths]
    found, notes = _splits(folders, paths)
    if found is None:
        splits, below = ["train"] * len(folders), folders
    else:
        splits = [split for split, _ in found]
        below = [folder[:at] + folder[at + 1 :] for folder, (_, at) in zip(folders, found, strict=True)]
    labels, names, told = _classes(splits, below, paths)
    return Layout(tuple(splits), labels, names, (*notes, *told))


def mixed_layout(paths: Sequence[Path]) -> Layout:
    """Return the layout that runs had from before folders were splits: none of these, and classes in CLASS/FILE only.

    Args:
        paths: Relative to the data set's folder.
    """
    names = sorted({path.parts[0] for path in paths})
    classes = len(names) > 1 and all(len(path.parts) == 2 for path in paths)
    labels = tuple(names.index(path.parts[0]) if classes else None for path in paths)
    return Layout(("train",) * len(paths), labels, tuple(map(one_form, names)) if classes else None, ())


def _splits(folders: Sequence[Folder], paths: Sequence[Path]) -> tuple[list[tuple[str, int]] | None, list[str]]:
    """Return each file's split and where in its path it stands; None if there are no splits."""
    beside = _beside(folders)
    found = [_split_of(folder, beside) for folder in folders]
    present = {split for split, _ in filter(None, found)}
    outside = [path for path, split in zip(paths, found, strict=True) if split is None]
    if not present:
        return None, []
    if "train" in present and len(present) > 1:
        if outside:
            raise UserError(
                f"expected all images in one of the folders of the splits {', '.join(sorted(present))}, got "
                f"{len(outside)} of {len(paths)} outside them, such as {one_form(str(outside[0]))!r}: move them "
                "into one of these folders, or out of the data set"
            )
        return [split for split in found if split], []
    if len(present) == 1 and not outside:
        (only,) = present
        told = f"the only split is {only}: its images are trained on, less those that are held out of them"
        return [("train", at) for _, at in filter(None, found)], [told] if only != "train" else []
    if present == {"train"}:
        return None, ["the folder train was taken for a class among others, since there is neither test nor val"]
    raise UserError(
        f"expected a folder train beside the folder {' and '.join(sorted(present))}, got images in others, such as "
        f"{one_form(str((outside or paths)[0]))!r}: move what is to be trained on into train/, or rename a class of "
        "that name"
    )


def _split_of(folder: Folder, beside: dict[tuple[Folder, str], set[str]]) -> tuple[str, int] | None:
    """Return the split that a path names, and where; ``my-train`` names one if there is a ``my-test`` beside it."""
    for at, name in enumerate(folder):
        split, rest = _read_name(name)
        if split and (not rest or len(beside[folder[:at], rest]) > 1):
            return split, at
    return None


def _beside(folders: Sequence[Folder]) -> dict[tuple[Folder, str], set[str]]:
    """Return the splits that folders name whose names are alike except for them, by the folder they are in."""
    found: dict[tuple[Folder, str], set[str]] = {}
    for folder in set(folders):
        for at, name in enumerate(folder):
            split, rest = _read_name(name)
            found.setdefault((folder[:at], rest), set()).update([split] if split else [])
    return found


def _read_name(name: str) -> tuple[str, str]:
    """Return the split that a folder's name holds as a word, or nothing, and the rest of the name."""
    words = re.split(r"[\W_]+", name.casefold())
    splits = [_SPLIT_FOLDERS[word] for word in words if word in _SPLIT_FOLDERS]
    rest = " ".join(word for word in words if word not in _SPLIT_FOLDERS)
    return (splits[0], rest.strip()) if len(splits) == 1 else ("", rest.strip())


def _classes(
    splits: Sequence[str], folders: Sequence[Folder], paths: Sequence[Path]
) -> tuple[tuple[int | None, ...], tuple[str, ...] | None, list[str]]:
    """Return labels, class names, and what the user is told."""
    loose = {split for split, folder in zip(splits, folders, strict=True) if not folder}
    holding = {folder for split, folder in zip(splits, folders, strict=True) if split not in loose}
    uppermost = {
        folder: next(folder[:end] for end in range(1, len(folder) + 1) if folder[:end] in holding) for folder in holding
    }
    classes = sorted(set(uppermost.values()))
    none = (None,) * len(paths), None
    if len(classes) < 2:
        nested = {folder for folder in folders if folder}
        beside = [path for path, folder in zip(paths, folders, strict=True) if not folder]
        notes = (
            [f"no classes: {len(beside)} images lie beside the folders, such as {one_form(beside[0].name)!r}"]
            if len(nested) > 1 and beside
            else []
        )
        return *none, notes
    names = _short(classes)
    number = {folder: classes.index(upper) for folder, upper in uppermost.items()}
    labels = tuple(None if split in loose else number[folder] for split, folder in zip(splits, folders, strict=True))
    notes = [_masks(classes, names, folders, paths)]
    notes = [note for note in notes if note] + [
        f"the {split} images have no classes: they lie in no folder of their own" for split in sorted(loose)
    ]
    return labels, names, notes


def _masks(classes: Sequence[Folder], names: Sequence[str], folders: Sequence[Folder], paths: Sequence[Path]) -> str:
    """Return a line where a class seems to hold the masks of another's images; an empty one where none does."""
    for name, folder in zip(names, classes, strict=True):
        if not _MASK_WORDS & set(re.split(r"[\W_]+", name.casefold())):
            continue
        held = {
            one: {path.stem for path, at in zip(paths, folders, strict=True) if at[: len(one)] == one}
            for one in classes
        }
        for other, stems in zip(names, held.values(), strict=True):
            if other != name and stems <= held[folder]:
                return (
                    f"the folder {name!r} has a file for each of {other!r}: if they are masks of these images, name "
                    f"the folder of the images alone, or the masks are trained on, too"
                )
    return ""


def _short(classes: Sequence[Folder]) -> tuple[str, ...]:
    """Return the classes' paths without the folders that all have in common, above or below."""
    start = 0
    while len({folder[: start + 1] for folder in classes}) == 1:
        start += 1
    end = 0
    while (
        all(len(folder) - end - 1 > start for folder in classes) and len({folder[-end - 1] for folder in classes}) == 1
    ):
        end += 1
    return tuple("/".join(folder[start : len(folder) - end]) for folder in classes)
