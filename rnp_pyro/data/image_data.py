"""The one container that the rest of the project sees."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Int64

from rnp_pyro.shapes import Tensor, UInt8

SPLITS = ("train", "validation", "test")


@dataclass(frozen=True)
class Split:
    """Images that belong together, and what is known of each.

    Attributes:
        images: 0 to 255.
        labels: Class of each from 0, or None.
        files: Where each came from, relative to the data set's folder, or None.
        masks: Which pixels each of an image's objects covers, 0 to 255, or None.
        origin: The split of each, where several were joined; else empty.
    """

    images: UInt8[Tensor, "N C H W"]
    labels: Int64[Tensor, "N"] | None = None
    files: tuple[str, ...] | None = None
    masks: UInt8[Tensor, "N objects H W"] | None = None
    origin: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.images)

    def take(self, positions: Int64[Tensor, "taken"]) -> "Split":
        """Return the images at these positions, in this order."""
        chosen = positions.tolist()
        return Split(
            self.images[positions],
            None if self.labels is None else self.labels[positions],
            None if self.files is None else tuple(self.files[at] for at in chosen),
            None if self.masks is None else self.masks[positions],
            tuple(self.origin[at] for at in chosen) if self.origin else (),
        )


@dataclass(frozen=True)
class Scale:
    """How the numbers of a user's own pixels were read.

    Attributes:
        black: The value that was black by their type: 0, or -1.
        full: The value that was white by it: 1, 255 or 65535.
        floats: They are floating-point numbers.
    """

    black: float
    full: float
    floats: bool


@dataclass(frozen=True)
class Appearance:
    """What a data set's pictures look like, which is what a user's own picture is made to look like.

    Attributes:
        digits: Bright digits on black.
        inverted: Dark and bright were exchanged, so that ink is bright.
        white: The value of the files' pixels that counted as white; None: the largest that their type has.
        scale: How the numbers were read; None: not known, or not one for all.
    """

    digits: bool = False
    inverted: bool = False
    white: float | None = None
    scale: Scale | None = None


@dataclass(frozen=True)
class ImageData:
    """A data set in three parts, ready for training.

    Attributes:
        name: What the user asked for, such as ``mnist-sample`` or ``folder:photos``.
        train: Images to learn from, 0 to 255.
        validation: The source's validation images, or images held out from its training images.
        test: The source's test images, all of them.
        train_labels: Class of each from 0, or None where the source has no labels; so are the other two.
        validation_labels: As ``train_labels``.
        test_labels: As ``train_labels``.
        train_files: Where each image came from, relative to the data set's folder, or None; so are the other two.
        validation_files: As ``train_files``.
        test_files: As ``train_files``.
        train_masks: Which pixels each object of an image covers, 0 to 255, or None; so are the other two.
        validation_masks: As ``train_masks``.
        test_masks: As ``train_masks``.
        class_names: Name of each class, or None.
        appearance: What the pictures look like.
        notes: What the user is told before training, a line each.
    """

    name: str
    train: UInt8[Tensor, "train C H W"]
    validation: UInt8[Tensor, "validation C H W"]
    test: UInt8[Tensor, "test C H W"]
    train_labels: Int64[Tensor, "train"] | None = None
    validation_labels: Int64[Tensor, "validation"] | None = None
    test_labels: Int64[Tensor, "test"] | None = None
    train_files: tuple[str, ...] | None = None
    validation_files: tuple[str, ...] | None = None
    test_files: tuple[str, ...] | None = None
    train_masks: UInt8[Tensor, "train objects H W"] | None = None
    validation_masks: UInt8[Tensor, "validation objects H W"] | None = None
    test_masks: UInt8[Tensor, "test objects H W"] | None = None
    class_names: tuple[str, ...] | None = None
    appearance: Appearance = Appearance()
    notes: tuple[str, ...] = ()

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of every image."""
        channels, rows, columns = self.train.shape[-3:]
        return channels, rows, columns

    @property
    def colour(self) -> bool:
        """Whether the images have three channels: red, green, blue."""
        return self.image_shape[0] == 3

    def split(self, name: str) -> Split:
        """Return one split, or ``all``: training, validation and test images in this order, ``origin`` telling which.

        Raises:
            ValueError: There is no such split.
        """
        if name == "all":
            return join_splits([replace(self.split(one), origin=(one,) * len(self.split(one))) for one in SPLITS])
        if name not in SPLITS:
            raise ValueError(f"expected one of {', '.join(SPLITS)}, all, got {name}")
        parts = (getattr(self, f"{name}{what}") for what in ("", "_labels", "_files", "_masks"))
        return Split(*parts)


def split_fields(name: str, split: Split) -> dict[str, Any]:
    """Return the fields of ``ImageData`` that hold a split."""
    return {name: split.images, **{f"{name}_{what}": getattr(split, what) for what in ("labels", "files", "masks")}}


def join_splits(splits: Sequence[Split]) -> Split:
    """Return several splits as one; labels, files and masks only where all have them."""
    labels = [split.labels for split in splits if split.labels is not None]
    files = [split.files for split in splits if split.files is not None]
    masks = [split.masks for split in splits if split.masks is not None]
    return Split(
        torch.cat([split.images for split in splits]),
        torch.cat(labels) if len(labels) == len(splits) else None,
        tuple(name for some in files for name in some) if len(files) == len(splits) else None,
        torch.cat(masks) if len(masks) == len(splits) else None,
        tuple(name for split in splits for name in split.origin),
    )
