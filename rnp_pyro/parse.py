"""A parse: the tree of parts and poses that a latent unfolds into, as a frozen value."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch

from rnp_pyro.shapes import Float, Latent, Tensor


@dataclass(frozen=True)
class Nodes:
    """All nodes of one level; children of one parent are adjacent, in the order of their steps.

    Args:
        z: Latents; on levels above 0 they are programs again.
        action: What the policies emitted, raw.
        pose: Poses in the parents' frames.
        patch: The nodes' own decoded images; on levels above 0 the coarse image that eq. (1)'s second term trains.
    """

    z: Float[Tensor, "*batch N Z"]
    action: Float[Tensor, "*batch N 6"]
    pose: Float[Tensor, "*batch N 2 3"]
    patch: Float[Tensor, "*batch N C p p"]


Unfolded = tuple[Nodes, Tensor | None]
"""The children of programs of one level, and what they drew, where a walk has drawn it: ``[*batch N C H W]``."""

EVENT_DIMS = {"z": 1, "action": 1, "pose": 2, "patch": 3}
"""Dimensions to the right of the node dimension."""


@dataclass(frozen=True)
class Parse:
    """A tree of programs: the root's latent and the nodes of each level below it.

    Args:
        root: Latent of the root program, ``z^K``.
        levels: Nodes of levels K-1, ..., 0: parts first, leaves last.
        drawn: For programs of levels K, ..., 1 the sums of what their children drew (:class:`~rnp_pyro.fold.Drawing`),
            where a walk has drawn them anyway, else None. With feedback that is the children's own drawings, else their
            patches. Whoever changes a node leaves it out.
    """

    root: Latent
    levels: tuple[Nodes, ...]
    drawn: tuple[Tensor | None, ...] = ()  # [*batch N C H W], N by level

    @property
    def num_levels(self) -> int:
        """Level of the root, K."""
        return len(self.levels)

    def at(self, level: int) -> Nodes:
        """Return the nodes of ``level``, 0 for the leaves up to K-1 for the root's parts."""
        return self.levels[self.num_levels - 1 - level]


def merge_steps(steps: Sequence[Nodes], num_parents: int) -> Nodes:
    """Interleave what each step of ``num_parents`` programs added to one level, so that a parent's nodes are adjacent.

    Args:
        steps: For each step the nodes it added: ``num_parents`` times as many as each program's step did.
        num_parents: Programs that took these steps, side by side.
    """
    return Nodes(
        **{
            field.name: interleave([getattr(nodes, field.name) for nodes in steps], num_parents, EVENT_DIMS[field.name])
            for field in fields(Nodes)
        }
    )


def merge_unfolded(steps: Sequence[Unfolded], num_parents: int) -> Unfolded:
    """Interleave what each step of ``num_parents`` programs made of one level; drawn only if all steps have drawn."""
    drawn = [one for _, one in steps if one is not None]
    together = interleave(drawn, num_parents, 3) if len(drawn) == len(steps) else None
    return merge_steps([nodes for nodes, _ in steps], num_parents), together


def interleave(steps: Sequence[Tensor], num_parents: int, event_dims: int) -> Tensor:
    """Interleave one tensor of each step, ``[*batch N *event]``; see :func:`merge_steps`."""
    node_dim = -1 - event_dims
    per_parent = [one.unflatten(node_dim, (num_parents, -1)) for one in steps]
    return torch.stack(per_parent, dim=node_dim - 1).flatten(node_dim - 2, node_dim)
