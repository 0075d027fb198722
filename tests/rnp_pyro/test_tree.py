"""The tree: any depth, batches that do not mix, and what a draw is told."""

from collections.abc import Callable
from dataclasses import FrozenInstanceError, dataclass, field
from itertools import pairwise

import pytest
import torch

from rnp_pyro.affine import compose, compose_children, identity_pose, pose_from_action
from rnp_pyro.canvas import compose_canvases, crop, paste
from rnp_pyro.draw import Context
from rnp_pyro.parse import Parse
from rnp_pyro.tree import Tree

MakeTree = Callable[..., Tree]
DEPTHS = [(3,), (2, 3), (2, 1, 3), (2, 1, 2, 2)]
TIGHT = {"rtol": 1e-10, "atol": 1e-10}


@dataclass(frozen=True)
class Call:
    name: str
    loc: torch.Tensor
    scale: torch.Tensor | None
    context: Context


@dataclass
class Recorder:
    """A draw that notes its calls, and adds noise that depends on the site only."""

    noise: float = 0.0
    calls: list[Call] = field(default_factory=list)

    def __call__(self, name: str, loc: torch.Tensor, scale: torch.Tensor | None, context: Context) -> torch.Tensor:
        self.calls.append(Call(name, loc, scale, context))
        return loc + self.noise * torch.linspace(-1, 1, loc.shape[-1]) * len(name)

    @property
    def names(self) -> list[str]:
        return [call.name for call in self.calls]

    def at(self, name: str) -> Call:
        (call,) = (call for call in self.calls if call.name == name)
        return call


def nodes_of(parse: Parse) -> list[torch.Tensor]:
    """All tensors of a parse."""
    return [parse.root, *(tensor for nodes in parse.levels for tensor in vars(nodes).values())]


# -- shapes, depths and batches


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("feedback", [False, True])
@pytest.mark.parametrize("num_steps", DEPTHS)
def test_a_tree_of_any_depth_has_as_many_nodes_as_its_steps_make(
    make_tree: MakeTree, num_steps: tuple[int, ...], feedback: bool
):
    tree = make_tree(num_steps=num_steps, feedback=feedback)
    parse = tree.unfold(torch.randn(4, 6))
    assert parse.num_levels == tree.num_levels == len(num_steps)
    expected = 1
    for depth, steps in enumerate(num_steps):
        expected *= steps
        assert parse.at(len(num_steps) - 1 - depth).z.shape == (4, expected, 6)
        assert parse.levels[depth].patch.shape == (4, expected, 1, 5, 5)
    assert tree.fold(parse).shape == (4, 1, 12, 12)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_tree_knows_its_sizes(make_tree: MakeTree, channels: int):
    tree = make_tree(num_steps=(2, 3), image_shape=(channels, 12, 14))
    assert tree.image_shape == (channels, 12, 14)
    assert (tree.latent_size, tree.root_site) == (6, "z.2")
    assert [tree.num_steps(level) for level in (2, 1)] == [2, 3]
    assert [tree.canvas_size(level) for level in (2, 1)] == [(12, 14), (10, 10)]
    assert tree.fold(tree.unfold(torch.randn(2, 6))).shape == (2, channels, 12, 14)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("feedback", [False, True])
@pytest.mark.parametrize("num_steps", DEPTHS[:3])
def test_batched_equals_looped(make_tree: MakeTree, num_steps: tuple[int, ...], feedback: bool):
    tree, z = make_tree(num_steps=num_steps, feedback=feedback), torch.randn(3, 6)
    batched = tree.unfold(z)
    for index in range(3):
        alone = tree.unfold(z[index : index + 1])
        for one, other in zip(nodes_of(batched), nodes_of(alone), strict=True):
            torch.testing.assert_close(one[index], other[0], **TIGHT)
        torch.testing.assert_close(tree.fold(batched)[index], tree.fold(alone)[0], **TIGHT)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("feedback", [False, True])
