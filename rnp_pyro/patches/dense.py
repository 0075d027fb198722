"""Two dense layers, |z| -> hidden -> all pixels: the paper's decoder, and the default.

Departure: at the patch's size; the authors' code decodes at the image's and shrinks. As sharp, and far cheaper.
"""

from dataclasses import dataclass
from math import prod
from typing import Any

from rnp_pyro.activations import Paint
from rnp_pyro.config import TreeConfig
from rnp_pyro.heads import Head
from rnp_pyro.program import decode, decoder_heads
from rnp_pyro.shapes import Float, Tensor


@dataclass(frozen=True)
class Dense:
    """A generated network with one hidden layer.

    Args:
        patch_shape: Channels, rows and columns of a patch.
        latent_size: |z|.
        hidden_size: Units of the hidden layer.
        paint: What makes pixels of its output.
    """

    patch_shape: tuple[int, int, int]
    latent_size: int
    hidden_size: int
    paint: Paint
    draws_wholes: bool = True

    @property
    def heads(self) -> tuple[Head, ...]:
        """Both layers."""
        return decoder_heads(self.latent_size, self.hidden_size, prod(self.patch_shape), self.paint.start)

    def __call__(self, generated: tuple[Any, ...], z: Float[Tensor, "*batch T Z"]) -> Float[Tensor, "*batch T C p p"]:
        """See :class:`~rnp_pyro.patch.PatchDecoder`."""
        return self.paint(decode(generated, z)).unflatten(-1, self.patch_shape)


def build(config: TreeConfig, latent_size: int, channels: int) -> Dense:
    """Build the decoder."""
    shape = (channels, config.patch_size, config.patch_size)
    return Dense(shape, latent_size, config.hidden_size, Paint(config.patch_activation, config.compress, config.ink))
