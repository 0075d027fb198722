"""The way in: a data set by name."""

from dataclasses import replace

from rnp_pyro.choices import Splits
from rnp_pyro.data.array_file import check_memory
from rnp_pyro.data.examine import examine
from rnp_pyro.data.image_data import Appearance, ImageData, Split, split_fields
from rnp_pyro.data.resize import resize_images
from rnp_pyro.data.source import Invert, Loader, Request, Source, White
from rnp_pyro.data.split import held_out_count, hold_out
from rnp_pyro.data_sets import find_data_set
from rnp_pyro.errors import UserError
from rnp_pyro.limits import MOST
from rnp_pyro.pictures.formats import SMALLEST

TEST_SHARE = 0.1
"""Share of the images that is kept for the test where a data set has no test split."""

VALIDATION_SHARE = 0.05
"""Share of the training images that is held out for validation."""

FEWEST = 4
"""Images of a data set without splits: one to test, one to validate, two to train."""


def load_images(
    name: str,
    *,
    data_dir: str | None = None,
    image_size: int = 28,
    validation_share: float = VALIDATION_SHARE,
    mixed_sizes: bool = False,
    invert: Invert = "auto",
    white: White = "auto",
    splits: Splits = "named",
) -> ImageData:
    """Load a data set and hold out validation images: the same ones in every run, stratified by label.

    Args:
        name: One of ``rnp_pyro.data_sets.known_forms()``.
        data_dir: Folder of the public data sets; default $RNP_DATA, else ``~/.cache/rnp-pyro``.
        image_size: Rows and columns, in pixels; images of another size are resized with antialiasing.
        validation_share: Share of the training images to hold out, above 0 and under 1; at least one image. A data set
            with a validation split of its own keeps it.
        mixed_sizes: Whether the images of a folder may differ in size.
        invert: Whether dark and bright are exchanged; auto: for a user's own grey images with dark ink on a bright
            ground.
        white: The value of a user's own pixels that counts as white; full: the largest of their type; auto: the same,
            or the largest that occurs where that is far less (``choose_white``).
        splits: Whether a folder's train, test and val are its splits, or all its images are mixed.

    Raises:
        UserError: Anything the user can mend, in one line.
    """
    data_set, argument = find_data_set(name)
    check_image_size(image_size)
    check_white(white)
    request = Request(data_set.name, argument, data_dir, image_size, mixed_sizes, white, splits)
    load: Loader = data_set.module.load
    return finish(load(request), name, image_size, validation_share, invert, data_set.digits)


def check_image_size(image_size: int) -> None:
    """Refuse images too small for parts, or too large for any machine.

    Raises:
        UserError: They are.
    """
    if image_size < SMALLEST:
        raise UserError(f"expected an image size of at least {SMALLEST} pixels, got {image_size}")
    if image_size > MOST["image_size"]:
        raise UserError(f"expected an image size of at most {MOST['image_size']} pixels, got {image_size}")


def check_white(white: White) -> None:
    """Refuse what can be no pixel's value.

    Raises:
        UserError: It is none.
    """
    if not isinstance(white, str) and not 0 < white < float("inf"):
        raise UserError(f"--white must be a number above 0, full or auto, got {white}")


def finish(
    source: Source, name: str, image_size: int, validation_share: float, invert: Invert, digits: bool = False
) -> ImageData:
    """Hold out what the source did not, resize, invert if need be, and look for what will spoil the training.

    Args:
        source: From a loader.
        name: What the user asked for.
        image_size: Rows and columns, in pixels.
        validation_share: As of ``load_images``.
        invert: As of ``load_images``.
        digits: Whether the pictures are bright digits on black.

    Raises:
        UserError: Nothing would be left to train on.
    """
    train, test, validation = source.train, source.test, source.validation
    if test is None:
        train, test = _divide(train, TEST_SHARE)
    if validation is None:
        train, validation = _divide(train, validation_share)
    splits = {
        split_name: _resized(split, image_size)
        for split_name, split in (("train", train), ("validation", validation), ("test", test))
    }
    found = examine(splits, invert, source.own)
    fields: dict = {}
    for split_name, split in found.splits.items():
        fields |= split_fields(split_name, split)
    return ImageData(
        name=name,
        **fields,
        class_names=source.class_names,
        appearance=Appearance(digits, found.inverted, source.white, source.scale),
        notes=(*source.notes, *found.notes),
    )


def _divide(split: Split, share: float) -> tuple[Split, Split]:
    """Split in two, stratified by label: what is kept, and what is held out."""
    kept, held_out = hold_out(split.labels, len(split), held_out_count(share, len(split)))
    return split.take(kept), split.take(held_out)


def _resized(split: Split, image_size: int) -> Split:
    check_memory(split.images[:, :, 0, 0].numel() * image_size**2, f"images of {image_size} pixels a side")
    masks = None if split.masks is None else resize_images(split.masks, image_size)
    return replace(split, images=resize_images(split.images, image_size), masks=masks)
