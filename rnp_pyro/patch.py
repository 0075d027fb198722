"""What a patch decoder is: it turns a child's latent into the child's own small image (``dec_state``, line 8).

Its parameters are generated with the rest of the parent's program. It runs after the recurrence, of which it is no
part. A new one is a file in ``rnp_pyro/patches`` and a line in its table.
"""

from typing import Any, Protocol, runtime_checkable

from rnp_pyro.heads import Head
from rnp_pyro.shapes import Float, Tensor


@runtime_checkable
class PatchDecoder(Protocol):
    """From latents and generated tensors to patches.

    What it learns is generated: it has no parameters of its own. An ``nn.Module`` may have buffers, which are saved
    with the run's weights.
    """

    @property
    def patch_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of a patch."""
        ...

    @property
    def heads(self) -> tuple[Head, ...]:
        """What the hypernetwork has to generate for it: fan-in, shapes, and where biases start, layer by layer."""
        ...

    @property
    def draws_wholes(self) -> bool:
        """Whether its patch can look like a whole part, which the second term of eq. (1) asks of parts' patches."""
        ...

    def __call__(
        self, generated: tuple[Any, ...], z: Float[Tensor, "*batch T Z"]
    ) -> Float[Tensor, "*batch T C rows columns"]:
        """Decode the latents of T children of each program.

        Args:
            generated: The program's tensors in the order of ``heads``; those of shape ``(in, out)`` are a
                :class:`~rnp_pyro.heads.Weight`.
            z: The children's latents.

        Returns:
            Their patches, ink bright, usually in [0, 1].
        """
        ...
