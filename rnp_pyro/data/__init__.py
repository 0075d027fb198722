"""Image data sets as tensors, the order of training batches, and binarisation: deterministic, without Pyro.

``load_images`` (load.py) is the way in. A new data set is one file with a function ``Request -> Source`` and one
line in the table there.
"""

from rnp_pyro.data.batches import batch_indices
from rnp_pyro.data.binarise import binarise, binarise_fixed, to_unit
from rnp_pyro.data.image_data import ImageData
from rnp_pyro.data.load import load_images

__all__ = ["ImageData", "batch_indices", "binarise", "binarise_fixed", "load_images", "to_unit"]
