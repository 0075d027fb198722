"""What the loaders of official layouts share: files read all at once, archives checked, refusals with advice."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from rnp_pyro.data.archive import read_keys
from rnp_pyro.data.data_folder import DATA_VARIABLE
from rnp_pyro.data.listing import one_form
from rnp_pyro.errors import UserError
from rnp_pyro.messages import one_line
from rnp_pyro.pictures.formats import FORMATS

_NAMED = 5
"""Files that a refusal names."""


def read_files(root: Path, paths: Sequence[Path], mode: str, name: str) -> np.ndarray:
    """Read images of one size, ``[N, rows, columns]`` or ``[N, rows, columns, 3]``.

    Args:
        root: Their folder.
        paths: Relative to it.
        mode: Pillow's, L or RGB.
        name: The data set's, for messages.

    Raises:
        UserError: Some cannot be read, all of which are counted; or sizes differ.
    """
    images, damaged = [], []
    for path in paths:
        try:
            with Image.open(root / path, formats=FORMATS) as image:
                images.append(np.asarray(image.convert(mode)))
        except Exception as error:  # decoders raise almost anything on damaged bytes
            damaged.append((path, one_line(error)))
    if damaged:
        named = ", ".join(repr(one_form(path.as_posix())) for path, _ in damaged[:_NAMED])
        more = f" and {len(damaged) - _NAMED} more" if len(damaged) > _NAMED else ""
        raise UserError(
            f"{name}: expected images that can be read in {str(root)!r}, got {len(damaged)} of {len(paths)} that are "
            f"truncated or damaged: {named}{more} ({damaged[0][1]}); unpack the official archive again"
        )
    sizes = [image.shape[:2] for image in images]
    if len(set(sizes)) > 1:
        odd = next(at for at, size in enumerate(sizes) if size != sizes[0])
        raise UserError(
            f"{name}: expected images of one size in {str(root)!r}, got "
            f"{one_form(str(paths[0]))!r} of {list(sizes[0])} "
            f"and {one_form(str(paths[odd]))!r} of {list(sizes[odd])}: unpack the official archive again"
        )
    return np.stack(images)


def box_resize(images: np.ndarray, size: int) -> np.ndarray:
    """Return images ``[N, rows, columns]`` or ``[N, rows, columns, 3]`` at ``size`` pixels a side, pixels averaged."""
    return np.stack([np.asarray(Image.fromarray(one).resize((size, size), Image.Resampling.BOX)) for one in images])


Shape = tuple[str | int, ...]


def read_checked(path: Path, shapes: Mapping[str, tuple[str, Shape]]) -> dict[str, np.ndarray]:
    """Read an archive whose arrays have these kinds of types and shapes.

    Args:
        path: The archive.
        shapes: By key, NumPy's letters of the kinds that fit, and sizes: a number, or a letter that stands for the same
            size wherever it occurs.

    Raises:
        UserError: It is damaged, or has others.
    """
    arrays = read_keys(path, tuple(shapes))
    sizes: dict[str | int, int] = {}
    for key, (kinds, shape) in shapes.items():
        array = arrays[key]
        fits = array.dtype.kind in kinds and array.ndim == len(shape)
        for letter, size in zip(shape, array.shape, strict=False):
            fits = fits and size == (letter if isinstance(letter, int) else sizes.setdefault(letter, size))
        if not fits:
            raise UserError(
                f"expected {key} of shape {list(shape)} in {str(path)!r}, got {array.dtype} {list(array.shape)}: make "
                "the archive again with python -m examples.prepare_data"
            )
    return arrays


def nowhere(name: str, archive: str, layout: str, folder: Path, origin: str, tried: str = "") -> UserError:
    """Return the refusal of a data set that was not found.

    Args:
        name: The data set's.
        archive: The archive's file name.
        layout: What the official layout is.
        folder: Where it was looked for.
        origin: Where it comes from.
        tried: What came of the download, if there is one.
    """
    download = f", nor could they be downloaded into it ({tried})" if tried else ""
    return UserError(
        f"{name}: expected {archive}, or {layout}, in {str(folder)!r}, got neither{download}: get it from {origin}, "
        f"unpack it, and name the folder by --data_dir or ${DATA_VARIABLE}; or make the archive with python -m "
        f"examples.prepare_data {name} --source FOLDER"
    )
