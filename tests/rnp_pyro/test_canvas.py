"""Pasting, cropping and composing: pixels where they must be, and errors within what interpolation allows."""

from math import pi

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rnp_pyro.affine import PoseLimits, invert, pose_from_action
from rnp_pyro.canvas import MOST_INK, compose_canvases, crop, paste
from rnp_pyro.choices import Interpolation

INTERPOLATIONS: tuple[Interpolation, ...] = ("bilinear", "bicubic")
EXACT = {"rtol": 0, "atol": 1e-12}
"""Of values whose sampling places fall on pixel centres, up to rounding."""


def pose_of(linear: list[list[float]], shift: tuple[float, float] = (0, 0)) -> torch.Tensor:
    """A pose [1, 2, 3] from its linear part and its translation."""
    return torch.cat([torch.tensor(linear), torch.tensor(shift)[:, None]], dim=-1)[None].double()


IDENTITY = [[1.0, 0.0], [0.0, 1.0]]
HALF = [[0.5, 0.0], [0.0, 0.5]]


def centres(size: int) -> torch.Tensor:
    """Pixel centres in [-1, 1], as with align_corners=False."""
    return (2 * torch.arange(size) + 1) / size - 1


def blob(size: int) -> torch.Tensor:
    """cos^2(pi x / 2) cos^2(pi y / 2) on a grid of pixel centres, [1, 1, size, size]."""
    profile = torch.cos(pi * centres(size) / 2).square()
    return (profile[:, None] * profile)[None, None]


# -- where pixels land


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_the_identity_returns_the_image(glyph: torch.Tensor, interpolation: Interpolation):
    pose = pose_of(IDENTITY)
    torch.testing.assert_close(paste(glyph[None], pose, (12, 12), interpolation), glyph[None], **EXACT)
    torch.testing.assert_close(crop(glyph[None], pose, (12, 12), interpolation), glyph[None], **EXACT)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_x_is_to_the_right_and_y_is_down(glyph: torch.Tensor, interpolation: Interpolation):
    """Half as large and shifted by (1/2, -1/2), the glyph fills the upper right quarter, pixel by pixel."""
    canvas = paste(glyph[None], pose_of(HALF, (0.5, -0.5)), (24, 24), interpolation)
    expected = torch.zeros(1, 1, 24, 24)
    expected[..., :12, 12:] = glyph
    torch.testing.assert_close(canvas, expected, **EXACT)


def test_sizes_are_rows_and_columns(glyph: torch.Tensor):
    canvas = paste(glyph[None, :, :8], pose_of(HALF, (-0.5, 0.5)), (16, 24))
    expected = torch.zeros(1, 1, 16, 24)
    expected[..., 8:, :12] = glyph[:, :8]
    torch.testing.assert_close(canvas, expected, **EXACT)


def test_a_positive_rotation_turns_clockwise(glyph: torch.Tensor):
    """y runs down, so that R(pi/2) takes what is on the right to the bottom."""
    quarter = pose_of([[0.0, -1.0], [1.0, 0.0]])
    torch.testing.assert_close(paste(glyph[None], quarter, (12, 12)), glyph[None].rot90(-1, (-2, -1)), **EXACT)


def test_a_positive_shear_moves_the_bottom_to_the_right(glyph: torch.Tensor):
    """Row i lies at y = (2 i + 1) / 12 - 1; a shear of 2 moves it by 2 y, which is 2 i - 11 pixels of 1/6."""
    canvas = paste(glyph[None], pose_of([[1.0, 2.0], [0.0, 1.0]]), (12, 12))
    padded = torch.zeros(12, 36)
    padded[:, 12:24] = glyph[0]
    rows = [padded[i, 12 - (2 * i - 11) :][:12] for i in range(12)]
    torch.testing.assert_close(canvas[0, 0], torch.stack(rows), **EXACT)


def test_the_first_scale_is_of_columns(glyph: torch.Tensor):
    """Half as wide on a grid of the same pitch, each pixel lies halfway between two of the part's."""
    canvas = paste(glyph[None], pose_of([[0.5, 0.0], [0.0, 1.0]]), (12, 12))
    expected = torch.zeros(1, 1, 12, 12)
    expected[..., 3:9] = glyph.unflatten(-1, (6, 2)).mean(-1)
    torch.testing.assert_close(canvas, expected, **EXACT)


def test_no_flip_turn_or_transpose_goes_unseen(glyph: torch.Tensor):
    flips = [glyph.rot90(turns, (-2, -1)) for turns in range(4)]
    flips += [turned.mT for turned in flips]
    assert all(not torch.equal(one, other) for i, one in enumerate(flips) for other in flips[:i])


