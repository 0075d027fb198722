"""What a loader is asked for, and what it returns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from rnp_pyro.choices import Splits
from rnp_pyro.data.image_data import Scale, Split

Invert = bool | Literal["auto"]
White = float | Literal["auto", "full"]


@dataclass(frozen=True)
class Request:
    """The user's wishes, as every loader receives them.

    Attributes:
        name: Name of the data set without its argument, such as ``mnist`` or ``folder``.
        argument: What follows the colon of ``folder:PATH``; empty without a colon.
        data_dir: Folder with the user's copies of the public data sets, or None.
        image_size: Rows and columns of the images, in pixels.
        mixed_sizes: Whether a folder's images may differ in size.
        white: The value of a file's pixels that counts as white, or auto, or full for the largest of their type.
        splits: Whether a folder's train, test and val are its splits, or all its images are mixed.
    """

    name: str
    argument: str
    data_dir: str | None
    image_size: int
    mixed_sizes: bool
    white: White = "auto"
    splits: Splits = "named"


@dataclass(frozen=True)
class Source:
    """A data set as its loader found it, 0 to 255, square, of any size.

    Attributes:
        train: Training images; validation images are held out from them if there are none.
        test: Test images, or None: then a tenth of the training images is held out.
        validation: Validation images, where the data set has a split of its own.
        class_names: Name of each class that a label counts, or None.
        white: The value of the files' pixels that counted as white, where it was not the type's largest.
        scale: How the numbers of the user's own pixels were read, where it is one for all.
        notes: What the user is told before training, a line each.
        own: Whether these are the user's own images, of which nothing is known.
    """

    train: Split
    test: Split | None = None
    validation: Split | None = None
    class_names: tuple[str, ...] | None = None
    white: float | None = None
    scale: Scale | None = None
    notes: tuple[str, ...] = ()
    own: bool = False


Loader = Callable[[Request], Source]
