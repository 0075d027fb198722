"""Downloads through torchvision: quiet, never endless, whole or not at all."""

import contextlib
import io
import os
import shutil
import socket
import tempfile
import urllib.error
from collections.abc import Iterator
from http.client import HTTPException
from pathlib import Path

import torchvision.datasets
from torchvision.datasets.utils import download_and_extract_archive

from rnp_pyro.messages import one_line

_TIMEOUT = 5.0
"""Seconds without an answer after which an address is given up; a host may have many addresses."""


class DownloadError(Exception):
    """The message says what was tried and what came of it."""


def download(name: str, raw: Path) -> None:
    """Downloads a data set's files, unpacked and checked by their MD5 sums, into the folder ``raw``.

    Nothing is made there until every file has arrived, and then each appears whole.

    Args:
        name: torchvision's class, such as ``MNIST``, which knows the addresses, the files and their sums.
        raw: torchvision's folder ``NAME/raw``; made if missing.

    Raises:
        DownloadError: No address delivered a file, or ``raw`` cannot be written.
    """
    dataset = getattr(torchvision.datasets, name)
    try:
        with tempfile.TemporaryDirectory(prefix="rnp-pyro-") as arrivals:
            with _quiet(), _timeout(_TIMEOUT):
                for filename, md5 in dataset.resources:
                    _fetch(dataset.mirrors, filename, md5, arrivals)
            raw.mkdir(parents=True, exist_ok=True)
            for arrival in Path(arrivals).iterdir():
                _move(arrival, raw / arrival.name)
    except OSError as error:
        raise DownloadError(f"cannot write it: {one_line(error)}") from error


def _fetch(mirrors: list[str], filename: str, md5: str, folder: str) -> None:
    """Downloads one file from the first mirror that has it."""
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


def _move(file: Path, target: Path) -> None:
    """Moves a file, perhaps to another disk, so that ``target`` is never seen half-written."""
    part = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        shutil.copyfile(file, part)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Swallows torchvision's messages and progress bars."""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        yield


@contextlib.contextmanager
def _timeout(seconds: float) -> Iterator[None]:
    """Sets the default timeout of new sockets, and sets it back."""
    before = socket.getdefaulttimeout()
    socket.setdefaulttimeout(seconds)
    try:
        yield
    finally:
        socket.setdefaulttimeout(before)
