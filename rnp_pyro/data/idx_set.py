"""Data sets in MNIST's form: from an archive, from the official files, else downloaded."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from rnp_pyro.data.archive import read_archive, to_source
from rnp_pyro.data.data_folder import DATA_VARIABLE, data_folder, find_file, find_folder, plain_name
from rnp_pyro.data.download import DownloadError, download_idx
from rnp_pyro.data.idx import FILES, find_idx_files, read_idx_arrays
from rnp_pyro.data.source import Request, Source
from rnp_pyro.errors import UserError


def _unchanged(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    return arrays


def _download(idx_set: "IdxSet", raw: Path) -> None:
    download_idx(idx_set.folder, raw)


@dataclass(frozen=True)
class IdxSet:
    """A data set of four files.

    Attributes:
        name: The data set's own.
        folder: torchvision's class and its folder, such as ``MNIST``; files lie in ``raw`` below it.
        archive: The archive's file name.
        origin: Where the official files come from.
        files: The four names, without ``.gz``, by the archive's keys.
        mend: From what the files hold to what the archive holds.
        download: Downloads the files into ``raw``; raises ``DownloadError``.
    """

    name: str
    folder: str
    archive: str
    origin: str
    files: Mapping[str, str] = field(default_factory=lambda: FILES)
    mend: Callable[[dict[str, np.ndarray]], dict[str, np.ndarray]] = _unchanged
    download: Callable[["IdxSet", Path], None] = _download


def load_idx_set(idx_set: IdxSet, request: Request) -> Source:
    """Look for an archive, then for the official files, then download those.

    Raises:
        UserError: A file was found and is damaged, or none was found and none could be downloaded.
    """
    folder = data_folder(request.data_dir)
    if archive := find_file(folder, idx_set.archive):
        return read_archive(archive)
    found = find_idx_set(idx_set, folder) or _fetch(idx_set, folder)
    return to_source(idx_set.mend(read_idx_arrays(found)), next(iter(found.values())).parent)


def prepare_idx_set(idx_set: IdxSet, source: Path) -> tuple[str, dict[str, np.ndarray]]:
    """Return the name and the arrays of the archive that is made from official files.

    Args:
        idx_set: Which data set.
        source: The folder that holds the files, or a folder one above or below in torchvision's layout.

    Raises:
        UserError: A file is missing or damaged.
    """
    found = find_idx_files(source, idx_set.files) or find_idx_set(idx_set, source)
    if found is None:
        raise UserError(
            f"{idx_set.name}: expected the files {', '.join(idx_set.files.values())} (or these .gz) in "
            f"{str(source)!r}, got {_present(idx_set, source)}: get the missing ones from {idx_set.origin}"
        )
    arrays = idx_set.mend(read_idx_arrays(found))
    to_source(arrays, source)  # checks them
    return idx_set.archive, arrays


def find_idx_set(idx_set: IdxSet, folder: Path) -> dict[str, Path] | None:
    """Find the official files at or near a folder of data sets, in a folder of the data set's name.

    Several data sets call their files alike: without the name one would be taken for the other.
    """

    def fits(path: Path) -> bool:
        named = any(
            plain_name(part) in (plain_name(idx_set.folder), plain_name(idx_set.name))
            for part in path.absolute().parts[-2:]
        )
        return named and find_idx_files(path, idx_set.files) is not None

    names = (idx_set.folder, idx_set.name)
    below = [f"{name}{raw}" for name in names for raw in ("/raw", "")]
    found = find_folder(folder, fits, *below, "raw")
    return None if found is None else find_idx_files(found, idx_set.files)


def _present(idx_set: IdxSet, folder: Path) -> str:
    names = [name for name in idx_set.files.values() if (folder / name).is_file() or (folder / f"{name}.gz").is_file()]
    return f"only {', '.join(names)}" if names else "none of them"


def _fetch(idx_set: IdxSet, folder: Path) -> dict[str, Path]:
    """Download the four files; the error tells where they were looked for first."""
    raw = folder / idx_set.folder / "raw"
    try:
        idx_set.download(idx_set, raw)
        reason = "files are missing from what came"
    except DownloadError as error:
        reason = str(error)
    if found := find_idx_files(raw, idx_set.files):
        return found
    files = f"{idx_set.archive} or {idx_set.folder}/raw/ with {', '.join(idx_set.files.values())} (or these .gz)"
    raise UserError(
        f"{idx_set.name}: expected {files} in {str(folder)!r}, got neither, nor could they be downloaded into it "
        f"({reason}): get the files from {idx_set.origin} and put them there, name their folder by --data_dir or "
        f"${DATA_VARIABLE}, or take --data mnist-sample, which needs no download"
    )
