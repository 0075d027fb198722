"""Image data sets as tensors, the order of training batches, and binarisation: deterministic, without Pyro.

``load_images`` (load.py) is the way in. A new data set is one file with a function ``load(Request) -> Source`` and one
line in the table of ``rnp_pyro/data_sets.py``.
"""

from rnp_pyro.data.array import images_from_arrays
from rnp_pyro.data.batches import batch_indices
from rnp_pyro.data.binarise import binarise, binarise_fixed, to_unit
from rnp_pyro.data.identity import fingerprint, image_hashes, seen
from rnp_pyro.data.image_data import Appearance, ImageData, Split
from rnp_pyro.data.load import load_images

__all__ = [
    "Appearance",
    "ImageData",
    "Split",
    "batch_indices",
    "binarise",
    "binarise_fixed",
    "fingerprint",
    "image_hashes",
    "images_from_arrays",
    "load_images",
    "seen",
    "to_unit",
]
