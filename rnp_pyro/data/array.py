"""``array:FILE``: the user's own images in a file of NumPy's, ``.npy`` or ``.npz``."""

from collections.abc import Mapping

import numpy as np
import torch

from rnp_pyro.data.array_file import read_array_file
from rnp_pyro.data.array_keys import Keyed, sort_keys
from rnp_pyro.data.array_labels import number_labels
from rnp_pyro.data.array_pixels import (
    CHANNELS,
    channels_first,
    fit_squares,
    fitted_note,
    images_of,
    on_black,
    to_byte_images,
)
from rnp_pyro.data.data_folder import user_path
from rnp_pyro.data.image_data import ImageData, Split
from rnp_pyro.data.load import FEWEST, VALIDATION_SHARE, check_image_size, check_white, finish
from rnp_pyro.data.source import Invert, Request, Source, White
from rnp_pyro.errors import UserError
from rnp_pyro.pictures.colour import any_colour, to_grey
from rnp_pyro.pictures.levels import FULL_BYTES
from rnp_pyro.shapes import ByteImages


def load(request: Request) -> Source:
    """Read images, and labels where there are some, by their usual keys; splits as the keys tell them.

    Raises:
        UserError: The file or what is in it is not what is expected.
    """
    path = user_path(request.argument)
    return read_arrays(read_array_file(path), str(path), request.image_size, request.white)


def images_from_arrays(
    arrays: Mapping[str, np.ndarray | torch.Tensor],
    *,
    name: str = "array",
    image_size: int | None = None,
    validation_share: float = VALIDATION_SHARE,
    invert: Invert = "auto",
    white: White = "auto",
) -> ImageData:
    """Return images in memory as a data set, as ``--data array:FILE`` would.

    Args:
        arrays: NumPy's or torch's, by keys such as ``images`` and ``labels``, or ``x_train``, ``y_train``, ``x_test``.
        name: What to call the data set.
        image_size: Rows and columns, in pixels; default: the longer side of the images.
        validation_share: As of ``load_images``; so are the other two.
        invert: Whether dark and bright are exchanged.
        white: The pixels' value that counts as white.

    Raises:
        UserError: They are not what is expected.
    """
    plain = {
        key: one.detach().cpu().numpy() if isinstance(one, torch.Tensor) else np.asarray(one)
        for key, one in arrays.items()
    }
    size = image_size or max(channels_first(next(iter(sort_keys(plain, name).images.values())), "images").shape[2:])
    check_image_size(size)
    check_white(white)
    return finish(read_arrays(plain, name, size, white), name, size, validation_share, invert)


def read_arrays(arrays: Mapping[str, np.ndarray], name: str, image_size: int, white: White) -> Source:
    """Return arrays as a source.

    Args:
        arrays: By their keys.
        name: Where they came from, for messages.
        image_size: Rows and columns of the square that oblong images are fitted into, in pixels.
        white: The pixels' value that counts as white, or auto, or full.

    Raises:
        UserError: They are not what is expected.
    """
    keyed = sort_keys(arrays, name)
    given = {split: array for split, array in keyed.images.items() if split == "train" or not array.ndim or len(array)}
    images = {split: channels_first(array, images_of(split, given)) for split, array in given.items()}
    shapes = {split: one.shape[1:] for split, one in images.items()}
    if len(set(shapes.values())) > 1:
        told = ", ".join(f"{split} {list(shape)}" for split, shape in shapes.items())
        raise UserError(f"expected images of one shape in all splits of {name!r}, got {told}: make them equal")
    if "test" not in images and len(images["train"]) < FEWEST:
        alone = given["train"].ndim == 3 and given["train"].shape[0] in CHANNELS
        hint = f", or one image of channels {list(given['train'].shape)}" if alone else ""
        raise UserError(f"expected at least {FEWEST} images in {name!r}, got {len(images['train'])}{hint}: add images")
    labels, class_names, said = number_labels(keyed, {split: len(one) for split, one in images.items()}, name)
    read = to_byte_images(images, white)
    pixels = {split: fit_squares(on_black(one), image_size) for split, one in read.images.items()}
    if pixels["train"].shape[1] == 3 and not any(any_colour(one) for one in pixels.values()):
        pixels = {split: to_grey(one) for split, one in pixels.items()}
    splits = {split: Split(one, labels.get(split)) for split, one in pixels.items()}
    return Source(
        train=splits["train"],
        test=splits.get("test"),
        validation=splits.get("validation"),
        class_names=class_names,
        white=read.white,
        scale=read.scale,
        notes=(*_passed_over(keyed), *said, *read.notes, *_changed(read.images, image_size)),
        own=True,
    )


def _changed(images: Mapping[str, ByteImages], image_size: int) -> list[str]:
    """Return what was made of images that are oblong or transparent, a line for each."""
    total, (channels, rows, columns) = sum(map(len, images.values())), images["train"].shape[1:]
    notes = [fitted_note(total, total, columns, rows, image_size)] if rows != columns else []
    if channels == 4:
        clear = sum(int((one[:, 3] < FULL_BYTES).flatten(1).any(1).sum()) for one in images.values())
        notes += [f"transparent pixels of {clear} of {total} images became black"] if clear else []
    return notes


def _passed_over(keyed: Keyed) -> list[str]:
    """Return which arrays were not taken, a line for each reason."""
    empty = [split for split, array in keyed.images.items() if split != "train" and array.ndim and not len(array)]
    notes = [f"there are no {split} images: some of the training images are held out instead" for split in empty]
    if keyed.unused:
        notes.append(f"took the images from {', '.join(keyed.taken)}; passed over {', '.join(keyed.unused[:8])}")
    return notes
