"""Small made images in place of each public data set, for the smoke scale: strokes, blobs, and pairs."""

from pathlib import Path

import numpy as np

SIDE = 12
TRAIN, TEST, CLASSES = 48, 16, 4


def make_data(folder: Path) -> dict[str, str]:
    """Write the data sets that are not there yet; return what --data is for each."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {}
    for number, name in enumerate(("mnist", "omniglot", "objects", "clothes", "pairs")):
        path = folder / f"{name}.npz"
        if not path.is_file():
            arrays = _arrays(name, np.random.default_rng(number))
            partial = path.with_name(f".{name}.npz")
            np.savez(partial, **arrays)  # pyright: ignore[reportArgumentType] (its keyword `allow_pickle`)
            partial.replace(path)
        found[name] = f"array:{path}"
    return found


def _arrays(name: str, random: np.random.Generator) -> dict[str, np.ndarray]:
    """Draw images of four classes; a class is an angle of a stroke, pairs have two."""
    arrays = {}
    for split, count in (("train", TRAIN), ("test", TEST)):
        labels = np.arange(count) % CLASSES
        if name == "pairs":
            masks = np.stack([_strokes(labels, random, 0.5), _strokes(random.permutation(labels), random, 0.5)], 1)
            arrays[f"x_{split}"] = masks.max(1)
            arrays[f"masks_{split}"] = masks
        else:
            ink = _strokes(labels, random, 1.0)
            colours = random.uniform(0.4, 1, (count, 1, 1, 3))
            arrays[f"x_{split}"] = np.uint8(ink[..., None] * colours) if name in ("objects", "clothes") else ink
        arrays[f"y_{split}"] = labels
    return arrays


def _strokes(labels: np.ndarray, random: np.random.Generator, size: float) -> np.ndarray:
    """Draw a stroke for each label, bytes ``[N, SIDE, SIDE]``."""
    rows, columns = np.mgrid[:SIDE, :SIDE]
    images = []
    for label in labels:
        angle = np.pi * label / CLASSES + random.normal(0, 0.1)
        room = SIDE * (0.45 - 0.3 * size)
        row, column = SIDE / 2 - 0.5 + random.uniform(-room, room, 2)
        along = (rows - row) * np.sin(angle) + (columns - column) * np.cos(angle)
        across = (columns - column) * np.sin(angle) - (rows - row) * np.cos(angle)
        far = np.hypot(np.maximum(np.abs(along) - 0.35 * size * SIDE, 0), across)
        images.append(np.uint8(255 * np.clip(1.6 - far, 0, 1)))
    return np.stack(images)
