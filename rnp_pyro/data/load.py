"""The way in: a data set by name."""

from rnp_pyro.data.folder import load_folder
from rnp_pyro.data.image_data import ImageData
from rnp_pyro.data.mnist import load_fashion_mnist, load_mnist
from rnp_pyro.data.resize import resize_images
from rnp_pyro.data.sample import load_sample
from rnp_pyro.data.source import Loader, Request
from rnp_pyro.data.split import held_out_count, hold_out
from rnp_pyro.errors import UserError

LOADERS: dict[str, Loader] = {
    "mnist-sample": load_sample,
    "mnist": load_mnist,
    "fashion-mnist": load_fashion_mnist,
    "folder": load_folder,
}
"""Name -> loader. A new data set is one file and one line."""

_TAKES_ARGUMENT = {"folder"}
_SMALLEST = 4


def load_images(
    name: str,
    *,
    data_dir: str | None = None,
    image_size: int = 28,
    validation_share: float = 0.05,
    mixed_sizes: bool = False,
) -> ImageData:
    """Loads a data set and holds out validation images: the same ones in every run, stratified by label.

    Args:
        name: ``mnist-sample``, ``mnist``, ``fashion-mnist`` or ``folder:PATH``.
        data_dir: Folder of the public data sets; default $RNP_DATA, else ``~/.cache/rnp-pyro``.
        image_size: Rows and columns, in pixels; images of another size are resized with antialiasing.
        validation_share: Share of the training images to hold out, above 0 and under 1; at least one image.
        mixed_sizes: Whether the images of a folder may differ in size.

    Raises:
        UserError: Anything the user can mend, in one line.
    """
    request = _request(name, data_dir, image_size, mixed_sizes)
    source = LOADERS[request.name](request)
    count = held_out_count(validation_share, len(source.train))
    kept, held_out = hold_out(source.train_labels, len(source.train), count)
    train = resize_images(source.train, image_size)
    labels = source.train_labels
    return ImageData(
        name=name,
        train=train[kept],
        validation=train[held_out],
        test=resize_images(source.test, image_size),
        train_labels=None if labels is None else labels[kept],
        validation_labels=None if labels is None else labels[held_out],
        test_labels=source.test_labels,
    )


def _request(name: str, data_dir: str | None, image_size: int, mixed_sizes: bool) -> Request:
    """The checked wishes."""
    kind, _, argument = name.partition(":")
    known = ", ".join(f"{loader}:PATH" if loader in _TAKES_ARGUMENT else loader for loader in LOADERS)
    if kind not in LOADERS or bool(argument) != (kind in _TAKES_ARGUMENT):
        raise UserError(f"expected a data set, one of {known}, got {name!r}")
    if image_size < _SMALLEST:
        raise UserError(f"expected an image size of at least {_SMALLEST} pixels, got {image_size}")
    return Request(kind, argument, data_dir, image_size, mixed_sizes)
