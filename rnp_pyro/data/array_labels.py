"""Classes of the user's arrays, numbered from 0."""

from collections.abc import Mapping

import numpy as np
import torch

from rnp_pyro.data.array_keys import Keyed
from rnp_pyro.data.array_pixels import images_of
from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Tensor


def number_labels(
    keyed: Keyed, counts: Mapping[str, int], name: str
) -> tuple[dict[str, Tensor], tuple[str, ...] | None, tuple[str, ...]]:
    """Return each split's labels from 0, the classes' names, and what to say.

    Labels are whole numbers or texts, ``[N]`` or ``[N, 1]``, or one number 1 among zeros for each image, ``[N, K]``.
    The classes are all values that occur in any split, in their order, so that 1 to 26 become 0 to 25.

    Args:
        keyed: The arrays.
        counts: Images in each split.
        name: The file's, for messages.

    Raises:
        UserError: There are more or fewer labels than images, or they are none.
    """
    flat, said = {}, []
    for split, labels in keyed.labels.items():
        if split not in counts:
            continue
        if len(labels) != counts[split] if labels.ndim else True:
            raise UserError(
                f"expected labels [{counts[split]}] for {images_of(split, counts)} of {name!r}, got "
                f"{list(labels.shape)}: save as many labels as images, in the same order"
            )
        found = _flatten(labels)
        if found is None:
            said.append(
                f"the labels of {images_of(split, counts)}, {labels.dtype} {list(labels.shape)}, name no class for "
                "each image (whole numbers, texts or one-hot): passed over"
            )
        else:
            flat[split] = found
    if not flat:
        return {}, None, tuple(said)
    if len({one.dtype.kind in "US" for one in flat.values()}) > 1:
        raise UserError(f"expected labels of one kind in all splits of {name!r}, got numbers and texts: save one kind")
    classes = np.unique(np.concatenate(list(flat.values())))
    names = _names(classes, keyed.class_names)
    if classes.dtype.kind != "U" and classes.min() < 0:
        said.append(f"labels reach down to {classes.min()}: negative ones are classes, too; leave out what has none")
    values = (
        np.arange(len(names)) if keyed.class_names is not None and len(names) == len(keyed.class_names) else classes
    )
    numbered = {split: torch.from_numpy(np.searchsorted(values, one).astype(np.int64)) for split, one in flat.items()}
    return numbered, names, tuple(said)


def _flatten(labels: np.ndarray) -> np.ndarray | None:
    """Return one value for each image; None if there is not one."""
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if labels.dtype.kind == "S":
        labels = np.char.decode(labels, "utf-8", "backslashreplace")
    if labels.ndim == 2 and labels.dtype.kind in "buif":
        one_hot = ((labels == 0) | (labels == 1)).all() and (labels.sum(1) == 1).all()
        return labels.argmax(1) if one_hot else None
    if labels.ndim != 1 or labels.dtype.kind not in "buifU":
        return None
    if labels.dtype.kind == "f":
        whole = np.isfinite(labels).all() and (labels == np.round(labels)).all()
        return labels.astype(np.int64) if whole else None
    return labels if labels.dtype.kind == "U" else labels.astype(np.int64)


def _names(classes: np.ndarray, given: np.ndarray | None) -> tuple[str, ...]:
    """Return the given names where the labels count them from 0, else the labels themselves."""
    if given is not None and classes.dtype.kind != "U" and classes.min() >= 0 and classes.max() < len(given):
        return tuple(one.decode("utf-8", "backslashreplace") if isinstance(one, bytes) else str(one) for one in given)
    return tuple(str(one) for one in classes)
