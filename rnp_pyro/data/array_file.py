"""Arrays out of the user's ``.npy`` and ``.npz`` files: nothing is executed, nothing large is allocated unchecked."""

import os
import zipfile
import zlib
from io import BufferedIOBase
from math import prod
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy

from rnp_pyro.errors import UserError
from rnp_pyro.limits import check_ends
from rnp_pyro.messages import one_line
from rnp_pyro.pictures.formats import ENDINGS

SINGLE = "images"
"""Key of a ``.npy`` file's only array."""

_NPY, _ZIP = b"\x93NUMPY", b"PK"

_MEMORY_SHARE = 0.5
"""Share of the machine's memory that arrays may fill."""

_CONVERT = "of torch's tensors make an array, numpy.save('images.npy', torch.load(FILE).numpy())"

_BROKEN = (
    OSError,
    ValueError,
    EOFError,
    SyntaxError,
    RuntimeError,
    NotImplementedError,
    zipfile.BadZipFile,
    zlib.error,
)
"""What NumPy, zipfile and zlib raise on bytes that were cut off or changed."""


def read_array_file(path: Path) -> dict[str, np.ndarray]:
    """Read all arrays of a file by their keys; that of a ``.npy`` file is called ``images``.

    Raises:
        UserError: The file is missing, damaged, of another kind, holds Python objects, or more than fits into memory.
    """
    if path.is_dir():
        raise UserError(f"expected a .npy or .npz file, got the folder {str(path)!r}: name it as folder:{path}")
    check_ends(path)
    try:
        with path.open("rb") as file:
            start = file.read(len(_NPY))
            file.seek(0)
            if start == _NPY:
                return {SINGLE: _read_array(file, path.stat().st_size, str(path), SINGLE)}
            if start.startswith(_ZIP):
                return _read_archive(file, str(path))
    except FileNotFoundError:
        raise UserError(
            f"expected a .npy or .npz file, got {str(path)!r}, which does not exist: "
            "check its name, which counts from the working directory"
        ) from None
    except UserError:
        raise
    except _BROKEN as error:
        raise UserError(
            f"expected a whole .npy or .npz file, got {str(path)!r}, which is truncated or damaged "
            f"({one_line(error)}): write it again"
        ) from error
    raise UserError(f"expected a .npy or .npz file, got {str(path)!r}, whose content is neither: {_way_on(path)}")


def _way_on(path: Path) -> str:
    """Return what makes images of a file that is no array."""
    if path.suffix.lower() in ENDINGS:
        return f"name the folder of your images, folder:{path.parent}"
    return _CONVERT if path.suffix.lower() in (".pt", ".pth") else "write it with numpy.save or savez"


def _read_archive(file: BufferedIOBase, name: str) -> dict[str, np.ndarray]:
    """Read all members; their sizes are added up before the first is read."""
    with zipfile.ZipFile(file) as archive:
        members = [one for one in archive.infolist() if not one.is_dir()]
        check_memory(sum(one.file_size for one in members), name)
        arrays = {}
        for member in members:
            key = member.filename.removesuffix(".npy")
            if not member.filename.endswith(".npy"):
                continue
            with archive.open(member) as content:
                arrays[key] = _read_array(content, member.file_size, name, key)
    if not arrays:
        names = [one.filename for one in members]
        pictures = sum(one.lower().endswith(ENDINGS) for one in names)
        way_on = "write it with numpy.savez"
        if any(one.rsplit("/", 1)[-1] == "data.pkl" for one in names):
            way_on = _CONVERT
        elif pictures:
            way_on = f"unpack its {pictures} image files into a folder, and name that, folder:PATH"
        raise UserError(f"expected arrays in {name!r}, got an archive of other files: {way_on}")
    return arrays


def _read_array(content: BufferedIOBase | IO[bytes], size: int, name: str, key: str) -> np.ndarray:
    """Read one array whose header promises what the file holds.

    Args:
        content: At its first byte.
        size: Bytes in all.
        name: The file's, for messages.
        key: The array's.
    """
    version = npy.read_magic(content)
    reader: Any = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
    shape, by_columns, dtype = reader(content)
    if dtype.hasobject:
        raise UserError(
            f"expected arrays of numbers in {name!r}, got {key!r} of Python objects (pickled), which are never run: "
            "save it as numbers, such as numpy.stack(list(images)).astype(numpy.uint8)"
        )
    count = prod(shape)
    held = size - content.tell()
    if count * dtype.itemsize != held:
        raise ValueError(
            f"{key} of shape {list(shape)} should take {count * dtype.itemsize} bytes, and {held} are there"
        )
    check_memory(held, name)
    array = np.frombuffer(bytearray(content.read(held)), dtype)  # a copy that can be written to
    if array.size != count:
        raise ValueError(f"{key} of shape {list(shape)} is cut off")
    return array.reshape(shape[::-1]).T if by_columns else array.reshape(shape)


def check_memory(size: int, name: str) -> None:
    """Refuse what does not fit into this machine's memory.

    Raises:
        UserError: It does not.
    """
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):  # a system that does not say
        memory = 16 * 2**30
    if size > _MEMORY_SHARE * memory:
        raise UserError(
            f"expected arrays of at most {_MEMORY_SHARE * memory / 2**30:.1f} GiB, half of this machine's memory, got "
            f"{size / 2**30:.1f} GiB in {name!r}: save fewer images, as uint8"
        )
