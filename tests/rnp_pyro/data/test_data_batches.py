import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rnp_pyro.data import batch_indices


@pytest.mark.thorough
@settings(deadline=None, max_examples=60)
@given(st.integers(0, 5), st.integers(1, 30), st.integers(1, 20))
def test_batches_laid_end_to_end_are_permutations(seed, batch_size, num_images):
    num_steps = 3 * num_images  # ends with a whole epoch
    stream = torch.cat([batch_indices(seed, step, batch_size, num_images) for step in range(num_steps)])
    epochs = stream.view(-1, num_images)
    assert len(epochs) == 3 * batch_size
    assert (epochs.sort(-1).values == torch.arange(num_images)).all()


def test_epochs_and_seeds_differ():
    first, second = batch_indices(0, 0, 100, 100), batch_indices(0, 1, 100, 100)
    other = batch_indices(1, 0, 100, 100)
    # Two independent permutations agree in one place on average, with variance one.
    for pair in ((first, second), (first, other), (first, torch.arange(100))):
        assert (pair[0] == pair[1]).sum() <= 1 + 4


def test_any_step_is_found_without_its_predecessors():
    far = batch_indices(2, 12345, 100, 57000)
    assert far.shape == (100,)
    assert far.dtype == torch.int64
    for step in range(12340, 12345):
        batch_indices(2, step, 100, 57000)
    assert batch_indices(2, 12345, 100, 57000).equal(far)


def test_a_caller_may_change_its_batch():
    batch = batch_indices(0, 0, 5, 10)
    before = batch.clone()
    batch.zero_()
    assert batch_indices(0, 0, 5, 10).equal(before)


@pytest.mark.parametrize(("step", "batch_size", "num_images"), [(-1, 1, 1), (0, 0, 1), (0, 1, 0)])
def test_impossible_numbers(step, batch_size, num_images):
    with pytest.raises(ValueError, match=f"at least 1, got {step}, {batch_size}, {num_images}"):
        batch_indices(0, step, batch_size, num_images)
