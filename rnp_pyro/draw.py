"""How randomness enters the tree: a callable that draws each node's action and latent.

The core is deterministic. A Pyro program passes a ``draw`` down the tree, which gets each node's surroundings as
a :class:`Context`.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from rnp_pyro.shapes import Float, Tensor
from rnp_pyro.sites import node_site


@dataclass(frozen=True)
class Context:
    """What is known where a node is drawn. A guide that walks the tree may look at it.

    Args:
        level: The node's level, 0 for leaves.
        steps: The step that emits it; with feedback the steps on the path from the root to it.
        pose: From the frame of the node (when its action is drawn: of its parent) to the image.
        pose_in_parent: From the same frame to the parent's; when the action is drawn, the identity.
        parent_z: Latents of the parents.
        draw_canvas: Returns :attr:`canvas`, which is drawn only when it is looked at.
    """

    level: int
    steps: tuple[int, ...]
    pose: Float[Tensor, "*batch N 2 3"]
    pose_in_parent: Float[Tensor, "*batch N 2 3"]
    parent_z: Float[Tensor, "*batch N Z"]
    draw_canvas: Callable[[], Tensor]

    @property
    def canvas(self) -> Float[Tensor, "*batch N C H W"]:
        """The parents' canvases so far, in their own frames, before composition's leak.

        This is ``p_{t-1}`` of Algorithm 1 with each child's own patch, or with feedback with its folded canvas.
        """
        return self.draw_canvas()


@runtime_checkable
class Draw(Protocol):
    """How randomness enters the tree: called for each node's action and then for its latent."""

    def __call__(self, name: str, loc: Tensor, scale: Tensor | None, context: Context) -> Tensor:
        """Return the value of the site ``name``, shaped like ``loc``.

        Args:
            name: Of the site: ``action.LEVEL.STEP`` or ``z.LEVEL.STEP``; cousins share it.
            loc: What the program proposes, ``[*batch N 6]`` or ``[*batch N Z]``.
            scale: Standard deviation of its prior, ``[6]`` or ``[Z]``; None means: it is not random.
            context: Where it is drawn.
        """
        ...


def mean(name: str, loc: Tensor, scale: Tensor | None, context: Context) -> Tensor:
    """Draw nothing: every node takes its mean, as in the paper."""
    return loc


def site_name(kind: str, context: Context) -> str:
    """Name a node's site: ``z.LEVEL.STEP``, with feedback ``z.LEVEL.STEP.STEP``: cousins share one, siblings do not."""
    return node_site(kind, context.level, context.steps)