@pytest.mark.parametrize("draw", [None, Recorder(noise=0.1)], ids=["means", "a draw"])
def test_leading_dimensions_are_particles(make_tree: MakeTree, feedback: bool, draw: Recorder | None):
    tree, z = make_tree(num_steps=(2, 2), feedback=feedback), torch.randn(3, 4, 6)
    draws = () if draw is None else (draw,)
    canvas = tree.fold(tree.unfold(z, *draws))
    assert canvas.shape == (3, 4, 1, 12, 12)
    for particle in range(3):
        torch.testing.assert_close(canvas[particle], tree.fold(tree.unfold(z[particle], *draws)), **TIGHT)


def test_one_latent_alone_is_a_tree(make_tree: MakeTree):
    tree, z = make_tree(), torch.randn(6)
    torch.testing.assert_close(tree.fold(tree.unfold(z)), tree.fold(tree.unfold(z[None]))[0], **TIGHT)


def test_the_root_of_a_parse_is_its_latent(make_tree: MakeTree):
    z = torch.randn(2, 6)
    assert make_tree().unfold(z).root is z


@pytest.mark.thorough
def test_every_parameter_has_a_gradient(make_tree: MakeTree):
    tree = make_tree(num_steps=(2, 2), feedback=True)
    tree.fold(tree.unfold(torch.randn(3, 6))).square().sum().backward()
    for name, parameter in tree.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.isfinite().all(), name
        assert parameter.grad.abs().max() > 0, name


# -- drawing


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("feedback", [False, True])
@pytest.mark.parametrize("num_steps", DEPTHS)
def test_no_sites_name_is_a_dotted_prefix_of_anothers(make_tree: MakeTree, num_steps: tuple[int, ...], feedback: bool):
    tree, draw = make_tree(num_steps=num_steps, feedback=feedback), Recorder()
    tree.unfold(torch.randn(2, 6), draw)
    names = [tree.root_site, *draw.names]
    assert len(set(names)) == len(names)
    assert not [(one, other) for one in names for other in names if other.startswith(one + ".")]


def test_without_feedback_cousins_share_a_site(make_tree: MakeTree):
    draw = Recorder()
    make_tree(num_steps=(2, 3)).unfold(torch.randn(4, 6), draw)
    expected = [f"{kind}.1.{step}" for step in range(2) for kind in ("action", "z")]
    expected += [f"{kind}.0.{step}" for step in range(3) for kind in ("action", "z")]
    assert draw.names == expected
    assert draw.at("z.1.1").loc.shape == (4, 1, 6)
    assert draw.at("z.0.2").loc.shape == (4, 2, 6)


def test_with_feedback_a_site_names_its_path(make_tree: MakeTree):
    draw = Recorder()
    make_tree(num_steps=(2, 1, 2), feedback=True).unfold(torch.randn(4, 6), draw)
    expected = []
    for part in range(2):
        expected += [f"action.2.{part}", f"z.2.{part}", f"action.1.{part}.0", f"z.1.{part}.0"]
        expected += [f"{kind}.0.{part}.0.{step}" for step in range(2) for kind in ("action", "z")]
    assert draw.names == expected
    assert all(call.loc.shape[:-1] == (4, 1) for call in draw.calls)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("feedback", [False, True])
