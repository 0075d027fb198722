"""Under autocast hypernetworks are narrow; poses, actions, latents, patches and canvases are as wide as the weights."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from rnp_pyro.affine import compose, identity_pose
from rnp_pyro.draw import Context, mean
from rnp_pyro.precision import own_precision
from rnp_pyro.tree import Tree

MakeTree = Callable[..., Tree]
PATHS: dict[str, tuple[dict[str, Any], Any]] = {
    "fast": ({}, None),
    "plain loop": ({}, mean),
    "feedback": ({"feedback": True}, None),
    "conv": ({"patch_decoder": "conv"}, mean),
    "primitives": ({"patch_decoder": "primitives"}, None),
}


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("path", PATHS)
def test_only_the_hypernetworks_are_narrow(make_tree: MakeTree, path: str):
    settings, draw = PATHS[path]
    tree, z = make_tree(**settings).float(), torch.randn(3, 6, dtype=torch.float32)
    seen: list[torch.dtype] = []
    tree.hypernets.state_hypernets[0].trunk.register_forward_hook(lambda *call: seen.append(call[-1].dtype))

    def unfold() -> list[torch.Tensor]:
        parse = tree.unfold(z, draw)
        return [*(tensor for nodes in parse.levels for tensor in vars(nodes).values()), tree.fold(parse)]

    exact, before = unfold(), len(seen)
    with torch.autocast("cpu", torch.bfloat16):
        narrow = unfold()
    assert set(seen[:before]) == {torch.float32}
    assert set(seen[before:]) == {torch.bfloat16}
    for one, other in zip(narrow, exact, strict=True):
        assert one.dtype == torch.float32
        assert 0 < (one - other).norm() / other.norm() < 0.2


@pytest.mark.thorough
@pytest.mark.parametrize("feedback", [False, True])
def test_a_step_under_autocast_is_as_exact_as_its_programs(make_tree: MakeTree, feedback: bool):
    """Given the very same generated weights, a walk under autocast is the walk without it."""
    tree, z = make_tree(feedback=feedback).float(), torch.randn(3, 6, dtype=torch.float32)
    original, known = Tree.generate, dict[tuple[int, int], Any]()

    def generate(self: Tree, z: torch.Tensor, level: int) -> Any:
        return known.setdefault((level, len(known)) if not replay else order.pop(0), original(self, z, level))

    replay, order = False, list[tuple[int, int]]()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Tree, "generate", generate)
        poses: list[torch.Tensor] = []

        def draw(name: str, loc: torch.Tensor, scale: torch.Tensor | None, context: Context) -> torch.Tensor:
            poses.append(context.pose)
            return loc

        wide = tree.fold(tree.unfold(z, draw))
        wide_poses, poses = poses, []
        replay, order = True, list(known)
        with torch.autocast("cpu", torch.bfloat16):
            found = tree.fold(tree.unfold(z, draw))
    assert torch.equal(found, wide)
    assert all(torch.equal(one, other) for one, other in zip(poses, wide_poses, strict=True))


def test_composed_poses_are_not_narrowed():
    pose = identity_pose(torch.zeros(1, dtype=torch.float32)) + torch.rand(2, 3)
    pose = pose.float()
    with torch.autocast("cpu", torch.bfloat16):
        found = compose(pose, pose)
    assert found.dtype == torch.float32
    assert torch.equal(found, compose(pose, pose))


def test_without_autocast_nothing_is_switched():
    with own_precision(torch.zeros(1)):
        assert not torch.is_autocast_enabled("cpu")
    with torch.autocast("cpu", torch.bfloat16):
        with own_precision(torch.zeros(1)):
            assert not torch.is_autocast_enabled("cpu")
        assert torch.is_autocast_enabled("cpu")
