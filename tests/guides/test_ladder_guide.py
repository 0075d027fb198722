"""The ladder: exact on a linear-Gaussian tree once it is told the exact messages."""

from collections.abc import Callable

import pytest
import torch
from linear_tree import (
    BIAS,
    IMAGE_SHAPE,
    LEAF_SCALE,
    PART_SCALE,
    PIXEL_SCALE,
    WEIGHT,
    LinearTreeModel,
    draw_images,
    exact_evidence,
    messages_to_parts,
)
from torch import nn

from guides import GUIDES
from guides.ladder import LadderGuide, combine
from guides.roots import SMALLEST_SCALE, DiagonalRoot
from inference.importance import Sampling, log_weights
from rnp_pyro.config import GuideConfig
from rnp_pyro.draw import Context
from rnp_pyro.errors import UserError

MakePair = Callable[..., tuple]


class ExactMessages(nn.Module):
    """What belief propagation sends to each node."""

    def forward(
        self, name: str, images: torch.Tensor, loc: torch.Tensor, scale: torch.Tensor, context: Context
    ) -> tuple[torch.Tensor, torch.Tensor]:
        (step,) = context.steps
        if context.level == 0:
            precision = torch.full_like(loc, PIXEL_SCALE**-2)
            return images[..., 0, :, step, None].expand_as(loc), precision
        information, total = (part[step] for part in messages_to_parts(images))
        precision = total[0, 0]
        at_root = information[..., 0, None, None] - total[0, 1] * context.parent_z
        return at_root / precision, precision.expand_as(loc)


class ExactRoot(nn.Module):
    """Gives the raw mean and standard deviation of the root's exact posterior."""

    out_size = 2

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        information, total = (part[0] for part in messages_to_parts(images))
        # part_0 ~ N(root, PART_SCALE^2) integrated out.
        gain = 1 / (total[0, 0] + PART_SCALE**-2)
        cross = PART_SCALE**-2 - total[0, 1]
        precision = 1 + PART_SCALE**-2 + total[1, 1] - gain * cross**2
        loc = (information[:, 1] + gain * information[:, 0] * cross) / precision
        raw = torch.log(torch.expm1(precision.rsqrt() - SMALLEST_SCALE))
        return torch.stack([loc, raw.expand_as(loc)], -1)


def exact_guide(model: LinearTreeModel) -> LadderGuide:
    guide = LadderGuide(ExactRoot(), DiagonalRoot(2, 1), "z.2", model.tree, ExactMessages())
    with torch.no_grad():
        guide.root.loc_and_scale.weight.copy_(torch.eye(2))
        guide.root.loc_and_scale.bias.zero_()
    return guide


def test_with_exact_messages_every_particle_weighs_the_evidence():
    model, images = LinearTreeModel(), draw_images(5)
    found = log_weights(model, exact_guide(model), images, Sampling(20))
    assert torch.allclose(found, exact_evidence(images).expand(20, -1), rtol=0, atol=1e-9)


@pytest.mark.thorough
def test_a_message_left_out_loosens_the_bound():
    model, images = LinearTreeModel(), draw_images(5)
    guide = exact_guide(model)

    class LeavesOnly(ExactMessages):
        def forward(self, name, images, loc, scale, context):
            message_loc, precision = super().forward(name, images, loc, scale, context)
            return message_loc, precision if context.level == 0 else torch.zeros_like(precision)

    guide.messages = LeavesOnly()
    found = log_weights(model, guide, images, Sampling(200)).mean(0)
    assert (found < exact_evidence(images) - 0.05).all()


def test_precisions_add_up():
    loc, scale = combine(torch.tensor(1.0), torch.tensor(0.5), torch.tensor(3.0), torch.tensor(12.0))
    assert loc == pytest.approx((4 * 1 + 12 * 3) / 16)
    assert scale == pytest.approx(0.25)
    silent = combine(torch.tensor(1.0), torch.tensor(0.5), torch.tensor(3.0), torch.tensor(0.0))
    assert silent == (pytest.approx(1.0), pytest.approx(0.5))


@pytest.mark.thorough
def test_what_is_seen_at_a_node_reaches_its_posterior(make_pair: MakePair, images: torch.Tensor, randomise):
    """A pixel within a part's frame moves the part's message; the prior's mean is the same."""
    model, guide = make_pair(guide="ladder")
    randomise(guide.messages)
    tree, seen = model.decoder, {}

    def note(inputs: torch.Tensor, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        seen.clear()

        def draw(name, loc, scale, context):
            seen[name] = guide.messages(name, pixels, loc, scale, context)[0]
            return loc

        tree.unfold(inputs, draw)
        return dict(seen)

    z = torch.zeros(len(images), 6)
    first, second = note(z, images), note(z, 1 - images)
    assert all((first[name] != second[name]).any() for name in first)


def test_a_model_without_nodes_is_refused(make_pair: MakePair):
    for name in ("rnp", "vae"):
        with pytest.raises(UserError, match=r"use --guide.name resnet"):
            GUIDES["ladder"](GuideConfig("ladder"), make_pair(name)[0].decoder)


def test_the_images_of_the_linear_tree_have_its_moments():
    images = draw_images(20_000)
    assert images.shape[1:] == IMAGE_SHAPE
    assert images.mean((0, 2)) == pytest.approx(torch.tensor([BIAS]), abs=0.05)
    variance = WEIGHT**2 * 1.25 + LEAF_SCALE**2 + PIXEL_SCALE**2  # of the first part's leaves
    assert images[:, 0, 0].var(0) == pytest.approx(torch.tensor(variance).expand(2), rel=0.05)