def test_an_action_is_drawn_before_its_state(make_tree: MakeTree, feedback: bool):
    draw = Recorder()
    make_tree(num_steps=(2, 2), feedback=feedback).unfold(torch.randn(2, 6), draw)
    for action, state in zip(draw.calls[::2], draw.calls[1::2], strict=True):
        assert (action.name, state.name) == (f"action{state.name.removeprefix('z')}", state.name)
        assert (action.context.level, action.context.steps) == (state.context.level, state.context.steps)
        assert (action.loc.shape[-1], state.loc.shape[-1]) == (6, 6)
        assert action.scale is state.scale is None


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("feedback", [False, True])
@pytest.mark.parametrize("num_steps", [(2,), (2, 3), (2, 2, 2)])
def test_what_is_drawn_is_what_the_parse_holds(make_tree: MakeTree, num_steps: tuple[int, ...], feedback: bool):
    """Step t of a program is its t-th child: of the calls of a level, in order, the nodes of that level."""
    tree, values = make_tree(num_steps=num_steps, feedback=feedback), {}

    def draw(name: str, loc: torch.Tensor, scale: torch.Tensor | None, context: Context) -> torch.Tensor:
        values[name] = loc + 0.3 * torch.randn_like(loc)
        return values[name]

    parse = tree.unfold(torch.randn(4, 6), draw)
    for level in range(tree.num_levels):
        nodes = parse.at(level)
        for kind, held in (("z", nodes.z), ("action", nodes.action)):
            drawn = [value for name, value in values.items() if name.startswith(f"{kind}.{level}.")]
            # With feedback depth first, one node a site; without, one step of all programs a site.
            by_node = torch.cat(drawn, dim=-2) if feedback else torch.stack(drawn, dim=-2).flatten(-3, -2)
            assert torch.equal(held, by_node)
        assert torch.equal(nodes.pose, pose_from_action(nodes.action, tree.limits(level + 1)))


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("feedback", [False, True])
def test_a_draw_moves_what_comes_after_it_only(make_tree: MakeTree, feedback: bool):
    tree, z = make_tree(num_steps=(3, 2), feedback=feedback), torch.randn(2, 6)

    def moving(name: str, loc: torch.Tensor, scale: torch.Tensor | None, context: Context) -> torch.Tensor:
        return loc + (name == "z.1.1")

    before, after = tree.unfold(z, Recorder()), tree.unfold(z, moving)
    assert torch.equal(before.at(1).z[:, 0], after.at(1).z[:, 0])
    assert torch.equal(before.at(1).action[:, 1], after.at(1).action[:, 1])
    for name in ("z", "action", "patch"):
        assert (getattr(before.at(1), name)[:, 2] != getattr(after.at(1), name)[:, 2]).any()
    changed = (before.at(0).z != after.at(0).z).any(-1)
    assert changed.tolist() == [[False, False, True, True, True, True]] * 2


@pytest.mark.thorough
def test_a_context_is_frozen(make_tree: MakeTree):
    draw = Recorder()
    make_tree().unfold(torch.randn(2, 6), draw)
    with pytest.raises(FrozenInstanceError):
        draw.calls[0].context.level = 3  # type: ignore[misc]


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("feedback", [False, True])
@pytest.mark.parametrize("num_steps", [(2,), (2, 3), (2, 2, 2)])
def test_a_context_tells_the_place_in_the_tree(make_tree: MakeTree, num_steps: tuple[int, ...], feedback: bool):
    """Level, steps, the parents' latents, and the pose to the image: the parent's for the action, the node's for z."""
    tree, draw, z = make_tree(num_steps=num_steps, feedback=feedback), Recorder(noise=0.2), torch.randn(3, 6)
    parse = tree.unfold(z, draw)
    latents, poses = [z[:, None]], [identity_pose(z[:, None])]
    for nodes in parse.levels:
        latents.append(nodes.z)
        poses.append(compose_children(poses[-1], nodes.pose))
    for call in draw.calls:
        context = call.context
        kind, level, *steps = call.name.split(".")
        assert (str(context.level), [str(step) for step in context.steps]) == (level, steps)
        depth = tree.num_levels - 1 - context.level
        if feedback:
            parent = 0
            for above, step in zip(num_steps[:depth], context.steps[:-1], strict=True):
                parent = parent * above + step
            parents = slice(parent, parent + 1)
        else:
            parents = slice(None)
        step = context.steps[-1]
        assert torch.equal(context.parent_z, latents[depth][:, parents])
        if kind == "action":
            expected = poses[depth][:, parents]
        else:
            expected = poses[depth + 1].unflatten(1, (-1, num_steps[depth]))[:, parents, step]
        torch.testing.assert_close(context.pose, expected, **TIGHT)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("composition", ["sum", "noisy_or"])
