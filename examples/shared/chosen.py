"""The images that a user names: of the run's data by their numbers, or files of their own."""

import sys
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from examples.shared.choice import Split
from rnp_pyro.api.record import other_ground
from rnp_pyro.api.report import EVALUATION_SEED
from rnp_pyro.api.rows import places, row_facts, rows_of
from rnp_pyro.api.run import Run
from rnp_pyro.data import binarise_fixed, to_unit
from rnp_pyro.data.image_data import Split as Rows
from rnp_pyro.errors import UserError
from rnp_pyro.pictures.like import read_like
from rnp_pyro.shapes import ByteImages, Canvas, Float, Tensor, UInt8


@dataclass(frozen=True)
class Chosen:
    """Images that a user named.

    Args:
        names: What they are called, each its own name, fit for a file.
        pixels: 0 to 255, as large as the run's images.
        noise: For each, the number that its binary pixels are drawn by; a file's is a function of its pixels, so that
            its place on the command line changes nothing.
        pictures: What each was made from; None for images of the run's data.
        notes: What was done to each picture, for the user.
        facts: What is known of each image of the run's data: its file, its class, its split.
        warnings: What will spoil the result.
    """

    names: tuple[str, ...]
    pixels: ByteImages
    noise: tuple[int, ...]
    pictures: tuple[UInt8[Tensor, "3 rows columns"] | None, ...]
    notes: tuple[str, ...]
    facts: tuple[dict[str, str], ...] = ()
    warnings: tuple[str, ...] = ()

    def tell(self) -> None:
        """Print what was done to each picture, and what will spoil the result."""
        for note in self.notes:
            print(note)
        for warning in self.warnings:
            print(f"warning: {warning}", file=sys.stderr)

    @property
    def grey(self) -> Float[Tensor, "N C H W"]:
        """The images in [0, 1]."""
        return to_unit(self.pixels)

    def observed(self, run: Run) -> Canvas:
        """Return what the run's likelihood observes; binary pixels are those that evaluation draws."""
        if not run.pair.binary:
            return self.grey
        return binarise_fixed(self.grey, EVALUATION_SEED, torch.tensor(self.noise))


def choose(run: Run, index: Sequence[int], files: Sequence[str], split: Split, as_is: bool) -> Chosen:
    """Collect the named images; those of the run first.

    Raises:
        UserError: If a number is none of the split, or a file is no image.
    """
    rows = rows_of(run.data, split) if index else Rows(torch.zeros(0, *run.image_shape, dtype=torch.uint8))
    images, numbers = rows.images, places(rows)
    for number in index:
        if not 0 <= number < len(images):
            raise UserError(
                f"--index must be within 0 to {len(images) - 1}, the {split} images of {run.data.name}, got {number}"
            )
    read = [_read(run, Path(file), as_is) for file in files]
    named = [f"{split}-{number}" for number in index] + [_plain(Path(file)) for file in files]
    pixels = [images[number] for number in index] + [one for one, _, _ in read]
    return Chosen(
        names=_distinct(named),
        pixels=torch.stack(pixels) if pixels else images[:0],
        noise=(*(int(numbers[number]) for number in index), *(zlib.crc32(one.numpy().tobytes()) for one, _, _ in read)),
        pictures=(*(None for _ in index), *(picture for _, picture, _ in read)),
        notes=tuple(f"{file}: {note}" for file, (_, _, note) in zip(files, read, strict=True)),
        facts=(*(_facts(rows, run, number) for number in index), *({} for _ in files)),
        warnings=tuple(_warnings(run, files, [one for one, _, _ in read], as_is)),
    )


def _warnings(run: Run, files: Sequence[str], read: Sequence[ByteImages], as_is: bool) -> Iterator[str]:
    """Name the files whose ground is not that of the run's images, and what mends it."""
    for file, pixels in zip(files, read, strict=True):
        ground = other_ground(run.record, pixels[None])
        if ground is None:
            continue
        own = "dark" if ground == "bright" else "bright"
        told = run.record.on_black or run.record.appearance.digits or run.record.appearance.inverted
        way_on = (
            "leave --as_is out, and ink is told from paper"
            if as_is and ground == "bright" and told
            else "exchange dark and bright in the file, PIL.ImageOps.invert(image)"
        )
        yield f"{file} has a {ground} ground, and the images of the run a {own} one: {way_on}"


def _facts(rows: Rows, run: Run, number: int) -> dict[str, str]:
    known = row_facts(rows.take(torch.tensor([number])), run.data.class_names)
    singular = {"files": "file", "classes": "class", "splits": "split"}
    return {singular[name]: values[0] for name, values in known.items()}


def _read(run: Run, path: Path, as_is: bool) -> tuple[ByteImages, UInt8[Tensor, "3 rows columns"], str]:
    """Read one file: its pixels as the run's images are, itself to be shown, and what was done."""
    if not path.exists():
        raise UserError(
            f"expected an image file, got {path}, which does not exist: check its name, which counts from the working "
            "directory"
        )
    if path.is_dir():
        raise UserError(f"expected an image file, got the folder {path}: name its files")
    channels, rows, _ = run.image_shape
    like = read_like(path, rows, channels, run.record.appearance, as_is, run.record.on_black)
    return like.pixels, like.shown, like.note


def _plain(file: Path) -> str:
    """Return a file's name without its ending, for a folder that stays in its parent: that of ``...png`` is ``..``."""
    name = file.stem.strip(". ")
    return name or "image"


def _distinct(names: Sequence[str]) -> tuple[str, ...]:
    """Number equal names, so that each can name a folder."""
    found: list[str] = []
    for name in names:
        number, candidate = 1, name
        while candidate in found:
            number += 1
            candidate = f"{name}-{number}"
        found.append(candidate)
    return tuple(found)
