"""``omniglot`` and ``omniglot:one-shot``: handwritten characters of 50 alphabets, ink bright."""

import re
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch

from rnp_pyro.data import omniglot_one_shot
from rnp_pyro.data.data_folder import data_folder, find_file, find_folder
from rnp_pyro.data.download import DownloadError, download_zip
from rnp_pyro.data.image_data import Split
from rnp_pyro.data.listing import list_folder
from rnp_pyro.data.official import box_resize, nowhere, read_checked, read_files
from rnp_pyro.data.resize import resize_images
from rnp_pyro.data.source import Request, Source
from rnp_pyro.errors import UserError
from rnp_pyro.shapes import ByteImages

ARCHIVE = "omniglot.npz"
_PARTS = ("images_background", "images_evaluation")
_ORIGIN = "https://github.com/brendenlake/omniglot (python/images_background.zip and images_evaluation.zip)"
_BELOW = ("omniglot-py", "omniglot/python", "omniglot-master/python", "omniglot")
_SIDE, _SMALL = 105, 28
_CHUNK = 2048

_SHAPES = {
    "images_packed": ("u", ("N", -(-_SIDE * _SIDE // 8))),
    "images28": ("u", ("N", _SMALL, _SMALL)),
    "split": ("iu", ("N",)),
    "alphabet": ("iu", ("N",)),
    "character": ("iu", ("N",)),
    "char_id": ("iu", ("N",)),
    "drawer": ("iu", ("N",)),
    "alphabet_names": ("U", ("A",)),
}


def load(request: Request) -> Source:
    """Load the 30 background alphabets to train on and the 20 evaluation alphabets to test on, or the one-shot task.

    A class is a character of an alphabet; the test's classes are others than those of the training.

    Raises:
        UserError: Nothing was found nor downloaded, or what was found is damaged.
    """
    if request.argument:
        return omniglot_one_shot.load(request)
    folder = data_folder(request.data_dir)
    if archive := find_file(folder, ARCHIVE):
        return _source(read_checked(archive, _SHAPES), request.image_size, archive)
    found = find_folder(folder, _has_both, *_BELOW) or _download(folder)
    return _source(_read_official(found), request.image_size, found)


def prepare(source: Path, argument: str) -> tuple[str, dict[str, np.ndarray]]:
    """Return the name and the arrays of the archive that is made from the official files.

    Raises:
        UserError: A part is missing, or a file is damaged.
    """
    if argument:
        return omniglot_one_shot.prepare(source)
    found = find_folder(source, _has_both, *_BELOW)
    if found is None:
        half = find_folder(source, lambda path: any((path / part).is_dir() for part in _PARTS), *_BELOW)
        present = "neither" if half is None else f"only {next(part for part in _PARTS if (half / part).is_dir())}"
        raise UserError(
            f"omniglot: expected the folders {' and '.join(_PARTS)} in {str(half or source)!r}, got {present}: get "
            f"what is missing from {_ORIGIN} and unpack it there"
        )
    return ARCHIVE, _read_official(found)


def unpack(packed: np.ndarray) -> np.ndarray:
    """Return packed images as bits ``[N, 105, 105]``, 1 for ink."""
    return np.unpackbits(packed, axis=1)[:, : _SIDE * _SIDE].reshape(-1, _SIDE, _SIDE)


def _has_both(folder: Path) -> bool:
    return all((folder / part).is_dir() for part in _PARTS)


def _source(arrays: Mapping[str, np.ndarray], image_size: int, where: Path) -> Source:
    images = _images(arrays, image_size)
    alphabets = arrays["alphabet_names"].tolist()
    characters = [
        f"{alphabets[alphabet]}/character{character:02d}"
        for alphabet, character in zip(arrays["alphabet"], arrays["character"], strict=True)
    ]
    class_names = tuple(dict.fromkeys(characters))
    number = {name: at for at, name in enumerate(class_names)}
    labels = torch.tensor([number[name] for name in characters])
    files = [
        f"{name}/{char_id:04d}_{drawer:02d}.png"
        for name, char_id, drawer in zip(characters, arrays["char_id"], arrays["drawer"], strict=True)
    ]
    everything = Split(images, labels, tuple(files))
    of_split = [torch.from_numpy((arrays["split"] == split).nonzero()[0]) for split in (0, 1)]
    if not all(len(positions) for positions in of_split):
        raise UserError(f"omniglot: expected images of both {' and '.join(_PARTS)} in {str(where)!r}: make it again")
    return Source(everything.take(of_split[0]), everything.take(of_split[1]), class_names=class_names)


def _images(arrays: Mapping[str, np.ndarray], image_size: int) -> ByteImages:
    """Return the images at 28 pixels as the archive has them, at any other size resized from the originals."""
    if image_size == _SMALL:
        return torch.from_numpy(arrays["images28"])[:, None]
    packed = arrays["images_packed"]
    chunks = [unpack(packed[start : start + _CHUNK]) * np.uint8(255) for start in range(0, len(packed), _CHUNK)]
    return torch.cat([resize_images(torch.from_numpy(chunk)[:, None], image_size) for chunk in chunks])


def _read_official(folder: Path) -> dict[str, np.ndarray]:
    """Read ``images_background/ALPHABET/characterNN/NNNN_DD.png`` and its like as the archive's arrays."""
    rows, names, packed, small = [], [], [], []
    for split, part in enumerate(_PARTS):
        paths = [path for path in list_folder(folder / part).images if _match(path)]
        if not paths:
            raise UserError(
                f"omniglot: expected ALPHABET/characterNN/NNNN_DD.png in {str(folder / part)!r}, got none: get it from "
                f"{_ORIGIN} and unpack it there"
            )
        names += sorted({path.parts[-3] for path in paths})
        for path in paths:
            match = _match(path)
            assert match is not None
            rows.append((split, names.index(path.parts[-3]), *(int(number) for number in match.groups())))
        ink = read_files(folder / part, paths, "L", "omniglot") < 128
        if ink.shape[1:] != (_SIDE, _SIDE):
            raise UserError(
                f"omniglot: expected images of {_SIDE}x{_SIDE} in {str(folder / part)!r}, got {list(ink.shape[1:])}"
            )
        packed.append(np.packbits(ink.reshape(len(ink), -1), axis=1))
        small.append(box_resize(ink.astype(np.uint8) * 255, _SMALL))
    split, alphabet, character, char_id, drawer = np.array(rows).T
    return {
        "images_packed": np.concatenate(packed),
        "images28": np.concatenate(small),
        "split": split.astype(np.uint8),
        "alphabet": alphabet.astype(np.uint8),
        "character": character.astype(np.uint8),
        "char_id": char_id.astype(np.uint16),
        "drawer": drawer.astype(np.uint8),
        "alphabet_names": np.array(names),
        "alphabet_split": np.array([split[alphabet == at][0] for at in range(len(names))], np.uint8),
        "image_shape": np.array([_SIDE, _SIDE], np.int64),
    }


def _match(path: Path) -> re.Match[str] | None:
    """Return a path's character, its number of 1,623, and its drawer; None if it is another file's."""
    return re.fullmatch(r"(?:.*/)?[^/]+/character(\d+)/(\d+)_(\d+)\.png", path.as_posix())


def _download(folder: Path) -> Path:
    """Download both parts to where torchvision puts them."""
    from torchvision.datasets import Omniglot  # takes seconds to import

    target = folder / Omniglot.folder
    try:
        for part in _PARTS:
            if not (target / part).is_dir():
                download_zip(f"{Omniglot.download_url_prefix}/{part}.zip", Omniglot.zips_md5[part], target)
    except DownloadError as error:
        layout = f"{Omniglot.folder}/ with {' and '.join(_PARTS)}"
        raise nowhere("omniglot", ARCHIVE, layout, folder, _ORIGIN, str(error)) from None
    return target
