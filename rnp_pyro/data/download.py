"""Downloads through torchvision: quiet, never endless, whole or not at all.

torchvision takes seconds to import, so functions import it.
"""

import contextlib
import io
import os
import shutil
import socket
import tempfile
import urllib.error
from collections.abc import Callable, Iterable, Iterator
from http.client import HTTPException
from pathlib import Path

from rnp_pyro.messages import one_line

_TIMEOUT = 5.0
"""Seconds without an answer after which an address is given up; a host may have many addresses."""


class DownloadError(Exception):
    """The message says what was tried and what came of it."""


def download_idx(name: str, raw: Path) -> None:
    """Download the four files of a data set in MNIST's form, unpacked and checked by their MD5 sums.

    Args:
        name: torchvision's class, such as ``MNIST``, which knows the addresses, the files and their sums.
        raw: torchvision's folder ``NAME/raw``; made if missing.

    Raises:
        DownloadError: No address delivered a file, or ``raw`` cannot be written.
    """
    import torchvision.datasets

    dataset = getattr(torchvision.datasets, name)
    with _arrivals(raw) as arrivals:
        for filename, md5 in dataset.resources:
            _fetch(dataset.mirrors, filename, md5, arrivals)


def download_zip(url: str, md5: str, folder: Path, choose: Callable[[Path], Iterable[Path]] | None = None) -> None:
    """Download a ZIP archive, checked by its MD5 sum, and unpack it.

    Args:
        url: Its address.
        md5: Its sum.
        folder: Where to put what is in it; made if missing.
        choose: From the folder of what was unpacked, the files and folders to keep; by default all.

    Raises:
        DownloadError: It did not arrive, or ``folder`` cannot be written.
    """
    address, _, filename = url.rpartition("/")
    with _arrivals(folder) as arrivals:
        unpacked = Path(arrivals, "unpacked")
        _fetch([f"{address}/"], filename, md5, str(unpacked))
        kept = list((choose or Path.iterdir)(unpacked))
        for path in kept:
            shutil.move(path, arrivals)
        shutil.rmtree(unpacked)


@contextlib.contextmanager
def _arrivals(target: Path) -> Iterator[str]:
    """Lend a folder whose content is moved to ``target`` at the end; nothing is made there before.

    Raises:
        DownloadError: ``target`` cannot be written.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="rnp-pyro-") as arrivals:
            with _quiet(), _timeout(_TIMEOUT):
                yield arrivals
            target.mkdir(parents=True, exist_ok=True)
            for arrival in Path(arrivals).iterdir():
                _move(arrival, target / arrival.name)
    except OSError as error:
        raise DownloadError(f"cannot write it: {one_line(error)}") from error


def _fetch(mirrors: list[str], filename: str, md5: str, folder: str) -> None:
    """Download one file from the first mirror that has it."""
    from torchvision.datasets.utils import download_and_extract_archive

    reason = ""
    for mirror in mirrors:
        try:
            download_and_extract_archive(
                f"{mirror}{filename}", folder, filename=filename, md5=md5, remove_finished=True
            )
            return
        # What urllib, http.client and torchvision's check of the sum raise.
        except (OSError, HTTPException, RuntimeError) as error:
            reason = one_line(error)
            if isinstance(error, urllib.error.HTTPError):
                error.close()
    raise DownloadError(f"tried {', '.join(mirrors)}: {reason}")


def _move(arrival: Path, target: Path) -> None:
    """Move a file or folder, perhaps to another disk, so that ``target`` is never seen half-written."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        if arrival.is_dir():
            shutil.copytree(arrival, part)
        else:
            shutil.copyfile(arrival, part)
        part.replace(target)
    finally:
        if part.is_dir():
            shutil.rmtree(part)
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Swallow torchvision's messages and progress bars."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """Set the default timeout of new sockets, and set it back."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
