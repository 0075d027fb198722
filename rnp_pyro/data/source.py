"""What a loader is asked for, and what it returns."""

from collections.abc import Callable
from dataclasses import dataclass

from jaxtyping import Int64

from rnp_pyro.shapes import Tensor, UInt8


@dataclass(frozen=True)
class Request:
    """The user's wishes, as every loader receives them.

    Attributes:
        name: Name of the data set without its argument, such as ``mnist`` or ``folder``.
        argument: What follows the colon of ``folder:PATH``; empty for the others.
        data_dir: Folder with the user's copies of the public data sets, or None.
        image_size: Rows and columns of the images, in pixels.
        mixed_sizes: Whether a folder's images may differ in size.
    """

    name: str
    argument: str
    data_dir: str | None
    image_size: int
    mixed_sizes: bool


@dataclass(frozen=True)
class Source:
    """A data set as its loader found it, 0 to 255, of any size, before validation images are held out.

    Attributes:
        train: Training images.
        train_labels: Class of each from 0, or None.
        test: Test images.
        test_labels: Class of each from 0, or None.
    """

    train: UInt8[Tensor, "train C H W"]
    train_labels: Int64[Tensor, "train"] | None
    test: UInt8[Tensor, "test C H W"]
    test_labels: Int64[Tensor, "test"] | None


Loader = Callable[[Request], Source]