def test_channels_keep_their_order(glyph: torch.Tensor):
    part = torch.cat([glyph, 0.5 * glyph, torch.zeros_like(glyph)])[None]
    canvas = paste(part, pose_of(HALF, (0.5, 0.5)), (24, 24))
    torch.testing.assert_close(canvas[..., 12:, 12:], part, **EXACT)


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_crop_undoes_paste_where_pixels_fall_on_pixels(glyph: torch.Tensor, interpolation: Interpolation):
    pose = pose_of(HALF, (0.5, -0.5))
    canvas = paste(glyph[None], pose, (24, 24), interpolation)
    torch.testing.assert_close(crop(canvas, pose, (12, 12), interpolation), glyph[None], **EXACT)


def test_crop_zooms_in_on_what_lies_at_the_pose(glyph: torch.Tensor):
    canvas = torch.rand(1, 1, 24, 24)
    canvas[..., 6:18, 12:] = glyph
    torch.testing.assert_close(crop(canvas, pose_of(HALF, (0.5, 0)), (12, 12)), glyph[None], **EXACT)


def test_outside_of_the_part_the_canvas_is_dark():
    canvas = paste(torch.ones(1, 1, 6, 6), pose_of([[0.25, 0.0], [0.0, 0.25]]), (24, 24))
    expected = torch.zeros(1, 1, 24, 24)
    expected[..., 9:15, 9:15] = 1
    torch.testing.assert_close(canvas, expected, **EXACT)


# -- interpolation


@given(st.lists(st.floats(-3, 3), min_size=6, max_size=6))
def test_paste_then_crop_returns_a_smooth_image_within_the_bound(numbers: list[float]):
    """The bound adds up one bilinear interpolation's error for each pass.

    f(x, y) = cos^2(pi x / 2) cos^2(pi y / 2), and 0 outside [-1, 1]^2, has a continuous gradient everywhere, since
    it meets the border with slope 0, and |f_xx|, |f_yy| <= pi^2 / 2 and |f_xy| <= pi^2 / 4 almost everywhere.

    Linear interpolation between points h apart is off by at most h^2 / 8 times the largest second derivative, and the
    bilinear one, two of them in turn, of weights that are positive and sum to 1, by at most the sum of the two:

        |f - I f| <= h^2 / 8 (max |f_xx| + max |f_yy|).

    The zeros beyond the border are the samples of f there, so that this holds at the border too.

    Paste reads the part, with h = 2 / n for n pixels, at the canvas's pixels: the canvas is F(q) = f(L^-1 (q - t)) up
    to E_1 = (2 / n)^2 / 8 * pi^2. Crop reads the canvas of m pixels: that carries E_1 over, and adds the error for F,
    whose derivatives along x are those of f along u, the first column of L^-1:

        F_xx = u_1^2 f_xx + 2 u_1 u_2 f_xy + u_2^2 f_yy,  |F_xx| <= pi^2 / 2 (u_1^2 + |u_1 u_2| + u_2^2)

    and the same along y with the second column. So E_2 = (2 / m)^2 / 8 (max |F_xx| + max |F_yy|), and the result is
    off by at most E_1 + E_2.
    """
    part_size, canvas_size = 48, 120
    pose = pose_from_action(torch.tensor([numbers]).double(), PoseLimits(scale=(0.3, 0.55)))
    inverse = invert(pose)[0, :, :2]
    second = pi**2 / 2 * (inverse.square().sum(0) + inverse.prod(0).abs())
    bound = (2 / part_size) ** 2 / 8 * pi**2 + (2 / canvas_size) ** 2 / 8 * second.sum().item()

    part = blob(part_size)
    returned = crop(paste(part, pose, (canvas_size, canvas_size)), pose, (part_size, part_size))
    error = (returned - part).abs().max().item()
    assert error <= bound
    assert bound < 0.02
    # Nor is the bound far off.
    assert error > bound / 10


def test_bicubic_is_smoother_than_bilinear():
    """Across the border of two pixels the slope of bilinear interpolation jumps, that of bicubic does not."""
    part = torch.rand(1, 1, 8, 8)

    def slope_jump(interpolation: Interpolation) -> float:
        row = paste(part, pose_of(IDENTITY), (8, 8 * 65), interpolation)[0, 0, 3]
        return row.diff().diff().abs().max().item() * 65

    assert slope_jump("bicubic") < 0.2 * slope_jump("bilinear")


def test_bicubic_pasting_overshoots_and_noisy_or_clamps_it():
    part = torch.zeros(1, 1, 8, 8)
    part[..., 4:] = 1
    canvas = paste(part, pose_of(IDENTITY), (40, 40), "bicubic")
    assert canvas.max() > 1.05
    assert canvas.min() < -0.05
    composed = compose_canvases(canvas[:, None], "noisy_or")
    assert composed.min() >= 0
    assert composed.max() < 1


def test_bilinear_pasting_stays_within_the_parts_range():
    part = torch.rand(20, 1, 6, 6)
    canvas = paste(part, pose_from_action(torch.randn(20, 6), PoseLimits()), (20, 20))
    assert canvas.min() >= 0
    assert canvas.max() <= part.max()


# -- batches


