import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnp_pyro.data.split import held_out_count, hold_out
from rnp_pyro.errors import UserError


@pytest.mark.thorough
@settings(deadline=None, max_examples=60)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=200), st.data())
def test_split_is_a_stratified_partition(classes, data):
    labels = torch.tensor(classes)
    count = data.draw(st.integers(1, len(classes) - 1))
    kept, held_out = hold_out(labels, len(classes), count)
    assert len(held_out) == count
    assert torch.cat([kept, held_out]).sort().values.tolist() == list(range(len(classes)))
    for label in set(classes):
        expected = count * classes.count(label) / len(classes)
        assert abs(int((labels[held_out] == label).sum()) - expected) <= 1


def test_without_labels():
    kept, held_out = hold_out(None, 100, 10)
    assert torch.cat([kept, held_out]).sort().values.tolist() == list(range(100))
    # Neither the first nor the last ten, nor every tenth.
    assert len(held_out.diff().unique()) > 2


def test_the_split_never_changes():
    """Runs of different releases are scored on the same images: this test must not be edited."""
    kept, held_out = hold_out(None, 20, 4)
    assert held_out.tolist() == [15, 2, 10, 16]
    assert kept.tolist() == [index for index in range(20) if index not in (2, 10, 15, 16)]


def test_held_out_images_come_shuffled():
    labels = torch.arange(10).repeat_interleave(100)
    _, held_out = hold_out(labels, 1000, 50)
    assert len(labels[held_out][:10].unique()) > 3


@pytest.mark.parametrize(("share", "num_images", "count"), [(0.05, 10000, 500), (0.05, 3, 1), (0.1, 25, 2)])
def test_counts(share, num_images, count):
    assert held_out_count(share, num_images) == count


@pytest.mark.parametrize("share", [0.0, 1.0, -0.5, float("nan")])
def test_impossible_share(share):
    with pytest.raises(UserError, match=f"above 0 and under 1, got {share}"):
        held_out_count(share, 100)


def test_nothing_left():
    with pytest.raises(UserError, match="got 3 images of which 3 are to be held out"):
        held_out_count(0.9, 3)
