"""The second term of eq. (1): a part's own patch should look like what its sub-parts draw.

    (1 / tau^2) || sum_t g(x_t^2, a_t^2) - x_t^patch ||^2,  x_t^patch the image transformed by g^-1(a_t^2)

The printed sum mixes frames: g pastes into the image, while x^patch is in the part's frame; t is bound on one side
only. The equation's levels 2 and 1 are levels 1 and 0 here: parts and leaves.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce

import torch

from models.likelihood import Likelihood
from rnp_pyro.affine import compose_children
from rnp_pyro.canvas import crop
from rnp_pyro.config import PartTermTarget
from rnp_pyro.parse import Parse
from rnp_pyro.shapes import Canvas, Float, Tensor
from rnp_pyro.tree import Tree


@dataclass(frozen=True)
class PartTerm:
    """Log likelihood of the parts' own patches, weighted, for a tree of two or more levels.

    Departure: it is the run's likelihood, which for ``normal`` is eq. (1)'s squared error; with more than two levels it
    is summed over all levels between root and leaves.

    Args:
        weight: Its weight; 1 / (number of parts) in eq. (1).
        target: ``zoomed``, each patch against the image zoomed in at its pose, or ``pasted``, the patches pasted
            together against the whole image.
    """

    weight: float
    target: PartTermTarget

    def __call__(
        self, tree: Tree, parse: Parse, images: Float[Tensor, "*#batch C H W"], likelihood: Likelihood
    ) -> Float[Tensor, "*batch"]:
        """Weigh the log likelihood of the patches, in nats per image."""
        compare = TARGETS[self.target]
        terms = [compare(tree, parse, images, likelihood, level) for level in range(1, tree.num_levels)]
        return self.weight * torch.stack(terms).sum(0)


def zoomed(
    tree: Tree, parse: Parse, images: Float[Tensor, "*#batch C H W"], likelihood: Likelihood, level: int
) -> Float[Tensor, "*batch"]:
    """Compare each patch of ``level`` with ``x^patch``, the image zoomed in at the node's pose.

    Departure: both sides in the part's frame, squared part by part. No gradient goes through the crop, as in the
    authors' code.
    """
    nodes = parse.at(level)
    poses = (parse.at(upper).pose for upper in range(tree.num_levels - 1, level - 1, -1))
    pose = reduce(compose_children, poses).detach()
    repeated = images[..., None, :, :, :].expand(*pose.shape[:-2], *images.shape[-3:])
    *_, height, width = nodes.patch.shape
    patches = crop(repeated, pose, (height, width))
    return likelihood(nodes.patch).log_prob(patches).sum(-1)


def pasted(
    tree: Tree, parse: Parse, images: Float[Tensor, "*#batch C H W"], likelihood: Likelihood, level: int
) -> Float[Tensor, "*batch"]:
    """Compare the whole image with the tree cut off at ``level``.

    Departure: both sides in the image's frame, the sum over parts inside the norm.
    """
    return likelihood(tree.fold(parse, leaf_level=level)).log_prob(images)


TARGETS: dict[str, Callable[[Tree, Parse, Canvas, Likelihood, int], Tensor]] = {"zoomed": zoomed, "pasted": pasted}
