"""The generative recursive neural program. START HERE.

    image <- likelihood <- canvas <- fold <- parts and poses <- unfold <- z^K ~ N(0, I)

A latent is a program: two hypernetworks turn it into two small recurrent networks, one that emits parts and one that
emits their poses; each part is again a program, one level down (``rnp_pyro/tree.py``: unfold). The leaves are small
patches; poses paste children into their parent's reference frame, up to the image (fold).
"""

import pyro
from pyro.distributions import Normal
from pyro.nn import PyroModule
from torch import nn

from models.likelihood import Likelihood, build_likelihood
from models.part_term import PartTerm
from models.prior import PRIORS
from rnp_pyro.build import build_tree
from rnp_pyro.config import ModelConfig
from rnp_pyro.draw import Context
from rnp_pyro.errors import UserError
from rnp_pyro.programs import check_images, unique_name
from rnp_pyro.shapes import Float, Tensor
from rnp_pyro.sites import IMAGE, PART_TERM
from rnp_pyro.tree import Tree


class RNP(PyroModule):
    """p(x, z^K) = p(z^K) p(x | fold(unfold(z^K))), section 2.1; p(z^K) = N(0, I) unless another prior is chosen.

    Departure: where the tree has ``node_scales``, its nodes are drawn too, each around its program's proposal.

    Args:
        tree: The recursive neural program.
        prior: Distribution of z^K; see ``models/prior.py``.
        likelihood: Distribution of an image given its canvas.
        part_term: Second term of eq. (1), in training mode only; None leaves it out.
    """

    def __init__(self, tree: Tree, prior: nn.Module, likelihood: Likelihood, part_term: PartTerm | None) -> None:
        super().__init__(unique_name("rnp"))
        self.tree = tree
        self.prior = prior
        self.likelihood = likelihood
        self.part_term = part_term

    @property
    def decoder(self) -> Tree:
        """What a guide is built for."""
        return self.tree

    def forward(self, images: Float[Tensor, "images C H W"]) -> Float[Tensor, "*batch images C H W"]:
        """Draw z, unfold, fold, observe.

        Args:
            images: ``[images C H W]``; within [0, 1], for the Bernoulli likelihood 0 or 1.

        Returns:
            The canvases, ``[*batch images C H W]``.

        Raises:
            UserError: If the images are of another shape, type or range.
        """
        tree = self.tree  # Read once: Pyro registers all its parameters each time.
        check_images(images, tree.image_shape)
        prior = self.prior(images)
        with pyro.plate("images", images.shape[-4], dim=-1):
            z = pyro.sample(tree.root_site, prior)  # [*batch images] | [Z]
            parse = tree.unfold(z, None if tree.node_scales is None else draw_node)
            canvas = tree.fold(parse)
            if self.part_term is not None and self.training:
                pyro.factor(PART_TERM, self.part_term(tree, parse, images, self.likelihood))
            pyro.sample(IMAGE, self.likelihood(canvas), obs=images)  # [*batch images] | [C H W]
        return canvas


def draw_node(name: str, loc: Tensor, scale: Tensor | None, context: Context) -> Tensor:
    """Draw a node's action or state around its program's proposal, all cousins at once; without a scale: not random."""
    return loc if scale is None else pyro.sample(name, Normal(loc, scale).to_event(2))  # [*batch images] | [N size]


def build(config: ModelConfig, image_shape: tuple[int, int, int]) -> RNP:
    """Build the model for images of one shape (channels, rows, columns).

    Raises:
        UserError: If settings do not fit.
    """
    if not config.part_term_weight >= 0:
        raise UserError(f"part_term_weight must be at least 0, got {config.part_term_weight:g}")
    tree = build_tree(config.tree, config.latent_size, image_shape, config.node_latents)
    has_parts = config.part_term_weight > 0 and tree.num_levels > 1 and tree.patch_decoder.draws_wholes
    prior = PRIORS[config.prior](config.latent_size)
    part_term = PartTerm(config.part_term_weight, config.part_term_target) if has_parts else None
    return RNP(tree, prior, build_likelihood(config, image_shape), part_term)
