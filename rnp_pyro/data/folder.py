"""``folder:PATH``: the user's own images."""

import os
from pathlib import Path
from typing import NoReturn

import torch
from jaxtyping import Int64

from rnp_pyro.data.source import Request, Source
from rnp_pyro.data.split import held_out_count, hold_out
from rnp_pyro.errors import UserError
from rnp_pyro.pictures.colour import any_colour, to_grey
from rnp_pyro.pictures.picture import Picture, read_picture
from rnp_pyro.shapes import ByteImages, Tensor

_SUFFIXES = {".png", ".jpg", ".jpeg"}
_DEBRIS = {"thumbs.db", "desktop.ini", "__macosx"}
"""What operating systems leave behind; ignored, like all names that begin with a dot."""

_TEST_SHARE = 0.1
_FEWEST = 4
"""Images: one to test, one to validate, two to train."""


def load_folder(request: Request) -> Source:
    """Reads all PNG and JPEG files of a folder and its subfolders (see ``read_picture``), in order of their paths.

    The images are grey unless at least one is really coloured. A tenth of them, at least one, is the test part, the
    same in every run on the same files. If every image lies in a direct subfolder and there are at least two of
    these, the subfolders are the classes, numbered in order of their names.

    Raises:
        UserError: The folder is missing, has too few images, or a file that is not a sound image (other files are
            refused by name, except hidden ones); or sizes differ and ``request.mixed_sizes`` is false.
    """
    root = Path(request.argument).expanduser()
    paths = _list_images(root)
    images = _read_all(root, paths, request)
    if not any_colour(images):
        images = to_grey(images)
    labels = _labels(paths)
    kept, held_out = hold_out(labels, len(images), held_out_count(_TEST_SHARE, len(images)))
    if labels is None:
        return Source(images[kept], None, images[held_out], None)
    return Source(images[kept], labels[kept], images[held_out], labels[held_out])


def _list_images(root: Path) -> list[Path]:
    """Paths below ``root``, sorted. Links to folders are not followed."""
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise UserError(f"expected a folder of images, got {str(root)!r}, which {what}: name a folder as folder:PATH")
    found = []
    for folder, subfolders, files in os.walk(root, onerror=_refuse_folder):
        subfolders[:] = [name for name in subfolders if not _ignored(name)]
        found += [Path(folder, name).relative_to(root) for name in files if not _ignored(name)]
    found.sort(key=lambda path: path.parts)
    for path in found:
        if path.suffix.lower() not in _SUFFIXES:
            raise UserError(
                f"expected only PNG and JPEG images, got {str(root / path)!r}: move it out of the folder or convert it"
            )
    if len(found) < _FEWEST:
        raise UserError(
            f"expected at least {_FEWEST} PNG or JPEG images in {str(root)!r}, got {len(found)}: add images or name "
            "another folder"
        )
    return found


def _ignored(name: str) -> bool:
    return name.startswith(".") or name.lower() in _DEBRIS


def _refuse_folder(error: OSError) -> NoReturn:
    raise UserError(f"expected a folder that can be read, got {error.filename!r} ({error.strerror})") from error


def _read_all(root: Path, paths: list[Path], request: Request) -> ByteImages:
    """All images as RGB [N, 3, image_size, image_size]."""
    first: Picture | None = None
    pixels = []
    for path in paths:
        picture = read_picture(root / path, request.image_size)
        first = first or picture
        if picture.size != first.size and not request.mixed_sizes:
            raise UserError(
                f"expected images of one size, got {str(root / paths[0])!r} of {_text(first.size)} and "
                f"{str(root / path)!r} of {_text(picture.size)} pixels: have them scaled and centred "
                "with --mixed_sizes true, or make them equal"
            )
        pixels.append(picture.pixels)
    return torch.stack(pixels)


def _text(size: tuple[int, int]) -> str:
    return f"{size[0]}x{size[1]}"


def _labels(paths: list[Path]) -> Int64[Tensor, "N"] | None:
    """Classes from ``CLASS/FILE``; None if a path has another depth or all classes are one."""
    names = sorted({path.parts[0] for path in paths})
    if len(names) < 2 or any(len(path.parts) != 2 for path in paths):
        return None
    return torch.tensor([names.index(path.parts[0]) for path in paths])