@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
def test_batched_equals_looped(interpolation: Interpolation):
    parts, poses = torch.rand(2, 3, 2, 5, 4), pose_from_action(torch.randn(2, 3, 6), PoseLimits())
    pasted = paste(parts, poses, (9, 11), interpolation)
    cropped = crop(pasted, poses, (5, 4), interpolation)
    assert pasted.shape == (2, 3, 2, 9, 11)
    for i in range(2):
        for j in range(3):
            alone = paste(parts[i, j][None], poses[i, j][None], (9, 11), interpolation)
            torch.testing.assert_close(pasted[i, j], alone[0], **EXACT)
            torch.testing.assert_close(cropped[i, j], crop(alone, poses[i, j][None], (5, 4), interpolation)[0], **EXACT)


def test_an_expanded_image_can_be_cropped_at_many_poses(glyph: torch.Tensor):
    poses = pose_from_action(torch.randn(3, 6), PoseLimits())
    cropped = crop(glyph.expand(3, 1, 12, 12), poses, (5, 5))
    for index in range(3):
        torch.testing.assert_close(cropped[index], crop(glyph[None], poses[index : index + 1], (5, 5))[0], **EXACT)


# -- composition


def test_a_sum_is_a_sum():
    pasted = torch.tensor([0.5, 0.25, 1.0])[None, :, None, None, None].expand(2, 3, 1, 2, 2)
    assert (compose_canvases(pasted, "sum") == 1.75).all()


def test_a_noisy_or_is_bright_where_any_part_is():
    """1 - (1 - 1/2) (1 - 1/4) = 5/8, and with a leak of 1/5: 1 - 4/5 * 3/8 = 7/10."""
    pasted = torch.tensor([0.5, 0.25, 0.0])[None, :, None, None, None].expand(2, 3, 1, 2, 2)
    torch.testing.assert_close(compose_canvases(pasted, "noisy_or"), torch.full((2, 1, 2, 2), 0.625))
    leaking = compose_canvases(pasted, "noisy_or", torch.tensor(0.2))
    torch.testing.assert_close(leaking, torch.full((2, 1, 2, 2), 0.7))


def test_a_noisy_or_of_full_ink_stays_below_1():
    pasted = torch.ones(1, 1, 1, 2, 2)
    torch.testing.assert_close(compose_canvases(pasted, "noisy_or"), torch.full((1, 1, 2, 2), MOST_INK))
    assert compose_canvases(pasted.float(), "noisy_or").max() < 1


@pytest.mark.parametrize("composition", ["sum", "noisy_or"])
def test_the_order_of_parts_does_not_matter(composition: str):
    pasted = torch.rand(2, 4, 1, 3, 3)
    torch.testing.assert_close(
        compose_canvases(pasted, composition), compose_canvases(pasted.flip(1), composition), **EXACT
    )


@pytest.mark.parametrize("composition", ["sum", "noisy_or"])
def test_composing_in_two_goes_is_composing_at_once(composition: str):
    pasted = torch.rand(2, 4, 1, 3, 3)
    first = compose_canvases(pasted[:, :2], composition)
    twice = compose_canvases(torch.stack([first, pasted[:, 2], pasted[:, 3]], dim=1), composition)
    torch.testing.assert_close(twice, compose_canvases(pasted, composition), **EXACT)


def test_only_a_leak_gives_ink_off_every_part_a_gradient():
    """The log probability of a bright pixel in a corner that no part covers."""
    action = torch.zeros(3, 6, requires_grad=True)
    patch = torch.rand(3, 1, 4, 4, requires_grad=True)
    leak_logit = torch.logit(torch.tensor(0.01)).requires_grad_()
    pasted = paste(patch, pose_from_action(action, PoseLimits()), (12, 12))[None]
    assert (pasted[..., 0, 0] == 0).all()

    corner = compose_canvases(pasted, "noisy_or")[..., 0, 0].sum()
    assert all((gradient == 0).all() for gradient in torch.autograd.grad(corner, [action, patch], retain_graph=True))

    corner = compose_canvases(pasted, "noisy_or", torch.sigmoid(leak_logit))[..., 0, 0].log().sum()
    (gradient,) = torch.autograd.grad(corner, leak_logit)
    torch.testing.assert_close(gradient, torch.tensor(0.99))


def test_ink_on_a_part_moves_and_brightens_it():
    action = torch.zeros(1, 6, requires_grad=True)
    patch = torch.rand(1, 1, 4, 4, requires_grad=True)
    canvas = compose_canvases(paste(patch, pose_from_action(action, PoseLimits()), (12, 12))[None], "noisy_or")
    gradients = torch.autograd.grad(canvas[..., 5, 4].sum(), [action, patch])
    assert all(gradient.abs().max() > 1e-3 for gradient in gradients)


def test_paste_without_any_batch_dimension():
    part, pose = torch.rand(3, 5, 7), torch.tensor([[0.5, 0.0, 0.2], [0.0, 0.4, -0.1]])
    torch.testing.assert_close(paste(part, pose, (9, 8)), paste(part[None], pose[None], (9, 8))[0])
