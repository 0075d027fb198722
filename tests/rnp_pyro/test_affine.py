"""Poses: exact algebra, and limits that no action can leave."""

from math import hypot, pi

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnp_pyro.affine import (
    PoseLimits,
    compose,
    compose_children,
    identity_pose,
    invert,
    pose_from_action,
    squash,
    squash_slope,
)
from rnp_pyro.errors import UserError

EXTREME = 1e6
"""Squashed to 1 exactly."""

NUMBERS = st.one_of(st.floats(-4, 4), st.sampled_from([0.0, EXTREME, -EXTREME]))
ACTIONS = st.lists(NUMBERS, min_size=6, max_size=6).map(torch.tensor).map(torch.Tensor.double)
TINY = 1e-12


@st.composite
def limits_of(draw: st.DrawFn) -> PoseLimits:
    """Any limits that are accepted, except for parts of less than a twentieth of their parent."""
    shear = draw(st.floats(0, 1))
    high = draw(st.floats(0.1, 1 / hypot(1 + shear, 1) - 1e-9))
    scale = (draw(st.floats(0.05, high)), high)
    return PoseLimits(scale, draw(st.floats(0, pi)), shear, gain=draw(st.floats(0.1, 10)))


LIMITS = limits_of()


def homogeneous(pose: torch.Tensor) -> torch.Tensor:
    """Complete ``[L | t]`` to a 3x3 matrix."""
    return torch.cat([pose, torch.tensor([[0.0, 0.0, 1.0]])])


def random_poses(*batch: int) -> torch.Tensor:
    return pose_from_action(torch.randn(*batch, 6), PoseLimits())


def close(one: torch.Tensor, other: torch.Tensor) -> bool:
    return torch.allclose(one, other, rtol=0, atol=TINY)


@given(ACTIONS, LIMITS)
def test_a_pose_times_its_inverse_is_the_identity(action: torch.Tensor, limits: PoseLimits):
    pose = pose_from_action(action, limits)
    assert close(compose(pose, invert(pose)), torch.eye(2, 3))
    assert close(compose(invert(pose), pose), torch.eye(2, 3))


@given(ACTIONS, ACTIONS, LIMITS)
def test_composition_is_the_matrix_product(one: torch.Tensor, other: torch.Tensor, limits: PoseLimits):
    outer, inner = pose_from_action(one, limits), pose_from_action(other, limits)
    assert close(homogeneous(compose(outer, inner)), homogeneous(outer) @ homogeneous(inner))


@pytest.mark.thorough
@given(ACTIONS, ACTIONS, ACTIONS, LIMITS)
def test_composition_is_associative(one: torch.Tensor, two: torch.Tensor, three: torch.Tensor, limits: PoseLimits):
    a, b, c = (pose_from_action(action, limits) for action in (one, two, three))
    assert close(compose(compose(a, b), c), compose(a, compose(b, c)))


@given(ACTIONS, LIMITS)
def test_the_identity_changes_nothing(action: torch.Tensor, limits: PoseLimits):
    pose = pose_from_action(action, limits)
    identity = identity_pose(action)
    assert torch.equal(identity, torch.eye(2, 3))
    assert torch.equal(compose(identity, pose), pose)
    assert torch.equal(compose(pose, identity), pose)


def test_composition_maps_a_point_through_the_inner_pose_first():
    shrink = torch.tensor([[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]])
    shift = torch.tensor([[1.0, 0.0, 0.25], [0.0, 1.0, 0.0]])
    assert compose(shift, shrink)[0, 2] == 0.25
    assert compose(shrink, shift)[0, 2] == 0.125


@given(ACTIONS, LIMITS)
def test_no_corner_of_a_part_leaves_its_parent(action: torch.Tensor, limits: PoseLimits):
    pose = pose_from_action(action, limits)
    corners = torch.tensor([[x, y, 1.0] for x in (-1.0, 1.0) for y in (-1.0, 1.0)])
    assert (corners @ pose.mT).abs().max() <= 1 + TINY


@given(ACTIONS, LIMITS)
def test_scale_rotation_and_shear_stay_within_their_limits(action: torch.Tensor, limits: PoseLimits):
    """From ``L = R(r) [[1, h], [0, 1]] diag(s)``: its first column gives s_x and r, R^T L the others."""
    linear = pose_from_action(action, limits)[:, :2]
    rotation = torch.atan2(linear[1, 0], linear[0, 0])
    cos, sin = rotation.cos(), rotation.sin()
    upright = torch.stack([torch.stack([cos, sin]), torch.stack([-sin, cos])]) @ linear
    scale, shear = upright.diagonal(), upright[0, 1] / upright[1, 1]
    low, high = limits.scale
    assert low - TINY <= scale.min()
    assert scale.max() <= high + TINY
    assert rotation.abs() <= limits.rotation + TINY
    assert shear.abs() <= limits.shear + TINY
    assert upright[1, 0].abs() <= TINY


