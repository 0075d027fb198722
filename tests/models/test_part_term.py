"""The second term of eq. (1), against the same sums written out."""

from collections.abc import Callable
from math import log, pi

import pytest
import torch
from pyro import poutine

from models.likelihood import bernoulli, normal
from models.part_term import PartTerm
from rnp_pyro.affine import compose
from rnp_pyro.canvas import crop, paste
from rnp_pyro.parse import Nodes, Parse
from rnp_pyro.tree import Tree

MakeTree = Callable[..., Tree]
MakePair = Callable[..., tuple]
SCALE = 0.4


def squared(one: torch.Tensor, other: torch.Tensor) -> torch.Tensor:
    return (one - other).square().sum((-3, -2, -1))


def constant(numbers: int) -> float:
    """What a normal log density of so many numbers has beside its quadratic."""
    return -numbers * (log(SCALE) + 0.5 * log(2 * pi))


def quadratic(canvas: torch.Tensor) -> object:
    return normal(canvas, SCALE)


def test_pasted_parts_are_compared_with_the_image(make_tree: MakeTree, images: torch.Tensor):
    tree = make_tree(num_steps=(3, 2), composition="sum")
    parse = tree.unfold(torch.randn(4, 6))
    parts = parse.at(1)
    canvas = sum(paste(parts.patch[:, part], parts.pose[:, part], (12, 12)) for part in range(3))
    expected = -squared(canvas, images) / (2 * SCALE**2) + constant(144)
    found = PartTerm(0.25, "pasted")(tree, parse, images, quadratic)
    torch.testing.assert_close(found, 0.25 * expected)


def test_zoomed_in_parts_are_compared_patch_by_patch(make_tree: MakeTree, images: torch.Tensor):
    tree = make_tree(num_steps=(3, 2), composition="sum")
    parse = tree.unfold(torch.randn(4, 6))
    parts, expected = parse.at(1), torch.zeros(4)
    for part in range(3):
        patch = crop(images, parts.pose[:, part], (5, 5))
        expected += -squared(parts.patch[:, part], patch) / (2 * SCALE**2) + constant(25)
    found = PartTerm(0.25, "zoomed")(tree, parse, images, quadratic)
    torch.testing.assert_close(found, 0.25 * expected)


def test_deeper_trees_add_up_the_levels_between_root_and_leaves(make_tree: MakeTree, images: torch.Tensor):
    tree = make_tree(num_steps=(2, 2, 2), composition="sum")
    parse = tree.unfold(torch.randn(4, 6))
    expected = torch.zeros(4)
    for level, nodes in ((2, parse.at(2)), (1, parse.at(1))):
        for node in range(2 ** (3 - level)):
            pose = nodes.pose[:, node]
            if level == 1:
                pose = compose(parse.at(2).pose[:, node // 2], pose)
            expected += -squared(nodes.patch[:, node], crop(images, pose, (5, 5))) / (2 * SCALE**2) + constant(25)
    torch.testing.assert_close(PartTerm(0.5, "zoomed")(tree, parse, images, quadratic), 0.5 * expected)

    coarse = [tree.fold(parse, leaf_level=level) for level in (1, 2)]
    expected = sum(-squared(canvas, images) / (2 * SCALE**2) + constant(144) for canvas in coarse)
    torch.testing.assert_close(PartTerm(0.5, "pasted")(tree, parse, images, quadratic), 0.5 * expected)


def leaves_of(parse: Parse) -> tuple[Parse, torch.Tensor, torch.Tensor]:
    """A copy whose first level's poses and patches are leaves of the graph."""
    nodes = parse.levels[0]
    pose, patch = nodes.pose.detach().requires_grad_(), nodes.patch.detach().requires_grad_()
    return Parse(parse.root, (Nodes(nodes.z, nodes.action, pose, patch), *parse.levels[1:])), pose, patch


def test_the_zoomed_in_target_has_no_gradient_through_its_crop(make_tree: MakeTree, images: torch.Tensor):
    tree = make_tree()
    parse, pose, patch = leaves_of(tree.unfold(torch.randn(4, 6)))
    PartTerm(1.0, "zoomed")(tree, parse, images, bernoulli).sum().backward()
    assert pose.grad is None
    assert patch.grad is not None
    assert patch.grad.abs().max() > 0


def test_the_pasted_target_moves_the_parts(make_tree: MakeTree, images: torch.Tensor):
    tree = make_tree()
    parse, pose, patch = leaves_of(tree.unfold(torch.randn(4, 6)))
    PartTerm(1.0, "pasted")(tree, parse, images, bernoulli).sum().backward()
    assert pose.grad is not None
    assert patch.grad is not None
    assert min(pose.grad.abs().max(), patch.grad.abs().max()) > 0


@pytest.mark.parametrize("target", ["zoomed", "pasted"])
def test_the_targets_orientation_matters(make_tree: MakeTree, glyph: torch.Tensor, target: str):
    tree = make_tree()
    parse = tree.unfold(torch.randn(1, 6))
    flips = [glyph, glyph.flip(-1), glyph.flip(-2), glyph.mT]
    terms = [PartTerm(1.0, target)(tree, parse, image[None], bernoulli).item() for image in flips]  # type: ignore[arg-type]
    assert len({round(term, 6) for term in terms}) == 4


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("target", ["zoomed", "pasted"])
def test_particles_share_the_images(make_tree: MakeTree, images: torch.Tensor, target: str):
    tree, z = make_tree(), torch.randn(3, 4, 6)
    term = PartTerm(0.1, target)  # type: ignore[arg-type]
    found = term(tree, tree.unfold(z), images, bernoulli)
    looped = [term(tree, tree.unfold(z[particle]), images, bernoulli) for particle in range(3)]
    torch.testing.assert_close(found, torch.stack(looped))


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("target", ["zoomed", "pasted"])
def test_a_normal_run_minimises_eq_1(make_pair: MakePair, images: torch.Tensor, target: str):
    """-log p(x | z) less the part term is constant + (squared error + weight x the parts' squared error) / 2 sigma^2.

    With the weight 1/tau this is eq. (1) over 2 sigma^2, its second norm taken patch by patch (zoomed) or over the
    image (pasted).
    """
    num_parts = 2
    model, _ = make_pair(
        likelihood="normal",
        pixel_scale=SCALE,
        part_term_weight=1 / num_parts,
        part_term_target=target,
        tree={"composition": "sum"},
    )
    z = torch.randn(4, 6)
    trace = poutine.trace(poutine.condition(model, {"z.2": z})).get_trace(images)
    trace.compute_log_prob()
    loss = -(trace.nodes["image"]["log_prob"] + trace.nodes["part_term"]["log_prob"])

    parse = model.tree.unfold(z)
    leaves = [paste(parse.at(0).patch[:, i], parse.at(0).pose[:, i], (10, 10)) for i in range(4)]
    poses, patches = parse.at(1).pose, parse.at(1).patch
    image = sum(paste(leaves[2 * i] + leaves[2 * i + 1], poses[:, i], (12, 12)) for i in range(num_parts))
    if target == "zoomed":
        parts = sum(squared(patches[:, i], crop(images, poses[:, i], (5, 5))) for i in range(num_parts))
        numbers = num_parts * 25
    else:
        parts = squared(sum(paste(patches[:, i], poses[:, i], (12, 12)) for i in range(num_parts)), images)
        numbers = 144
    eq_1 = squared(image, images) + parts / num_parts
    expected = eq_1 / (2 * SCALE**2) - constant(144) - constant(numbers) / num_parts
    torch.testing.assert_close(loss, expected)
