"""What makes images of what a user gave in their place: the last part of a refusal."""

from collections.abc import Iterable, Mapping
from math import isqrt
from pathlib import Path
from typing import Any

from PIL import Image


def way_in(given: Any) -> str:
    """Return how what was given in place of images is to be given."""
    if hasattr(given, "dataset"):
        return "pass its .dataset"
    if hasattr(given, "to_numpy"):
        flat = given.shape[1] if len(getattr(given, "shape", ())) == 2 else 0
        side = isqrt(flat)
        sizes = f"{side}, {side}" if side * side == flat > 1 else "rows, columns"
        return f"if a row is an image, pass images.to_numpy().reshape(-1, {sizes})"
    if isinstance(given, Image.Image):
        return "of one image make a list, [image] (training takes at least 4)"
    if isinstance(given, str | bytes | Path):
        return "of a file pass PIL.Image.open(name) in a list"
    if isinstance(given, Mapping):
        return "pass one of its values"
    if given is None:
        return "pass the images first"
    return "pass list(images)" if isinstance(given, Iterable) else "pass an array of images"


def item_way_in(item: Any) -> str:
    """Return how an image of a list or of a data set is to be given."""
    if isinstance(item, str | Path):
        return "of files pass their folder, 'folder:PATH', or [PIL.Image.open(name) for name in images]"
    if isinstance(item, Mapping):
        return "let an item be the image, or the pair (image, label)"
    if isinstance(item, tuple):
        return "pass the images alone, [image for image, label in images], or {'images': images, 'labels': labels}"
    if isinstance(item, list):
        return "pass numpy.array(images)"
    shape = getattr(item, "shape", None)
    if shape is not None and len(shape) == 1:
        side = isqrt(shape[0])
        sizes = f"{side}, {side}" if side * side == shape[0] > 1 else "rows, columns"
        return f"of flattened images make rows and columns, image.reshape({sizes})"
    return "make each an image"
