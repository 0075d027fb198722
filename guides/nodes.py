"""Latents of a tree's nodes in a guide, drawn by walking the tree down from the root's latent."""

from typing import Any

import pyro
from pyro.distributions import Normal

from rnp_pyro.draw import Context
from rnp_pyro.shapes import Latent, Tensor
from rnp_pyro.tree import Tree


def tree_of(decoder: Any) -> Tree | None:
    """Return the tree that a guide has to walk; None if the model's only latent is the root's."""
    return decoder if isinstance(decoder, Tree) and decoder.node_scales is not None else None


def follow_prior(name: str, loc: Tensor, scale: Tensor | None, context: Context) -> Tensor:
    """Draw a node as the model does, given its parent and elder siblings alone."""
    return loc if scale is None else pyro.sample(name, Normal(loc, scale).to_event(2))  # [*batch images] | [N size]


def draw_nodes(tree: Tree | None, z: Latent) -> None:
    """Draw all nodes below a root latent as the prior does, in the model's order, in the plate of images."""
    if tree is not None:
        tree.unfold(z, follow_prior)
