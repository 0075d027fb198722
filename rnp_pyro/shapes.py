"""Dimension letters and tensor aliases, defined once.

Every core function accepts any leading ``*batch``: Pyro adds dimensions on the left. Under pytest the annotations
are checked by jaxtyping and beartype; at run time they cost nothing.

| letter | dimension |
|---|---|
| ``Z`` | size of a program's latent vector, z between bars in the paper |
| ``N`` | nodes of one level of a tree, children of one parent adjacent |
| ``T`` | steps of a program |
| ``C H W`` | channels, rows and columns of an image, a canvas or a part |
| ``P Q`` | generated parameters of one state network and of one policy network |
| ``U`` | units of a hypernetwork's last hidden layer, which its heads read |
| ``D`` | numbers in a decoded patch, channels x rows x columns |
| ``p`` | rows and columns of a patch |
| ``M`` | programs side by side, batch and nodes flattened; also children, where N are their parents |
| ``B`` | images, where no other dimension may stand to the left (``reference.py``) |
| ``n S h w`` | in figures: images shown, steps of a part's program, rows and columns of a part |

A level is an integer, 0 for leaves to K for the root. Docstrings write ``|z|`` for the size Z of a latent, as the paper
does.
"""

from math import prod

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


def flatten_batch(tensor: Tensor, event_dims: int) -> Tensor:
    """Join all dimensions left of the last ``event_dims`` into one; none at all become one of size 1."""
    return tensor.reshape(prod(tensor.shape[:-event_dims]), *tensor.shape[-event_dims:])


__all__ = ["Action", "Bool", "ByteImages", "Canvas", "Float", "Latent", "Pose", "Tensor", "UInt8", "flatten_batch"]
