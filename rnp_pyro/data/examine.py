"""What would spoil the training, seen in the images before it begins."""

from dataclasses import dataclass, replace

from rnp_pyro.data.identity import image_hashes, seen
from rnp_pyro.data.image_data import Split, join_splits
from rnp_pyro.data.source import Invert
from rnp_pyro.pictures.colour import to_grey
from rnp_pyro.pictures.ground import dark_on_bright
from rnp_pyro.shapes import Bool, ByteImages, Tensor

_EVEN = 8
"""Difference of the brightest and the darkest pixel, of 255, under which an image is even."""

_FAINT = 26
"""Brightest pixel, of 255, under which an image is nearly black: a tenth."""

_MOST, _SOME = 0.75, 0.25
"""Shares of dark drawings on bright ground: from the first on they are inverted, from the second on it is said."""


@dataclass(frozen=True)
class Examined:
    """What came of it.

    Attributes:
        splits: The images, inverted or as they were.
        inverted: Whether dark and bright were exchanged.
        notes: What the user is told, a line each.
    """

    splits: dict[str, Split]
    inverted: bool
    notes: tuple[str, ...]


def examine(splits: dict[str, Split], invert: Invert, own: bool) -> Examined:
    """Invert images if need be, and look for what will spoil the training.

    Args:
        splits: Training, validation and test images by name.
        invert: Whether to exchange dark and bright; auto: for grey images of the user's own with dark ink on a bright
            ground.
        own: Whether the images are the user's own; of others all is known.
    """
    everything = join_splits(list(splits.values()))
    inverted, notes = _look_at_ground(everything.images, invert) if own else (invert is True, ())
    if inverted:
        splits = {name: replace(split, images=255 - split.images) for name, split in splits.items()}
    if own:
        notes = (*notes, *_look_for_ink(everything), *_look_for_copies(splits))
    return Examined(splits, inverted, notes)


def _look_at_ground(images: ByteImages, invert: Invert) -> tuple[bool, tuple[str, ...]]:
    """Decide whether to invert, and say so."""
    coloured = images.shape[1] == 3
    dark = dark_on_bright(to_grey(images) if coloured else images)
    share, count = dark.float().mean().item(), f"{int(dark.sum())} of {len(dark)} images"
    painted = "parts are painted bright on black"
    if invert == "auto" and share >= _MOST and not coloured:
        said = f"{count} show dark ink on a bright ground, and {painted}"
        return True, (f"{said}: dark and bright are exchanged; --invert false leaves them as they are",)
    if invert is True and share < _SOME:
        return True, (
            f"dark and bright are exchanged, though only {count} show dark ink on a bright ground: see --invert auto",
        )
    if invert is not True and share >= _MOST:
        said = f"{count} show dark on a bright ground, and {painted}"
        return False, (
            f"{said}: --invert true exchanges dark and bright{', and each colour with its opposite' * coloured}",
        )
    if invert is not True and share >= _SOME:
        said = f"{count} show dark on a bright ground, the others do not"
        return False, (f"{said}, and {painted}: keep one kind, or keep both apart and say --invert true for the dark",)
    return invert is True, ()


def _look_for_ink(split: Split) -> list[str]:
    """Name images in which nothing can be found."""
    flat = split.images.flatten(1)
    brightest, darkest = flat.amax(1), flat.amin(1)
    even = brightest - darkest < _EVEN
    faint = (brightest < _FAINT) & ~even
    notes = []
    if even.any():
        kinds = {"black": even & (brightest < _EVEN), "white": even & (darkest > 255 - _EVEN)}
        told = ", ".join(f"{int(found.sum())} {kind}" for kind, found in kinds.items() if found.any())
        notes.append(
            f"{int(even.sum())} of {len(flat)} images are even{f' ({told})' if told else ''}{_example(split, even)}: "
            "they have no parts to find; take them out if they are not meant"
        )
    if faint.any() and not faint.all():
        notes.append(
            f"{int(faint.sum())} of {len(flat)} images are nearly black{_example(split, faint)}: they may be on "
            "another scale; keep them in a folder of their own, or say with --white which value is white"
        )
    return notes


def _look_for_copies(splits: dict[str, Split]) -> list[str]:
    """Count held-out images that were also trained on; even images are left out."""
    hashes = image_hashes(splits["train"].images)
    counts, example = [], ""
    for name in ("validation", "test"):
        flat = splits[name].images.flatten(1)
        copies = seen(splits[name].images, hashes) & (flat.amax(1) - flat.amin(1) >= _EVEN)
        if copies.any():
            counts.append(f"{int(copies.sum())} of {len(copies)} {name} images")
            example = example or _example(splits[name], copies)
    if not counts:
        return []
    return [
        f"{' and '.join(counts)} are copies of training images, pixel for pixel{example}: scores on them say nothing "
        "of new images; remove the copies"
    ]


def _example(split: Split, chosen: Bool[Tensor, "N"]) -> str:
    """Name one of the chosen files, where files have names."""
    return "" if split.files is None else f", such as {split.files[int(chosen.nonzero()[0])]!r}"
