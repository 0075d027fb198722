"""Standard deviations of the latents at a tree's nodes: how far a part may stray from what its program proposes.

Departure: in the paper only z^K is random. With these every node's action, state or both are normal around the
program's proposal, so that a parse can correct locally what the root's latent has no room for.
"""

import torch
from torch import nn

from rnp_pyro.choices import NodeLatents
from rnp_pyro.program import ACTION_SIZE
from rnp_pyro.shapes import Float, Tensor
from rnp_pyro.sites import ACTION, STATE

RANDOM_KINDS: dict[NodeLatents, tuple[str, ...]] = {
    "none": (),
    "state": (STATE,),
    "action": (ACTION,),
    "both": (ACTION, STATE),
}
"""Which of a node's two sites are random."""

INITIAL_SCALES = {STATE: 0.3, ACTION: 0.03}
"""Of a state a third of its own spread at the start: narrower, nodes come into use late and by luck; 0.6 is unstable.

Of an action, about a pixel of the image's 28 in translation.
"""


class NodeScales(nn.Module):
    """A standard deviation for each kind of site, level and dimension, learned.

    Args:
        node_latents: Which sites are random.
        latent_size: |z|.
        num_levels: Level of the root, K; nodes are of levels K-1, ..., 0.
    """

    def __init__(self, node_latents: NodeLatents, latent_size: int, num_levels: int) -> None:
        super().__init__()
        sizes = {STATE: latent_size, ACTION: ACTION_SIZE}
        self.log_scales = nn.ParameterDict(
            {
                kind: torch.full((num_levels, sizes[kind]), INITIAL_SCALES[kind]).log()
                for kind in RANDOM_KINDS[node_latents]
            }
        )

    def forward(self, kind: str, level: int) -> Float[Tensor, " size"] | None:
        """Return the standard deviation of a kind of site at nodes of ``level``; None if it is not random."""
        return self.log_scales[kind][level].exp() if kind in self.log_scales else None
