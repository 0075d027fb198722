"""Poses: affine maps from a part's reference frame to its parent's.

Coordinates run over [-1, 1] in both frames, x to the right and y down, as in ``torch.nn.functional.affine_grid``. A
pose is the 2x3 matrix ``[L | t]``: a point ``p`` of the part lies at ``L p + t`` in its parent.
"""

from dataclasses import dataclass
from math import hypot, pi

import torch

from rnp_pyro.errors import UserError
from rnp_pyro.precision import own_precision
from rnp_pyro.shapes import Action, Float, Latent, Pose, Tensor


@dataclass(frozen=True)
class PoseLimits:
    """How far the children of one level may be transformed.

    Args:
        scale: Smallest and largest width (and height) of a child, as a share of its parent's; 0 < low <= high.
        rotation: Largest rotation to either side, in radians, in [0, pi].
        shear: Largest horizontal shear to either side, as a slope, at least 0.
        gain: How steeply a pose follows its action, above 0. A generated policy's first actions have a standard
            deviation of about 0.12: at gain 1 all parts start in the middle of their range.

    Raises:
        UserError: If a child could be larger than its parent, in some rotation and shear.
    """

    scale: tuple[float, float] = (1 / 4.3, 1 / 2.3)
    rotation: float = pi / 2
    shear: float = 0.3
    gain: float = 1.0

    def __post_init__(self) -> None:
        low, high = self.scale
        if not 0 < low <= high:
            raise UserError(f"scale limits must be 0 < low <= high, got ({low:g}, {high:g}): give them in that order")
        if not 0 <= self.rotation <= pi:
            raise UserError(f"rotation_limit must be within [0, pi] radians, got {self.rotation:g}")
        if not self.shear >= 0:
            raise UserError(f"shear_limit must be at least 0, got {self.shear:g}")
        if not self.gain > 0:
            raise UserError(f"action_gain must be above 0, got {self.gain:g}")
        if self.largest_extent > 1:
            raise UserError(
                f"a part must fit into its parent at any rotation: scale {high:g} with shear {self.shear:g} reaches "
                f"{self.largest_extent:.2f} of it, expected at most 1: lower scale_limits or shear_limit"
            )

    @property
    def largest_extent(self) -> float:
        """Half the side of the largest bounding box that a child can have, its parent's half side being 1.

        A row of ``R(r) Shear(h) diag(s)`` has the absolute sum ``s_x |cos r| + s_y |h cos r - sin r|``, which is at
        most ``high * ((1 + shear) |cos r| + |sin r|)``; over all r that is at most ``high * sqrt((1 + shear)^2 + 1)``.
        """
        return self.scale[1] * hypot(1 + self.shear, 1)


def squash(action: Action, gain: float = 1.0) -> Action:
    """Bound six raw numbers to (-1, 1): ``tanh(gain a)``.

    Departure: tanh, where the authors' code ends the policy's decoder in sin: tanh is monotone, so that no two actions
    stand for one pose.
    """
    return torch.tanh(gain * action)


def squash_slope(bounded: Action, gain: float) -> Action:
    """Return the derivative of :func:`squash` from its value: ``gain (1 - tanh^2)``."""
    return gain * (1 - bounded.square())


def pose_from_action(action: Action, limits: PoseLimits) -> Pose:
    """Turn an action into the pose ``[R(r) Shear(h) diag(s) | t]`` (the affine transform of section 2).

    Departure: the translation is scaled to the room that the transformed part's bounding box leaves, so that no part
    can leave its parent; beyond the canvas the gradient of interpolation is exactly zero.

    Args:
        action: Scale x, scale y, rotation, shear, translation x, translation y; raw, any real numbers.
        limits: The range of each of them.

    Returns:
        The part's pose in its parent's frame; all four corners of the part lie within [-1, 1].
    """
    bounded = squash(action, limits.gain)
    low, high = limits.scale
    scale = 0.5 * (low + high) + 0.5 * (high - low) * bounded[..., 0:2]
    rotation = limits.rotation * bounded[..., 2]
    shear = limits.shear * bounded[..., 3]
    cos, sin = torch.cos(rotation), torch.sin(rotation)
    # R(r) Shear(h) = [[cos, h cos - sin], [sin, h sin + cos]]; diag(s) scales its columns.
    columns_x = torch.stack([cos, sin], dim=-1) * scale[..., 0:1]
    columns_y = torch.stack([shear * cos - sin, shear * sin + cos], dim=-1) * scale[..., 1:2]
    room = 1 - columns_x.abs() - columns_y.abs()
    return torch.stack([columns_x, columns_y, bounded[..., 4:6] * room], dim=-1)


def identity_pose(z: Latent) -> Pose:
    """Return the pose of a whole in its own frame, one for each latent, on its device and in its type."""
    return torch.eye(2, 3, dtype=z.dtype, device=z.device).expand(*z.shape[:-1], 2, 3)


def compose(outer: Float[Tensor, "*#batch 2 3"], inner: Float[Tensor, "*#batch 2 3"]) -> Float[Tensor, "*batch 2 3"]:
    """Apply ``inner``, then ``outer``: a grandchild's pose in the frame that ``outer`` maps to."""
    with own_precision(outer):
        linear = outer[..., :2] @ inner[..., :2]
        offset = outer[..., :2] @ inner[..., 2:] + outer[..., 2:]
    return torch.cat([linear, offset], dim=-1)


def compose_children(
    pose: Float[Tensor, "*batch N 2 3"], child_pose: Float[Tensor, "*batch M 2 3"]
) -> Float[Tensor, "*batch M 2 3"]:
    """Compose all children's poses with their parents': N parents, M children, those of one parent adjacent."""
    per_parent = child_pose.unflatten(-3, (pose.shape[-3], -1))
    return compose(pose[..., None, :, :], per_parent).flatten(-4, -3)


def invert(pose: Pose) -> Pose:
    """Return the map from the parent's frame back to the part's: ``[L^-1 | -L^-1 t]``.

    Scales are bounded away from zero and shears keep areas, so that the determinant ``s_x s_y`` is never zero.
    """
    a, b, x = pose[..., 0, :].unbind(-1)
    c, d, y = pose[..., 1, :].unbind(-1)
    determinant = a * d - b * c
    first = torch.stack([d, -b, b * y - d * x], dim=-1)
    second = torch.stack([-c, a, c * x - a * y], dim=-1)
    return torch.stack([first, second], dim=-2) / determinant[..., None, None]
