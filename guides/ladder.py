"""A guide that walks the model's own tree, top down, and corrects each node by what it sees there.

At each node the program's proposal is the prior, N(loc, scale). The guide crops the image by the node's pose (the
inverse paste), and looks at it and at what the canvas so far leaves unexplained. This bottom-up message, N(m, 1 / r),
is combined with the prior by precision (a ladder, Sonderby et al. 2016):

    q = N((loc / scale^2 + r m) / (1 / scale^2 + r), 1 / (1 / scale^2 + r))

It is the paper's predictive coding (section 4): predictions go down, errors go up. With feedback the canvas so far
holds what each child's own program drew, so that a child's error reaches its parent at the parent's next step.
"""

from typing import Any, Protocol, runtime_checkable

import pyro
import torch
import torch.nn.functional as F
from pyro.distributions import Normal
from pyro.nn import PyroModule
from torch import nn

from guides.nodes import tree_of
from guides.resnet import Decoder, Encoder
from guides.roots import ROOTS, move_old_weights, root_name
from rnp_pyro.canvas import crop
from rnp_pyro.config import GuideConfig
from rnp_pyro.draw import Context, Draw
from rnp_pyro.errors import UserError
from rnp_pyro.networks import ResNetEncoder, keep_variance
from rnp_pyro.precision import own_precision
from rnp_pyro.program import ACTION_SIZE
from rnp_pyro.programs import unique_name
from rnp_pyro.shapes import Canvas, Float, Latent, Tensor
from rnp_pyro.sites import ACTION, STATE, kind_of
from rnp_pyro.tree import Tree

HIDDEN_SIZE = 128

SMALLEST_PRECISION = 1e-3
"""Smallest precision of a message, as a share of the prior's. A weak message keeps its gradient."""


@runtime_checkable
class Messages(Protocol):
    """What the image says about a node, before it is combined with the prior."""

    def __call__(
        self, name: str, images: Canvas, loc: Tensor, scale: Tensor, context: Context
    ) -> tuple[Tensor, Tensor]:
        """Return mean and precision of the message to the site ``name``, shaped like ``loc``, ``[*batch N size]``.

        Args:
            name: ``action.LEVEL.STEP`` or ``z.LEVEL.STEP``.
            images: ``[images C H W]``.
            loc: The prior's mean, what the program proposes.
            scale: The prior's standard deviation.
            context: Where the node is, and what its parent's canvas shows so far.
        """
        ...


@runtime_checkable
class Unfolds(Protocol):
    """A tree, or anything that unfolds as one, for the guide to walk."""

    def unfold(self, z: Latent, draw: Draw) -> Any:
        """Draw all nodes below a root latent, parents first."""
        ...


class LadderGuide(PyroModule):
    """q(z^K | x) prod q(node | ancestors, elder siblings, x), amortized.

    Args:
        encoder: From images to features, for the root.
        root: From features to the posterior of z^K; see ``guides/roots.py``.
        site: Name of the root latent's sample site.
        tree: The model's.
        messages: From a place in the image to the message to the node there.
    """

    def __init__(self, encoder: Encoder, root: nn.Module, site: str, tree: Unfolds, messages: Messages) -> None:
        super().__init__(unique_name("guide"))
        self.encoder = encoder
        self.root = root
        self.site = site
        self.tree = tree
        self.messages = messages
        self._register_load_state_dict_pre_hook(move_old_weights)

    def forward(self, images: Canvas) -> Float[Tensor, "*draws Z"]:
        """Draw the root latent given images ``[images C H W]``, and all nodes below it."""
        root_posterior = self.root(self.encoder(images))

        def correct(name: str, loc: Tensor, scale: Tensor | None, context: Context) -> Tensor:
            if scale is None:
                return loc
            message_loc, precision = self.messages(name, images, loc, scale, context)
            posterior = Normal(*combine(loc, scale, message_loc, precision)).to_event(2)
            return pyro.sample(name, posterior)  # [*batch images] | [N size]

        with pyro.plate("images", images.shape[-4], dim=-1):
            with own_precision(images):  # a dense factor's product with the noise
                z = pyro.sample(self.site, root_posterior)  # [*batch images] | [Z]
            self.tree.unfold(z, correct)
        return z


