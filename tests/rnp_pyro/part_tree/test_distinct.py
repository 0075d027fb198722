"""The measure of a parse: ink explained, and no part drawn twice."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnp_pyro.part_tree.distinct import distinct_parts, explained_shares, largest_overlap, soft_iou

FEW = settings(max_examples=30, deadline=None)
SEEDS = st.integers(0, 2**31 - 1)


def rows_of_ink(*rows: float) -> torch.Tensor:
    """A grey canvas [1, len(rows), 10], each row with so much ink in all of its columns."""
    return torch.tensor(rows, dtype=torch.float32)[None, :, None].expand(1, -1, 10).clone()


def random_ink(seed: int, *shape: int) -> torch.Tensor:
    """Ink in [0, 1], about a third of it none."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(seed)).mul(1.5).sub(0.5).clamp(min=0)


def separate_rows() -> tuple[torch.Tensor, torch.Tensor]:
    """An image of four rows, and its rows as parts."""
    return rows_of_ink(1, 1, 1, 1), torch.stack([rows_of_ink(*row) for row in torch.eye(4).tolist()])


def test_separate_strokes_are_distinct():
    image, parts = separate_rows()
    assert distinct_parts(image, parts)
    assert distinct_parts(image, parts[:3])


def test_fewer_than_three_parts_are_not_distinct():
    image, parts = separate_rows()
    assert not distinct_parts(image, parts[:2])
    assert not distinct_parts(image, parts[:1])


def test_share_is_of_the_images_ink():
    image = rows_of_ink(1, 1, 0, 0)
    parts = torch.stack([rows_of_ink(1, 0, 0, 0), rows_of_ink(0, 0.5, 1, 1), rows_of_ink(0, 0, 1, 1)])
    torch.testing.assert_close(explained_shares(image, parts), torch.tensor([0.5, 0.25, 0.0], dtype=torch.float32))


@pytest.mark.parametrize(("pixels", "expected"), [(8, True), (7, False)])
def test_eight_of_a_hundred_pixels_are_enough(pixels: int, expected: bool):
    image = torch.ones(1, 10, 10)
    parts = torch.zeros(3, 1, 10, 10)
    parts[0, 0, 0], parts[1, 0, 1] = 1, 1
    parts[2, 0, 2, :pixels] = 1
    assert distinct_parts(image, parts).item() is expected


@pytest.mark.parametrize(("shared", "expected"), [(5, True), (6, True), (7, False)])
def test_two_parts_may_not_overlap_by_half(shared: int, expected: bool):
    """Two parts of 10 pixels that share 7 overlap by 7 / 13, those that share 6 by 6 / 14."""
    image, parts = separate_rows()
    twin = torch.zeros_like(image)
    twin[0, 0, :shared] = 1
    twin[0, 1, shared:] = 1
    parts = torch.stack([parts[0], twin, parts[2], parts[3]])
    assert distinct_parts(image, parts).item() is expected


def test_an_overlap_of_exactly_half_is_too_much():
    image, parts = separate_rows()
    half = torch.zeros_like(image)
    half[0, 0, :5] = 1
    assert soft_iou(parts[0], half) == 0.5
    assert not distinct_parts(image, torch.cat([parts, half[None]]))


def test_empty_parts_do_not_overlap():
    image, parts = separate_rows()
    empty = torch.zeros_like(parts)
    assert largest_overlap(empty) == 0
    assert distinct_parts(image, torch.cat([parts, empty]))


def test_an_empty_image_has_no_distinct_parts():
    image, parts = separate_rows()
    assert (explained_shares(torch.zeros_like(image), parts) == 0).all()
    assert not distinct_parts(torch.zeros_like(image), parts)


@FEW
@given(SEEDS)
def test_iou_is_symmetric_and_between_0_and_1(seed: int):
    one, other = random_ink(seed, 2, 5, 1, 3, 4)
    torch.testing.assert_close(soft_iou(one, other), soft_iou(other, one))
    assert ((soft_iou(one, other) >= 0) & (soft_iou(one, other) <= 1)).all()
    torch.testing.assert_close(soft_iou(one, one), torch.ones(5))


@FEW
@given(SEEDS, st.floats(0.1, 1))
def test_iou_of_a_fainter_copy_is_its_faintness(seed: int, faintness: float):
    canvas = random_ink(seed, 1, 6, 5)
    assert soft_iou(canvas, faintness * canvas).item() == pytest.approx(faintness, rel=1e-5)


@pytest.mark.thorough
@FEW
@given(SEEDS)
def test_the_order_of_parts_does_not_matter(seed: int):
    images, parts = random_ink(seed, 6, 3, 4, 4), random_ink(seed + 1, 6, 4, 3, 4, 4)
    shuffled = parts[:, [2, 0, 3, 1]]
    assert torch.equal(distinct_parts(images, parts), distinct_parts(images, shuffled))


@pytest.mark.thorough
@FEW
@given(SEEDS)
def test_batched_equals_looped(seed: int):
    images, parts = random_ink(seed, 2, 3, 1, 5, 4), random_ink(seed + 1, 2, 3, 4, 1, 5, 4)
    looped = [[distinct_parts(images[i, j], parts[i, j]) for j in range(3)] for i in range(2)]
    batched = distinct_parts(images, parts)
    assert batched.dtype == torch.bool
    assert batched.tolist() == [[value.item() for value in row] for row in looped]


def test_ink_outside_of_its_range_is_clamped():
    image, parts = separate_rows()
    overshooting = 3 * parts - 0.5
    assert torch.equal(largest_overlap(overshooting), largest_overlap(parts))
    assert torch.equal(explained_shares(2 * image, overshooting), explained_shares(image, parts))


def test_sums_of_half_precision_are_exact_enough():
    image, parts = torch.ones(1, 64, 64), torch.zeros(3, 1, 64, 64)
    for step in range(3):
        parts[step, 0, 20 * step : 20 * (step + 1)] = 1
    shares = explained_shares(image.bfloat16(), parts.bfloat16())
    torch.testing.assert_close(shares, torch.full((3,), 20 / 64, dtype=torch.float32))