@pytest.mark.parametrize("feedback", [False, True])
def test_a_context_shows_the_parents_canvas_grow(make_tree: MakeTree, feedback: bool, composition: str):
    """In the parent's frame: nothing before the first step, then each child pasted, its own patch or its canvas."""
    tree = make_tree(num_steps=(3, 2), feedback=feedback, composition=composition)
    draw = Recorder(noise=0.2)
    parse = tree.unfold(torch.randn(2, 6), draw)
    parts, leaves = parse.at(1), parse.at(0)
    own = paste(leaves.patch, leaves.pose, (10, 10)).unflatten(1, (3, 2))
    part_canvas = compose_canvases(own, composition) if feedback else parts.patch
    pasted = paste(part_canvas, parts.pose, (12, 12))
    for step in range(3):
        seen = draw.at(f"z.1.{step}").context.canvas
        assert seen is draw.at(f"action.1.{step}").context.canvas
        assert seen.shape == (2, 1, 1, 12, 12)
        if step == 0:
            assert (seen == 0).all()
        else:
            torch.testing.assert_close(seen[:, 0], compose_canvases(pasted[:, :step], composition), **TIGHT)
    # The leaves' parents, of the second part: its canvas holds its first leaf only.
    last = draw.at("z.0.1.1" if feedback else "z.0.1").context.canvas
    of_second = last[:, 0] if feedback else last[:, 1]
    torch.testing.assert_close(of_second, compose_canvases(own[:, 1, :1], composition), **TIGHT)


def test_a_pose_of_a_context_finds_the_part_in_the_image(make_tree: MakeTree, glyph: torch.Tensor):
    """What a guide does with it: the image cropped at a leaf's pose is the parent's crop, cropped again."""
    tree, draw = make_tree(num_steps=(2, 2)), Recorder()
    parse = tree.unfold(torch.randn(1, 6), draw)
    pose = draw.at("z.0.1").context.pose[:, 1]
    torch.testing.assert_close(pose, compose(parse.at(1).pose[:, 1], parse.at(0).pose[:, 3]), **TIGHT)
    assert crop(glyph[None], pose, (5, 5)).shape == (1, 1, 5, 5)


# -- feedback


@pytest.mark.thorough
def test_feedback_changes_what_follows_the_first_part(make_tree: MakeTree):
    trees = []
    for feedback in (False, True):
        torch.manual_seed(3)
        trees.append(make_tree(num_steps=(3, 2), feedback=feedback))
    z = torch.randn(2, 6)
    plain, fed = (tree.unfold(z) for tree in trees)
    parts = (plain.at(1).z - fed.at(1).z).abs().amax(-1)
    leaves = (plain.at(0).z - fed.at(0).z).abs().amax(-1)
    assert parts[:, 0].max() < 1e-10
    assert parts[:, 1:].min() > 1e-3
    assert leaves[:, 0].max() < 1e-10
    assert leaves[:, 1:].min() > 1e-3


def test_feedback_layers_fit_the_canvases_of_the_levels_below(make_tree: MakeTree):
    tree = make_tree(num_steps=(2, 2, 2), feedback=True, image_shape=(3, 12, 12))
    assert tree.feedback is not None
    assert [layer.in_features for layer in tree.feedback] == [3 * 5 * 5, 3 * 8 * 8, 3 * 10 * 10]


@pytest.mark.thorough
def test_what_is_fed_back_is_the_childs_canvas(make_tree: MakeTree):
    """A layer that looks at one pixel of the child's canvas lets the parent's next step depend on that pixel only."""
    tree = make_tree(num_steps=(2, 2), feedback=True)
    assert tree.feedback is not None
    z = torch.randn(2, 6)
    with torch.no_grad():
        for layer in tree.feedback:
            layer.weight.zero_()
            layer.bias.zero_()
        blind = tree.unfold(z)
        pixel = int(compose_of_first_part(tree, blind).flatten(1).sum(0).argmax())
        tree.feedback[1].weight[:, pixel] = 1
        seeing = tree.unfold(z)
    assert torch.equal(blind.at(1).z[:, 0], seeing.at(1).z[:, 0])
    assert (blind.at(1).z[:, 1] != seeing.at(1).z[:, 1]).all()


def compose_of_first_part(tree: Tree, parse: Parse) -> torch.Tensor:
    leaves = parse.at(0)
    pasted = paste(leaves.patch[:, :2], leaves.pose[:, :2], tree.canvas_size(1))
    return compose_canvases(pasted, tree.assembly.composition)


# -- folding