def combine(loc: Tensor, scale: Tensor, message_loc: Tensor, precision: Tensor) -> tuple[Tensor, Tensor]:
    """Multiply the prior's density with the message's: mean and standard deviation of the product.

    Args:
        loc: The prior's mean.
        scale: The prior's standard deviation.
        message_loc: The message's mean.
        precision: The message's, at least 0.
    """
    total = scale**-2 + precision
    return (loc / scale**2 + precision * message_loc) / total, total.rsqrt()


class CropMessages(nn.Module):
    """Messages from small networks, one for each level and kind of site, that look at a crop of the image.

    They see the crop, what the canvas so far leaves of it unexplained, and the prior's mean. A state's crop is the
    node's own frame, an action's its parent's. Mean and precision are in units of the prior's scale, whatever that is,
    so that the guide starts near the prior. A message's precision starts at a fourteenth of the prior's.

    Args:
        tree: The model's tree.
    """

    def __init__(self, tree: Tree) -> None:
        super().__init__()
        assert tree.node_scales is not None
        channels = tree.image_shape[0]
        # A state is seen on the canvas that its own program draws on, a leaf on its patch, an action on its parent's.
        own = [
            tree.patch_shape[1:],
            *(tree.canvas_size(level) for level in range(1, tree.num_levels)),
        ]
        parents = [tree.canvas_size(level + 1) for level in range(tree.num_levels)]
        self.grids = {STATE: own, ACTION: parents}
        self.networks = nn.ModuleDict()
        for kind in tree.node_scales.log_scales:
            size = ACTION_SIZE if kind == ACTION else tree.latent_size
            for level, (rows, columns) in enumerate(self.grids[kind]):
                self.networks[f"{kind}_{level}"] = _message_network(2 * channels * rows * columns + size, size)

    def forward(self, name: str, images: Canvas, loc: Tensor, scale: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        """See :class:`Messages`."""
        kind = kind_of(name)
        size = self.grids[kind][context.level]
        seen = crop(_for_each_node(images, context.pose), context.pose, size)
        explained = context.canvas if kind == ACTION else crop(context.canvas, context.pose_in_parent, size)
        features = torch.cat([seen.flatten(-3), (seen - explained).flatten(-3), loc], dim=-1)
        raw = self.networks[f"{kind}_{context.level}"](features)
        shift, raw_precision = raw.to(torch.promote_types(raw.dtype, torch.float32)).chunk(2, dim=-1)
        return loc + scale * shift, (F.softplus(raw_precision) + SMALLEST_PRECISION) / scale**2


def _for_each_node(
    images: Float[Tensor, "*#batch C H W"], pose: Float[Tensor, "*batch N 2 3"]
) -> Float[Tensor, "*batch N C H W"]:
    """Repeat images ``[images C H W]`` for each node, and each particle."""
    return images[..., None, :, :, :].expand(*pose.shape[:-2], *images.shape[-3:])


def _message_network(in_size: int, size: int) -> nn.Sequential:
    """Make a network whose messages start weak, at a fourteenth of the prior's precision: softplus(-2.6) = 0.07."""
    last = nn.Linear(HIDDEN_SIZE, 2 * size)
    nn.init.normal_(last.weight, std=0.01)
    nn.init.zeros_(last.bias[:size])
    nn.init.constant_(last.bias[size:], -2.6)
    return nn.Sequential(
        keep_variance(nn.Linear(in_size, HIDDEN_SIZE)),
        nn.ReLU(),
        keep_variance(nn.Linear(HIDDEN_SIZE, HIDDEN_SIZE)),
        nn.ReLU(),
        last,
    )


def build(config: GuideConfig, decoder: Decoder) -> LadderGuide:
    """Build the guide for a tree with random nodes.

    Raises:
        UserError: If the model's nodes are not random, or the root's posterior does not fit the latent.
    """
    tree = tree_of(decoder)
    if tree is None:
        raise UserError(
            "the ladder guide infers latents at nodes: expected --model.name rnp with --model.node_latents state, "
            "action or both, got a model without; use --guide.name resnet"
        )
    encoder = ResNetEncoder(tree.image_shape)
    root = ROOTS[root_name(config)](encoder.out_size, tree.latent_size)
    return LadderGuide(encoder, root, tree.root_site, tree, CropMessages(tree))
