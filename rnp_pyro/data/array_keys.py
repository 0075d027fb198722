"""Which arrays of a file are images, which are labels, and of which split."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from rnp_pyro.errors import UserError

_SPLIT_WORDS = {
    "train": "train", "training": "train", "tr": "train",
    "val": "validation", "valid": "validation", "validation": "validation", "dev": "validation",
    "test": "test", "testing": "test", "te": "test",
}  # fmt: skip

_IMAGE_WORDS = {
    "images",
    "image",
    "imgs",
    "img",
    "x",
    "data",
    "arr0",
    "pixels",
    "inputs",
    "input",
    "features",
    "samples",
}
_LABEL_WORDS = {"labels", "label", "y", "target", "targets", "class", "classes", "arr1"}
_NAME_WORDS = {"classnames", "labelnames", "targetnames", "categorynames", "names"}

USUAL = "images, x_train, x_val, x_test, train_images, val_images, test_images, X, data or arr_0"
"""Keys of images, as messages name them."""


@dataclass(frozen=True)
class Keyed:
    """A file's arrays by their meaning.

    Attributes:
        images: By split; ``train`` alone where there are no splits.
        labels: Likewise, of those splits that have some.
        class_names: Names of the classes, or None.
        unused: Keys of what is neither.
        taken: Keys of the images.
    """

    images: dict[str, np.ndarray]
    labels: dict[str, np.ndarray]
    class_names: np.ndarray | None
    unused: tuple[str, ...]
    taken: tuple[str, ...]


def sort_keys(arrays: Mapping[str, np.ndarray], name: str) -> Keyed:
    """Find images and labels by their keys, such as ``x_train`` and ``y_train``, in any letters.

    Raises:
        UserError: No key is that of images, two are of the same, or there are test images and none to train on.
    """
    images: dict[str, str] = {}
    labels: dict[str, str] = {}
    class_names = None
    for key, array in arrays.items():
        split, word = _read_key(key)
        if word in _NAME_WORDS and array.dtype.kind in "US" and array.ndim == 1:
            class_names = array
            continue
        table = images if word in _IMAGE_WORDS or (split and not word) else labels if word in _LABEL_WORDS else None
        if table is None:
            continue
        if split in table:
            raise UserError(
                f"expected one array of {'images' if table is images else 'labels'} for each split in {name!r}, got "
                f"{table[split]!r} and {key!r}: keep one of them"
            )
        table[split] = key
    _check(images, arrays, name)
    if "" in images:
        images["train"] = images.pop("")
        labels = {"train": labels[""]} if "" in labels else {}
    labels = {split: key for split, key in labels.items() if split in images}
    used = {*images.values(), *labels.values()}
    return Keyed(
        {split: arrays[key] for split, key in images.items()},
        {split: arrays[key] for split, key in labels.items()},
        class_names,
        tuple(key for key in arrays if key not in used and arrays[key] is not class_names),
        tuple(images.values()),
    )


def _read_key(key: str) -> tuple[str, str]:
    """Return the split that a key names, or nothing, and the rest of it in small letters without separators."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", key.rsplit("/", 1)[-1])
    words = re.split(r"[\W_]+", spaced.lower())
    splits = [_SPLIT_WORDS[word] for word in words if word in _SPLIT_WORDS]
    rest = "".join(word for word in words if word not in _SPLIT_WORDS)
    if not splits:  # xtrain, trainx
        for word, split in _SPLIT_WORDS.items():
            for known in _IMAGE_WORDS | _LABEL_WORDS:
                if len(word) > 2 and rest in (known + word, word + known):
                    return split, known
    return (splits[0] if splits else ""), rest


def _check(images: dict[str, str], arrays: Mapping[str, np.ndarray], name: str) -> None:
    found = ", ".join(f"{key} {array.dtype} {list(array.shape)}" for key, array in list(arrays.items())[:12])
    if not images:
        raise UserError(f"expected images under a key such as {USUAL} in {name!r}, got {found}: rename one of them")
    if "" in images and len(images) > 1:
        raise UserError(
            f"expected images either in splits or in one array in {name!r}, got "
            f"{', '.join(repr(key) for key in images.values())}: keep one or the other"
        )
    if "" not in images and "train" not in images:
        raise UserError(f"expected images to train on, such as x_train, in {name!r}, got {found}: add them")