def test_folding_is_the_nested_sum_of_eq_1(make_tree: MakeTree):
    tree = make_tree(num_steps=(2, 3), composition="sum")
    parse = tree.unfold(torch.randn(4, 6))
    image = torch.zeros(4, 1, 12, 12)
    for part in range(2):
        canvas = torch.zeros(4, 1, 10, 10)
        for leaf in range(3 * part, 3 * part + 3):
            canvas += paste(parse.at(0).patch[:, leaf], parse.at(0).pose[:, leaf], (10, 10))
        image += paste(canvas, parse.at(1).pose[:, part], (12, 12))
    torch.testing.assert_close(tree.fold(parse), image, **TIGHT)


def test_folding_a_noisy_or_leaks_once_at_the_root(make_tree: MakeTree):
    tree = make_tree(num_steps=(2, 2), composition="noisy_or", leak=0.25)
    parse = tree.unfold(torch.randn(4, 6))
    dark = torch.full((4, 1, 12, 12), 0.75)
    for part in range(2):
        dark_part = torch.ones(4, 1, 10, 10)
        for leaf in (2 * part, 2 * part + 1):
            dark_part *= 1 - paste(parse.at(0).patch[:, leaf], parse.at(0).pose[:, leaf], (10, 10))
        dark *= 1 - paste(1 - dark_part, parse.at(1).pose[:, part], (12, 12))
    torch.testing.assert_close(tree.fold(parse), 1 - dark, **TIGHT)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("leaf_level", [0, 1, 2])
def test_folding_from_a_level_takes_that_levels_own_patches(make_tree: MakeTree, leaf_level: int):
    tree = make_tree(num_steps=(2, 1, 2), composition="sum")
    parse = tree.unfold(torch.randn(4, 6))
    canvas = parse.at(leaf_level).patch
    for level, size in ((1, 8), (2, 10), (3, 12)):
        if level > leaf_level:
            pasted = paste(canvas, parse.at(level - 1).pose, (size, size))
            canvas = pasted.unflatten(1, (-1, tree.num_steps(level))).sum(2)
    torch.testing.assert_close(tree.fold(parse, leaf_level), canvas[:, 0], **TIGHT)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("composition", ["sum", "noisy_or"])
def test_pasted_children_compose_to_the_canvases(make_tree: MakeTree, composition: str):
    tree = make_tree(num_steps=(2, 3), composition=composition)
    parse = tree.unfold(torch.randn(4, 6))
    by_level = dict(tree.pasted_children(parse))
    assert {level: tuple(pasted.shape) for level, pasted in by_level.items()} == {
        1: (4, 2, 3, 1, 10, 10),
        2: (4, 1, 2, 1, 12, 12),
    }
    leak = None if tree.leak_logit is None else torch.sigmoid(tree.leak_logit)
    torch.testing.assert_close(compose_canvases(by_level[2][:, 0], composition, leak), tree.fold(parse), **TIGHT)
    parts = paste(compose_canvases(by_level[1], composition), parse.at(1).pose, (12, 12))
    torch.testing.assert_close(by_level[2][:, 0], parts, **TIGHT)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
def test_a_noisy_or_is_a_probability(make_tree: MakeTree, interpolation: str):
    tree = make_tree(num_steps=(3, 3), interpolation=interpolation, leak=0.02)
    canvas = tree.fold(tree.unfold(5 * torch.randn(20, 6)))
    assert canvas.min() >= 0.02 - 1e-12
    assert canvas.max() < 1


def test_a_tree_of_sums_has_no_leak(make_tree: MakeTree):
    assert make_tree(composition="sum").leak_logit is None
    leak_logit = make_tree(composition="noisy_or", leak=0.03).leak_logit
    assert leak_logit is not None
    assert torch.sigmoid(leak_logit).item() == pytest.approx(0.03)


def test_parts_are_smaller_than_their_parents(make_tree: MakeTree):
    """A leaf's pose to the image shrinks it twice: its area is at most 1/16 where each level's scale is at most 1/2."""
    tree, draw = make_tree(num_steps=(2, 2)), Recorder(noise=3)
    tree.unfold(torch.randn(50, 6), draw)
    areas = [torch.linalg.det(draw.at(name).context.pose[..., :2]).max().item() for name in ("z.1.1", "z.0.1")]
    assert areas[0] <= 0.5**2
    assert areas[1] <= 0.5**4
    assert all(larger > smaller for larger, smaller in pairwise(areas))
