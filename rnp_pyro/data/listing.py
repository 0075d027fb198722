"""Which files below a folder are images, whatever file servers and operating systems left among them."""

import os
import unicodedata
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from rnp_pyro.errors import UserError
from rnp_pyro.pictures.formats import ENDINGS

_DEBRIS = {
    "@eadir", "@__thumb", "@recycle", "#recycle", "#snapshot", "$recycle.bin", "__macosx", "lost+found",
    "system volume information", "thumbnails",
}  # fmt: skip
"""Folders of file servers and operating systems, in small letters; so are all whose names begin with a dot."""

_UNREAD = {
    ".heic", ".heif", ".avif", ".svg", ".psd", ".eps", ".pdf", ".jp2", ".jxl", ".tga", ".ico", ".cr2", ".nef", ".arw",
    ".dng", ".raw", ".exr", ".hdr", ".dcm", ".nii", ".mp4", ".mov", ".avi", ".npy", ".npz", ".mat", ".h5",
}  # fmt: skip
"""Endings of files that hold images which are not read."""

_KINDS_TOLD = 8


@dataclass
class Listing:
    """What lies below a folder.

    Attributes:
        images: Paths of image files relative to the folder, in the order of ``sort_key``.
        endings: How often each other ending occurs.
        debris: Folders that were passed over, such as ``@eaDir``.
        links: Links to folders that are listed already, or that hold the folder itself.
    """

    images: list[Path] = field(default_factory=list)
    endings: Counter[str] = field(default_factory=Counter)
    debris: list[Path] = field(default_factory=list)
    links: list[Path] = field(default_factory=list)

    def notes(self) -> list[str]:
        """Return what was passed over, a line for each kind of thing."""
        notes = []
        if self.endings:
            notes.append(f"passed over {self.others()}")
        if self.debris:
            notes.append(f"passed over {_count(self.debris, 'folder')} of thumbnails, rubbish or hidden things")
        if self.links:
            notes.append(
                f"passed over {_count(self.links, 'link')} to a folder that is listed already or holds this one"
            )
        return notes

    def others(self) -> str:
        """Return how many other files of each ending there are."""
        counted = sorted(self.endings.items(), key=lambda item: (-item[1], item[0]))
        told = ", ".join(f"{count} {ending}" for ending, count in counted[:_KINDS_TOLD])
        rest = sum(count for _, count in counted[_KINDS_TOLD:])
        total = sum(self.endings.values())
        unread = [ending for ending, _ in counted if ending in _UNREAD]
        advice = f"; {', '.join(unread)} cannot be read here: convert them to PNG to have them" if unread else ""
        kind = "file that is no image" if total == 1 else "files that are no images"
        return f"{total} {kind}: {told}{f', {rest} others' if rest else ''}{advice}"


def one_form(text: str) -> str:
    """Return a name as every machine writes it: accents composed (NFC), bytes that are not text escaped."""
    composed = unicodedata.normalize("NFC", text)
    return composed.encode("utf-8", "backslashreplace").decode("utf-8")


def sort_key(path: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return what orders paths alike on every machine: file systems differ in how they compose accents."""
    return tuple(unicodedata.normalize("NFC", part) for part in path.parts), path.parts


def list_folder(root: Path) -> Listing:
    """List what lies below ``root``; each folder once, whatever links lead to it, real folders before links.

    Raises:
        UserError: A folder cannot be read.
    """
    listing, seen, links = Listing(), set(), []
    above = {_identity(folder) for folder in root.resolve().parents}
    _walk(root, Path(), listing, seen, links)
    while links:
        links.sort(key=sort_key)
        link = links.pop(0)
        identity = _identity(root / link)
        if identity in seen or identity in above:
            listing.links.append(link)
        else:
            _walk(root, link, listing, seen, links)
    listing.images.sort(key=sort_key)
    return listing


def _walk(root: Path, start: Path, listing: Listing, seen: set[tuple[int, int]], links: list[Path]) -> None:
    """Add what lies below ``root / start`` to the listing, and links to folders to ``links``."""
    folders = [start]
    while folders:
        folder = folders.pop()
        identity = _identity(root / folder)
        if identity in seen:
            listing.links.append(folder)
            continue
        seen.add(identity)
        try:
            entries = list(os.scandir(root / folder))
        except OSError as error:
            raise UserError(f"expected a folder that can be read, got {error.filename!r} ({error.strerror})") from error
        for entry in entries:
            path = folder / entry.name
            if _is_folder(entry):
                if entry.name.startswith(".") or entry.name.lower() in _DEBRIS:
                    listing.debris.append(path)
                else:
                    (links if entry.is_symlink() else folders).append(path)
            elif entry.name.startswith("."):
                listing.endings["hidden"] += 1
            elif path.suffix.lower() in ENDINGS:
                listing.images.append(path)
            else:
                listing.endings[_ending(path)] += 1


def _is_folder(entry: os.DirEntry[str]) -> bool:
    """Return whether this is a folder or a link to one; a link to itself is none."""
    try:
        return entry.is_dir()
    except OSError:
        return False


def _identity(folder: Path) -> tuple[int, int]:
    try:
        status = folder.stat()
    except OSError as error:
        raise UserError(f"expected a folder that can be read, got {str(folder)!r} ({error.strerror})") from error
    return status.st_dev, status.st_ino


def _ending(path: Path) -> str:
    ending = one_form(path.suffix.lower())
    return ending if ending.isprintable() and ending else "without an ending"


def _count(paths: Iterable[Path], kind: str) -> str:
    """Return how many there are, and the first of them."""
    names = sorted(one_form(path.as_posix()) for path in paths)
    return f"{len(names)} {kind}{'s' * (len(names) > 1)} ({names[0]!r}{', ...' * (len(names) > 1)})"
