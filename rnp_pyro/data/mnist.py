"""``mnist`` and ``fashion-mnist``: from the user's folder, else downloaded into it."""

import os
from pathlib import Path

from rnp_pyro.data.archive import read_archive
from rnp_pyro.data.idx import FILES, find_idx_files, read_idx_files
from rnp_pyro.data.source import Request, Source
from rnp_pyro.errors import UserError

DATA_VARIABLE = "RNP_DATA"
"""Environment variable that names the folder with the user's data sets."""


def load_mnist(request: Request) -> Source:
    """60,000 and 10,000 handwritten digits, 28 x 28 pixels, ink bright."""
    return _load("MNIST", "mnist.npz", request)


def load_fashion_mnist(request: Request) -> Source:
    """60,000 and 10,000 articles of clothing, 28 x 28 pixels, ink bright."""
    return _load("FashionMNIST", "fashion_mnist.npz", request)


def data_folder(data_dir: str | None) -> Path:
    """The folder of data sets: ``data_dir``, else $RNP_DATA, else ``~/.cache/rnp-pyro``."""
    named = data_dir or os.environ.get(DATA_VARIABLE)
    return Path(named).expanduser() if named else Path.home() / ".cache" / "rnp-pyro"


def _load(folder_name: str, archive_name: str, request: Request) -> Source:
    """Looks for an archive, then for torchvision's files, then downloads those.

    Args:
        folder_name: torchvision's class and its folder, such as ``MNIST``.
        archive_name: The archive's file name.
        request: The user's wishes.

    Raises:
        UserError: A file was found and is damaged, or none was found and none could be downloaded.
    """
    folder = data_folder(request.data_dir)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"expected a folder of data sets, got {str(folder)!r}, which is a file: name its folder")
    archive, raw = folder / archive_name, folder / folder_name / "raw"
    if archive.is_file():
        return read_archive(archive)
    return read_idx_files(find_idx_files(raw) or _download(folder_name, raw, archive, request.name))


def _download(folder_name: str, raw: Path, archive: Path, name: str) -> dict[str, Path]:
    """The four files, downloaded; the error tells where they were looked for first."""
    from rnp_pyro.data.download import DownloadError, download  # torchvision takes two seconds to import

    try:
        download(folder_name, raw)
        reason = "files are missing from what came"
    except DownloadError as error:
        reason = str(error)
    if found := find_idx_files(raw):
        return found
    files = f"{archive.name} or {folder_name}/raw/ with {', '.join(FILES.values())} (or these .gz)"
    raise UserError(
        f"{name}: expected {files} in {str(archive.parent)!r}, got neither, nor could they be downloaded into it "
        f"({reason}): put them there, name their folder by --data_dir or ${DATA_VARIABLE}, or take mnist-sample, which "
        "needs no download"
    )
