"""The one container that the rest of the project sees."""

from dataclasses import dataclass

from jaxtyping import Int64

from rnp_pyro.shapes import Tensor, UInt8


@dataclass(frozen=True)
class ImageData:
    """A data set in three parts, ready for training.

    Attributes:
        name: What the user asked for, such as ``mnist-sample`` or ``folder:photos``.
        train: Images to learn from, 0 to 255.
        validation: Images held out from the source's training images.
        test: The source's test images, all of them.
        train_labels: Class of each image from 0, or None where the source has no labels; so are the other two.
        validation_labels: As ``train_labels``.
        test_labels: As ``train_labels``.
    """

    name: str
    train: UInt8[Tensor, "train C H W"]
    validation: UInt8[Tensor, "validation C H W"]
    test: UInt8[Tensor, "test C H W"]
    train_labels: Int64[Tensor, "train"] | None = None
    validation_labels: Int64[Tensor, "validation"] | None = None
    test_labels: Int64[Tensor, "test"] | None = None

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of every image."""
        channels, rows, columns = self.train.shape[-3:]
        return channels, rows, columns

    @property
    def colour(self) -> bool:
        """Whether the images have three channels: red, green, blue."""
        return self.image_shape[0] == 3
