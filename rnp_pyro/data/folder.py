"""``folder:PATH``: the user's own image files."""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import torch

from rnp_pyro.data.array_pixels import fitted_note
from rnp_pyro.data.data_folder import user_path
from rnp_pyro.data.image_data import Scale, Split
from rnp_pyro.data.layout import Layout, mixed_layout, read_layout
from rnp_pyro.data.listing import Listing, list_folder, one_form
from rnp_pyro.data.load import FEWEST
from rnp_pyro.data.source import Request, Source
from rnp_pyro.data.white import choose_white
from rnp_pyro.errors import UserError
from rnp_pyro.pictures.colour import any_colour, to_grey
from rnp_pyro.pictures.formats import ENDINGS, KINDS
from rnp_pyro.pictures.picture import Picture, read_picture
from rnp_pyro.shapes import ByteImages

_NAMED = 5
"""Unreadable files that a refusal names."""


def load(request: Request) -> Source:
    """Read all image files of a folder and its subfolders (see ``read_picture``), in order of their paths.

    The images are grey unless at least one is really coloured. Splits and classes are those of ``read_layout``. Other
    files, and what file servers leave behind, are passed over and counted.

    Raises:
        UserError: The folder is missing, has too few images, or some that cannot be read (all are looked at before);
            its splits are half made; or sizes differ and ``request.mixed_sizes`` is false.
    """
    root = user_path(request.argument)
    listing = _list_images(root)
    mixed = request.splits == "mixed"
    paths = _paths_before_splits(root, listing.images) if mixed else listing.images
    layout = mixed_layout(paths) if mixed else read_layout(paths)
    pictures = _read_all(root, paths, request, request.white)
    if not request.mixed_sizes:
        _check_sizes(paths, pictures)
    fulls = {one.full for one in pictures}
    white, said = choose_white([one.brightest for one in pictures], [one.full for one in pictures], request.white)
    if white is not None and white != request.white:
        pictures = _read_all(root, paths, request, white)
    images = torch.stack([picture.pixels for picture in pictures])
    if not any_colour(images):
        images = to_grey(images)
    splits = _divide(images, layout, [one_form(path.as_posix()) for path in paths])
    return Source(
        train=splits["train"],
        test=splits.get("test"),
        validation=splits.get("validation"),
        class_names=layout.class_names,
        white=white,
        scale=Scale(0.0, max(fulls), max(fulls) <= 1) if len(fulls) == 1 else None,
        notes=(*listing.notes(), *layout.notes, *_changed(pictures, request.image_size), *said),
        own=True,
    )


def _changed(pictures: Sequence[Picture], image_size: int) -> list[str]:
    """Return what was made of pictures that are not what a square of pixels is, a line for each kind."""
    paged = sum(picture.frames > 1 for picture in pictures)
    notes = [f"of {paged} files with several pictures the first was taken"] if paged else []
    oblong = [picture.size for picture in pictures if picture.size[0] != picture.size[1]]
    if oblong:
        notes.append(fitted_note(len(oblong), len(pictures), *oblong[0], image_size))
    for shade, drawn in (("black", ""), ("white", ", since what is drawn is nearly black")):
        if count := sum(picture.ground == shade for picture in pictures):
            notes.append(f"transparent pixels of {count} of {len(pictures)} images became {shade}{drawn}")
    return notes


def _list_images(root: Path) -> Listing:
    if not root.is_dir():
        what = "is a file" if root.exists() else "does not exist"
        raise UserError(f"expected a folder of images, got {str(root)!r}, which {what}: {_way_on(root)}")
    listing = list_folder(root)
    if len(listing.images) < FEWEST:
        beside = f" and {listing.others()}" if listing.endings else ""
        raise UserError(
            f"expected at least {FEWEST} images ({KINDS}) in {str(root)!r}, got {len(listing.images)}{beside}: add "
            "images or name another folder"
        )
    return listing


def _way_on(path: Path) -> str:
    """Return what to do with a path that is no folder."""
    ending = path.suffix.lower()
    if path.is_file() and ending in (".npy", ".npz"):
        return f"name it as array:{path}"
    if path.is_file() and ending in ENDINGS:
        return f"name the folder that it is in, folder:{path.parent}"
    if path.is_file() and ending in (".zip", ".tar", ".gz", ".tgz", ".rar", ".7z"):
        return "unpack it, and name the folder"
    return "name a folder as folder:PATH"


def _paths_before_splits(root: Path, paths: Sequence[Path]) -> list[Path]:
    """Return the images, and their order, that runs had from before folders were splits: none behind a link."""
    linked = {folder for path in paths for folder in path.parents if (root / folder).is_symlink() and folder.parts}
    return sorted((path for path in paths if not linked & set(path.parents)), key=lambda path: path.parts)


def _read_all(root: Path, paths: Sequence[Path], request: Request, white: float | str) -> list[Picture]:
    """Read all files, and only then refuse those that cannot be read."""
    pictures, errors = [], []
    for path in paths:
        try:
            level = white if isinstance(white, float | int) else None
            pictures.append(read_picture(root / path, request.image_size, level, dark_on_white=True))
        except UserError as error:
            errors.append((path, str(error)))
    if len(errors) == 1:
        raise UserError(errors[0][1])
    if errors:
        named = ", ".join(repr(one_form(path.as_posix())) for path, _ in errors[:_NAMED])
        more = f" and {len(errors) - _NAMED} more" if len(errors) > _NAMED else ""
        raise UserError(
            f"expected images that can be read in {str(root)!r}, got {len(errors)} of {len(paths)} that cannot: "
            f"{named}{more}; replace or remove them. The first: {errors[0][1]}"
        )
    return pictures


def _check_sizes(paths: Sequence[Path], pictures: Sequence[Picture]) -> None:
    """Refuse images of several sizes."""
    sizes = [picture.size for picture in pictures]
    common = Counter(sizes).most_common()
    if len(common) > 1:
        told = ", ".join(
            f"{count} of {columns}x{rows} pixels such as {one_form(paths[sizes.index((columns, rows))].as_posix())!r}"
            for (columns, rows), count in common[:3]
        )
        more = f" and {len(common) - 3} other sizes" if len(common) > 3 else ""
        raise UserError(
            f"expected images of one size, got {told}{more}: have them scaled and centred with --mixed_sizes true, or "
            "make them equal"
        )


def _divide(images: ByteImages, layout: Layout, files: Sequence[str]) -> dict[str, Split]:
    """Return the splits that there are, by name."""
    splits = {}
    for name in ("train", "validation", "test"):
        chosen = [at for at, split in enumerate(layout.splits) if split == name]
        if not chosen:
            continue
        labels = [label for at in chosen if (label := layout.labels[at]) is not None]
        splits[name] = Split(
            images[chosen],
            torch.tensor(labels) if len(labels) == len(chosen) and layout.class_names else None,
            tuple(files[at] for at in chosen),
        )
    return splits