def test_each_number_of_an_action_has_its_meaning():
    """Scale x, scale y, rotation, shear, translation x and y; x to the right, y down."""
    limits = PoseLimits(scale=(0.2, 0.4), rotation=pi / 2, shear=0.5)

    def pose(*action: float) -> torch.Tensor:
        return pose_from_action(torch.tensor(action).double(), limits)

    e = EXTREME
    assert close(pose(0, 0, 0, 0, 0, 0), torch.tensor([[0.3, 0, 0], [0, 0.3, 0]]))
    assert close(pose(e, -e, 0, 0, 0, 0), torch.tensor([[0.4, 0, 0], [0, 0.2, 0]]))
    assert close(pose(0, 0, e, 0, 0, 0), torch.tensor([[0, -0.3, 0], [0.3, 0, 0]]))
    assert close(pose(0, 0, 0, e, 0, 0), torch.tensor([[0.3, 0.15, 0], [0, 0.3, 0]]))
    # The room left of a part of half width 0.3 is 0.7 to either side.
    assert close(pose(0, 0, 0, 0, e, -e), torch.tensor([[0.3, 0, 0.7], [0, 0.3, -0.7]]))
    # After a quarter turn of a sheared part its width is what was its height.
    assert close(pose(0, 0, e, e, e, 0), torch.tensor([[0, -0.3, 0.7], [0.3, 0.15, 0]]))


@pytest.mark.parametrize("gain", [1.0, 3.0])
def test_an_action_is_squashed_to_the_open_interval(gain: float):
    action = torch.linspace(-2, 2, 42).view(7, 6).requires_grad_()
    bounded = squash(action, gain)
    torch.testing.assert_close(bounded, torch.tanh(gain * action))
    assert bounded.abs().max() < 1
    (slope,) = torch.autograd.grad(bounded.sum(), action)
    torch.testing.assert_close(squash_slope(bounded, gain), slope)


def test_a_gain_makes_poses_follow_their_actions_more_steeply():
    action = torch.randn(5, 6)
    steep = pose_from_action(action, PoseLimits(gain=3.0))
    assert close(steep, pose_from_action(3 * action, PoseLimits(gain=1.0)))


@given(LIMITS)
def test_the_largest_extent_is_reached_but_never_passed(limits: PoseLimits):
    """Turned by atan(1 / (1 + shear)) a part of the largest scale and shear reaches it."""
    free = PoseLimits(limits.scale, pi, limits.shear)
    rotation = torch.linspace(-1, 1, 2001).atanh()
    action = torch.full((2001, 6), EXTREME)
    action[:, 2], action[:, 4:] = rotation, 0
    extent = pose_from_action(action, free)[..., :2].abs().sum(-1).max().item()
    assert extent <= free.largest_extent + TINY
    # The nearest of the angles is off by half a step of pi/1000, and a cosine falls by half its square.
    assert extent >= free.largest_extent * (1 - 0.5 * (pi / 2000) ** 2)


def test_parts_of_the_largest_scale_that_fits_are_accepted():
    assert PoseLimits(scale=(0.1, 1 / hypot(1.3, 1)), shear=0.3).largest_extent == pytest.approx(1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"scale": (0.5, 0.2)}, r"scale limits must be 0 < low <= high, got \(0\.5, 0\.2\)"),
        ({"scale": (0.0, 0.2)}, r"scale limits must be 0 < low <= high, got \(0, 0\.2\)"),
        ({"scale": (-0.1, 0.2)}, r"scale limits must be 0 < low <= high, got \(-0\.1, 0\.2\)"),
        ({"rotation": 3.5}, r"rotation_limit must be within \[0, pi\] radians, got 3\.5"),
        ({"rotation": -0.1}, r"rotation_limit must be within \[0, pi\] radians, got -0\.1"),
        ({"shear": -0.5}, r"shear_limit must be at least 0, got -0\.5"),
        ({"gain": 0.0}, r"action_gain must be above 0, got 0"),
        ({"gain": -3.0}, r"action_gain must be above 0, got -3"),
        ({"scale": (0.2, 0.8)}, r"scale 0\.8 with shear 0\.3 reaches 1\.31 of it, expected at most 1"),
        ({"shear": 3.0}, r"scale 0\.434783 with shear 3 reaches 1\.79 of it, expected at most 1"),
    ],
)
def test_wrong_limits_are_refused_in_one_line(wrong: dict, message: str):
    with pytest.raises(UserError, match=message) as caught:
        PoseLimits(**wrong)
    assert "\n" not in str(caught.value)


@given(ACTIONS, LIMITS)
def test_gradients_are_finite(action: torch.Tensor, limits: PoseLimits):
    action = action.clone().requires_grad_()
    pose = pose_from_action(action, limits)
    (pose.square().sum() + invert(pose).square().sum()).backward()
    assert action.grad is not None
    assert action.grad.isfinite().all()


def test_every_number_of_an_action_moves_the_pose():
    action = torch.randn(6, requires_grad=True)
    jacobian = torch.autograd.functional.jacobian(lambda a: pose_from_action(a, PoseLimits()).flatten(), action)
    assert torch.linalg.matrix_rank(jacobian) == 6


def test_children_are_composed_with_their_own_parents():
    parents, children = random_poses(4, 3), random_poses(4, 6)
    composed = compose_children(parents, children)
    for child in range(6):
        assert torch.equal(composed[:, child], compose(parents[:, child // 2], children[:, child]))


def test_leading_dimensions_are_independent():
    action = torch.randn(2, 3, 6)
    poses = pose_from_action(action, PoseLimits())
    for i in range(2):
        for j in range(3):
            assert close(poses[i, j], pose_from_action(action[i, j], PoseLimits()))
            assert close(invert(poses)[i, j], invert(poses[i, j]))
    assert identity_pose(torch.zeros(2, 3, 5)).shape == (2, 3, 2, 3)
