"""Miniatures of the data sets' official layouts, drawn here."""

import gzip
from pathlib import Path

import numpy as np
from PIL import Image

MNIST_NAMES = ("train-images-idx3-ubyte", "train-labels-idx1-ubyte", "t10k-images-idx3-ubyte", "t10k-labels-idx1-ubyte")
LETTER_NAMES = tuple(
    f"emnist-letters-{split}-{what}-ubyte" for split in ("train", "test") for what in ("images-idx3", "labels-idx1")
)


def save(path: Path, pixels: np.ndarray, mode: str | None = None) -> None:
    """Write an image file, in Pillow's mode if one is named."""
    path.parent.mkdir(parents=True, exist_ok=True)
    image = Image.fromarray(pixels)
    (image.convert(mode, dither=Image.Dither.NONE) if mode else image).save(path)


def idx_arrays(classes: int = 10, first: int = 0) -> tuple[np.ndarray, ...]:
    """Return training images, their labels, test images, their labels: asymmetric, all different."""
    rng = np.random.default_rng(0)
    arrays = []
    for count in (40, 10):
        arrays += [
            rng.integers(0, 256, (count, 28, 28), dtype=np.uint8),
            (np.arange(count) % classes + first).astype("u1"),
        ]
    return tuple(arrays)


def idx_file(array: np.ndarray) -> bytes:
    """Return what a file in MNIST's format holds."""
    sizes = b"".join(size.to_bytes(4, "big") for size in array.shape)
    return bytes([0, 0, 8, array.ndim]) + sizes + array.tobytes()


def write_idx(folder: Path, names: tuple[str, ...] = MNIST_NAMES, compressed: bool = False, **kinds: int) -> None:
    """Write four files in MNIST's format."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in zip(names, idx_arrays(**kinds), strict=True):
        content = idx_file(array)
        if compressed:
            (folder / f"{name}.gz").write_bytes(gzip.compress(content))
        else:
            (folder / name).write_bytes(content)


def character(rng: np.random.Generator) -> np.ndarray:
    """Return dark strokes on white, 105x105."""
    image = np.full((105, 105), 255, np.uint8)
    row, column = rng.integers(10, 60, 2)
    image[row : row + 30, column : column + 3] = 0
    image[row : row + 3, column : column + 20] = 0
    return image


def write_omniglot(folder: Path, drawers: int = 4) -> None:
    """Write two background alphabets of three characters, and one evaluation alphabet of two."""
    rng = np.random.default_rng(0)
    number = 0
    for part, alphabets in (("images_background", {"Greek": 3, "Arcadian": 3}), ("images_evaluation", {"Angelic": 2})):
        for alphabet, characters in sorted(alphabets.items()):
            for at in range(1, characters + 1):
                number += 1
                for drawer in range(1, drawers + 1):
                    path = folder / part / alphabet / f"character{at:02d}" / f"{number:04d}_{drawer:02d}.png"
                    save(path, character(rng), "1")


def write_one_shot(folder: Path, runs: int = 3, classes: int = 4) -> None:
    """Write runs of the one-shot task: item k shows class ``classes - k``."""
    rng = np.random.default_rng(1)
    for run in range(1, runs + 1):
        name, lines = f"run{run:02d}", []
        for at in range(1, classes + 1):
            save(folder / name / "training" / f"class{at:02d}.png", character(rng), "1")
            save(folder / name / "test" / f"item{at:02d}.png", character(rng), "1")
            lines.append(f"{name}/test/item{at:02d}.png {name}/training/class{classes + 1 - at:02d}.png")
        (folder / name / "class_labels.txt").write_text("\n".join(lines) + "\n")


ETH80_OBJECTS = {"apple": range(1, 11), "car": (1, 2, 3, 5, 6, 7, 9, 11, 12, 14)}
"""The official numbers of the ten objects of a kind; those of the cars have gaps."""


def write_eth80(folder: Path) -> None:
    """Write two views of each object: one bright colour on a bright ground, its mask the upper left quarter."""
    for kind, objects in ETH80_OBJECTS.items():
        for at in objects:
            for view, turn in enumerate((0, 90)):
                pixels = np.full((128, 128, 3), 200, np.uint8)
                pixels[:64, :64] = (15 * at, 100 + 50 * view, 30 + 100 * (kind == "car"))
                mask = np.zeros((128, 128), np.uint8)
                mask[:64, :64] = 255
                name = f"{kind}{at}"
                save(folder / name / f"{name}-022-{turn:03d}.png", pixels)
                save(folder / name / "maps" / f"{name}-022-{turn:03d}-map.png", mask)


OFFICIAL = {
    "mnist": ("MNIST/raw", write_idx),
    "fashion-mnist": ("FashionMNIST/raw", write_idx),
    "kmnist": ("KMNIST/raw", write_idx),
    "emnist-letters": (
        "EMNIST/raw",
        lambda folder: write_idx(folder, LETTER_NAMES, True, classes=26, first=1),
    ),
    "omniglot": ("omniglot-py", write_omniglot),
    "omniglot:one-shot": ("all_runs", write_one_shot),
    "eth80": ("eth80-cropped-close128", write_eth80),
}
"""Where the official files lie below a folder of data sets, and what draws a miniature of them."""
