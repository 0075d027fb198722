"""Dimension letters and tensor aliases, defined once.

Every core function accepts any leading ``*batch``: Pyro adds dimensions on the left. Under pytest the annotations
are checked by jaxtyping and beartype; at run time they cost nothing.

| letter | dimension |
|---|---|
| ``Z`` | size of a program's latent vector, |z| in the paper |
| ``N`` | nodes of one level of a tree, children of one parent adjacent |
| ``T`` | steps of a program |
| ``C H W`` | channels, rows and columns of an image, a canvas or a part |
| ``P`` | generated parameters of one network |
"""

from jaxtyping import Bool, Float, UInt8
from torch import Tensor

Latent = Float[Tensor, "*batch Z"]
"""A program."""

Action = Float[Tensor, "*batch 6"]
"""Six unbounded numbers from the policy: scale x, scale y, rotation, shear, translation x, translation y."""

Pose = Float[Tensor, "*batch 2 3"]
"""An affine map from a part's coordinates to its parent's, both in [-1, 1] with x to the right and y down."""

Canvas = Float[Tensor, "*batch C H W"]
"""An image, assembled or observed; ink is bright, usually in [0, 1]."""

ByteImages = UInt8[Tensor, "N C H W"]
"""A data set's images, 0 to 255."""

__all__ = ["Action", "Bool", "ByteImages", "Canvas", "Float", "Latent", "Pose", "Tensor", "UInt8"]
