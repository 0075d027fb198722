"""A tree of scalar linear-Gaussian nodes, whose leaves are observed separately: evidence and messages are known.

    root ~ N(0, 1);  part_t ~ N(slope_t part_{t-1} + root, part_scale^2), part_{-1} = 0
    leaf_{t,s} ~ N(weight part_t + bias_s, leaf_scale^2);  x_{t,s} ~ N(leaf_{t,s}, pixel_scale^2)

The parts are a chain, each given its elder sibling, as a program's steps are.
"""

import pyro
import torch
from pyro.distributions import MultivariateNormal, Normal
from pyro.nn import PyroModule
from torch import nn

from rnp_pyro.draw import Context, Draw

NUM_PARTS, NUM_LEAVES = 3, 2
SLOPE, WEIGHT = 0.6, 1.3
BIAS = (0.4, -0.7)
PART_SCALE, LEAF_SCALE, PIXEL_SCALE = 0.5, 0.3, 0.2
IMAGE_SHAPE = (1, NUM_PARTS, NUM_LEAVES)


class LinearTree(nn.Module):
    """Unfolds as a tree does: a ``draw`` gives each part, and then each leaf."""

    latent_size, root_site, image_shape = 1, "z.2", IMAGE_SHAPE

    def unfold(self, z: torch.Tensor, draw: Draw) -> torch.Tensor:
        """From a root ``[*batch 1]`` to the leaves ``[*batch parts leaves]``."""
        root = z[..., None, :]
        parts = []
        part = torch.zeros_like(root)
        for step in range(NUM_PARTS):
            context = place(1, step, root)
            part = draw(f"z.1.{step}", SLOPE * part + root, root.new_tensor([PART_SCALE]), context)
            parts.append(part)
        above = torch.cat(parts, -2)
        leaves = []
        for step in range(NUM_LEAVES):
            context = place(0, step, above)
            loc = WEIGHT * above + BIAS[step]
            leaves.append(draw(f"z.0.{step}", loc, root.new_tensor([LEAF_SCALE]), context))
        return torch.cat(leaves, -1)


def place(level: int, step: int, parents: torch.Tensor) -> Context:
    """Return the context of a node that lies nowhere: neither poses nor canvases matter here."""
    blank = parents.new_zeros(*parents.shape[:-1], 2, 3)
    return Context(level, (step,), blank, blank, parents, lambda: blank)


class LinearTreeModel(PyroModule):
    """p(x, all nodes)."""

    def __init__(self) -> None:
        super().__init__()
        self.tree = LinearTree()

    @property
    def decoder(self) -> LinearTree:
        return self.tree

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        def draw(name: str, loc: torch.Tensor, scale: torch.Tensor | None, context: Context) -> torch.Tensor:
            return pyro.sample(name, Normal(loc, scale).to_event(2))

        with pyro.plate("images", images.shape[-4], dim=-1):
            z = pyro.sample("z.2", Normal(images.new_zeros(1), 1).to_event(1))
            leaves = self.tree.unfold(z, draw)[..., None, :, :]
            pyro.sample("image", Normal(leaves, PIXEL_SCALE).to_event(3), obs=images)
        return leaves


def linear_map() -> tuple[torch.Tensor, torch.Tensor]:
    """Return images as a linear map of standard normal noise: matrix ``[pixels noises]`` and offset ``[pixels]``."""
    noises = 1 + NUM_PARTS + 2 * NUM_PARTS * NUM_LEAVES
    unit = torch.eye(noises)
    part, rows, number = torch.zeros(noises), [], 1 + NUM_PARTS
    for step in range(NUM_PARTS):
        part = SLOPE * part + unit[0] + PART_SCALE * unit[1 + step]
        for _ in range(NUM_LEAVES):
            rows.append(WEIGHT * part + LEAF_SCALE * unit[number] + PIXEL_SCALE * unit[number + 1])
            number += 2
    return torch.stack(rows), torch.tensor(BIAS).repeat(NUM_PARTS)


def exact_evidence(images: torch.Tensor) -> torch.Tensor:
    """``log p(x)`` of each image, nats."""
    matrix, offset = linear_map()
    return MultivariateNormal(offset, matrix @ matrix.mT).log_prob(images.flatten(-3))


def draw_images(number: int) -> torch.Tensor:
    """Images from the model."""
    matrix, offset = linear_map()
    return (torch.randn(number, matrix.shape[1]) @ matrix.mT + offset).unflatten(-1, IMAGE_SHAPE)


def messages_to_parts(images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """What the leaves of each part, and its younger siblings, say of it and of the root: belief propagation.

    Returns:
        Information (precision times mean) and precision of p(x_{t..} | part_t, root) as a quadratic in part_t and root:
        ``[parts, images, 2]`` and ``[parts, 2, 2]``.
    """
    variance = LEAF_SCALE**2 + PIXEL_SCALE**2
    own_precision = NUM_LEAVES * WEIGHT**2 / variance
    seen = images[..., 0, :, :] - images.new_tensor(BIAS)
    own = WEIGHT * seen.sum(-1) / variance
    information, precision = [], []
    later_information = images.new_zeros(len(images), 2)
    later_precision = images.new_zeros(2, 2)
    for step in reversed(range(NUM_PARTS)):
        total = later_precision.clone()
        total[0, 0] += own_precision
        info = later_information + torch.stack([own[:, step], torch.zeros_like(own[:, step])], -1)
        information.append(info)
        precision.append(total)
        # Integrate part_t ~ N(SLOPE part_{t-1} + root, PART_SCALE^2) out of the quadratic in (part_t, root).
        a, b, c = total[0, 0], total[0, 1], total[1, 1]
        gain = 1 / (a + PART_SCALE**-2)
        slope = torch.tensor([SLOPE, 1.0]) / PART_SCALE**2
        cross = slope - b * torch.tensor([0.0, 1.0])
        later_precision = (
            torch.outer(torch.tensor([SLOPE, 1.0]), torch.tensor([SLOPE, 1.0])) / PART_SCALE**2
            + c * torch.outer(torch.tensor([0.0, 1.0]), torch.tensor([0.0, 1.0]))
            - gain * torch.outer(cross, cross)
        )
        later_information = info[:, 1:] * torch.tensor([0.0, 1.0]) + gain * info[:, :1] * cross
    information.reverse()
    precision.reverse()
    return torch.stack(information), torch.stack(precision)
