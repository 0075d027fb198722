"""``eth80``: photographs of 80 objects of eight kinds from 41 directions each, in colour, cut out by their masks."""

import re
from pathlib import Path

import numpy as np
import torch

from rnp_pyro.data.data_folder import data_folder, find_file, find_folder
from rnp_pyro.data.image_data import Split
from rnp_pyro.data.listing import list_folder
from rnp_pyro.data.official import box_resize, nowhere, read_checked, read_files
from rnp_pyro.data.source import Request, Source
from rnp_pyro.errors import UserError

ARCHIVE = "eth80.npz"
_ORIGIN = "https://www.mpi-inf.mpg.de (ETH-80 by Leibe and Schiele, eth80-cropped-close128.tgz or eth80-cropped256.tgz)"
_BELOW = ("eth80-cropped-close128", "eth80-cropped256", "eth80-cropped-close256", "ETH80", "eth80", "ETH-80")
_SIDE = 64
_LAST_TRAINING, _VALIDATION = 7, 8
"""Objects 1 to 7 of each kind are trained on, object 8 is the validation, the others are the test."""

_CARS = {11: 4, 12: 8, 14: 10}
"""The ten cars are called car1, 2, 3, 5, 6, 7, 9, 11, 12 and 14: the last three stand for the numbers that are free."""

_MASK_THRESHOLD = 127

_SHAPES = {
    "images": ("u", ("N", "S", "S", 3)),
    "masks": ("u", ("N", "S", "S")),
    "category": ("iu", ("N",)),
    "object_id": ("iu", ("N",)),
    "view_id": ("iu", ("N",)),
    "view_angles": ("iu", ("views", 2)),
    "category_names": ("U", ("kinds",)),
    "object_name": ("U", ("N",)),
}


def load(request: Request) -> Source:
    """Load the photographs on black. Objects are divided, never views: no test object was trained on.

    Raises:
        UserError: Nothing was found, or what was found is damaged.
    """
    folder = data_folder(request.data_dir)
    if archive := find_file(folder, ARCHIVE):
        return _source(read_checked(archive, _SHAPES), archive)
    if found := find_folder(folder, _has_objects, *_BELOW):
        return _source(_read_official(found), found)
    raise nowhere("eth80", ARCHIVE, "the folders apple1, apple2, ... with images and maps", folder, _ORIGIN)


def prepare(source: Path, argument: str) -> tuple[str, dict[str, np.ndarray]]:
    """Return the name and the arrays of the archive that is made from the official files, at 64x64 pixels.

    Raises:
        UserError: A file is missing or damaged.
    """
    found = find_folder(source, _has_objects, *_BELOW)
    if found is None:
        raise UserError(
            f"eth80: expected the folders apple1, apple2, ... in {str(source)!r}, got none: get them from "
            f"{_ORIGIN} and unpack them there"
        )
    return ARCHIVE, _read_official(found)


def _source(arrays: dict[str, np.ndarray], where: Path) -> Source:
    inside = arrays["masks"] > _MASK_THRESHOLD
    cut_out = torch.from_numpy(arrays["images"] * inside[..., None]).permute(0, 3, 1, 2).contiguous()
    angles = arrays["view_angles"][arrays["view_id"]]
    files = [
        f"{name}/{name}-{polar:03d}-{turn:03d}.png"
        for name, (polar, turn) in zip(arrays["object_name"], angles, strict=True)
    ]
    everything = Split(
        cut_out,
        torch.from_numpy(arrays["category"].astype(np.int64)),
        tuple(files),
        torch.from_numpy(inside * np.uint8(255))[:, None],
    )
    objects = torch.from_numpy(arrays["object_id"].astype(np.int64))
    chosen = {
        "1 to 7": objects <= _LAST_TRAINING,
        "8": objects == _VALIDATION,
        "9 and above": objects > _VALIDATION,
    }
    for told, found in chosen.items():
        if not found.any():
            raise UserError(
                f"eth80: expected objects {told} of each kind in {str(where)!r}, got none: unpack all of it"
            )
    train, validation, test = (everything.take(found.nonzero()[:, 0]) for found in chosen.values())
    return Source(train, test, validation, tuple(arrays["category_names"].tolist()))


def _has_objects(folder: Path) -> bool:
    return any(_object(path.name) for path in folder.glob("*[0-9]") if path.is_dir())


def _object(name: str) -> re.Match[str] | None:
    """Return kind and number of a folder such as ``apple1``."""
    return re.fullmatch(r"(apple|car|cow|cup|dog|horse|pear|tomato)(\d+)", name)


def _rank(kind: str, number: int) -> int:
    """Return which of the ten objects of its kind this is, from 1; by it objects are divided."""
    return _CARS.get(number, number) if kind == "car" else number


def _read_official(folder: Path) -> dict[str, np.ndarray]:
    """Read ``apple1/apple1-000-000.png`` and its mask ``apple1/maps/apple1-000-000-map.png``, and their like."""
    found, masks = {}, {}
    for path in list_folder(folder).images:
        match = re.fullmatch(r"([a-z]+)(\d+)-(\d+)-(\d+)(-map|-mask)?", path.stem.lower())
        if match and _object("".join(match.groups()[:2])):
            key = (match[1], int(match[2]), int(match[3]), int(match[4]))
            (masks if match[5] or path.parts[-2].lower() in ("maps", "masks") else found)[key] = path
    missing = sorted(found.keys() - masks.keys())
    if not found or missing:
        first = "" if not missing else f", such as that of {found[missing[0]].as_posix()!r}"
        what = f"{len(missing)} of {len(found)} masks missing{first}" if found else "no images"
        raise UserError(
            f"eth80: expected apple1/apple1-000-000.png with its mask apple1/maps/apple1-000-000-map.png and so on in "
            f"{str(folder)!r}, got {what}: unpack the official archive again, from {_ORIGIN}"
        )
    keys = sorted(found)
    kinds = sorted({key[0] for key in keys})
    views = sorted({key[2:] for key in keys})
    return {
        "images": box_resize(read_files(folder, [found[key] for key in keys], "RGB", "eth80"), _SIDE),
        "masks": box_resize(read_files(folder, [masks[key] for key in keys], "L", "eth80"), _SIDE),
        "category": np.array([kinds.index(key[0]) for key in keys], np.uint8),
        "object_id": np.array([_rank(*key[:2]) for key in keys], np.uint8),
        "view_id": np.array([views.index(key[2:]) for key in keys], np.uint8),
        "view_angles": np.array(views, np.int16),
        "category_names": np.array(kinds),
        "object_name": np.array([f"{key[0]}{key[1]}" for key in keys]),
    }
