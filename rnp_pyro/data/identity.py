"""Which images a data set holds, whatever they are called and in whatever order they come."""

import base64
import hashlib

import numpy as np
import torch
from jaxtyping import Int64

from rnp_pyro.data.image_data import SPLITS, ImageData
from rnp_pyro.shapes import Bool, ByteImages, Tensor


def image_hashes(images: ByteImages) -> Int64[Tensor, "N"]:
    """Return 64 bits for each image, a function of its shape and pixels only.

    Two different images share them with a probability of 2^-64.
    """
    shape = repr(tuple(images.shape[1:])).encode()
    rows = images.cpu().contiguous().numpy()
    digests = b"".join(hashlib.blake2b(row.tobytes(), digest_size=8, key=shape).digest() for row in rows)
    return torch.from_numpy(np.frombuffer(digests, "<i8").astype(np.int64))


def hashes_fingerprint(hashes: Int64[Tensor, "N"]) -> str:
    """Return one text for a collection of images: 32 hexadecimal digits, the same in any order, copies counted."""
    ordered = hashes.sort().values.numpy().astype("<i8")
    return hashlib.blake2b(ordered.tobytes(), digest_size=16).hexdigest()


def pack_hashes(hashes: Int64[Tensor, "N"]) -> str:
    """Return hashes as a text, eleven letters for each image; equal ones once, in their order."""
    return base64.b64encode(hashes.unique().numpy().astype("<i8").tobytes()).decode("ascii")


def unpack_hashes(packed: str) -> Int64[Tensor, "M"]:
    """Return the hashes of a text.

    Raises:
        ValueError: It is none that ``pack_hashes`` wrote.
    """
    return torch.from_numpy(np.frombuffer(base64.b64decode(packed, validate=True), "<i8").astype(np.int64))


def fingerprint(data: ImageData) -> dict[str, str]:
    """Return a text for each split: equal if and only if the split holds the same images.

    Names, labels and order do not count: a data set that was moved, renamed or listed in another order is the same.
    An image that was added, removed or changed, another size, inversion or white is a change.
    """
    return {split: hashes_fingerprint(image_hashes(getattr(data, split))) for split in SPLITS}


def seen(images: ByteImages, hashes: Int64[Tensor, "M"]) -> Bool[Tensor, "N"]:
    """Return which images are among those with these hashes, such as a run's training images."""
    return torch.isin(image_hashes(images), hashes)
