"""Work in processes of its own: the same results, in one line where it fails."""

import os
import signal
from collections.abc import Callable

import pytest
import torch

from examples.shared.parallel import available_processors, one_thread, run_pieces
from rnp_pyro.errors import UserError

Advance = Callable[[float], object]


def work(piece: int, advance: Advance) -> tuple[int, float, int]:
    """Return the piece, a number that hangs on how sums are split among threads, and how many there are."""
    advance(0.25)
    total = torch.randn(300_000, generator=torch.Generator().manual_seed(piece)).sum().item()
    advance(0.75)
    return piece, total, torch.get_num_threads()


def refuse(piece: int, advance: Advance) -> int:
    """Refuse the second piece."""
    if piece == 1:
        raise UserError("expected another piece, got 1: take 0")
    return piece


def die(piece: int, advance: Advance) -> None:
    """End as a process does that took too much memory."""
    os.kill(os.getpid(), signal.SIGKILL)


@pytest.mark.thorough
def test_results_do_not_depend_on_the_number_of_processes():
    told: dict[int, list[float]] = {1: [], 2: []}
    alone, side_by_side = (sorted(run_pieces(work, [3, 4, 5], number, told[number].append)) for number in (1, 2))
    assert alone == side_by_side
    assert [piece for piece, _, _ in alone] == [3, 4, 5]
    assert {threads for _, _, threads in alone} == {1}
    assert sum(told[1]) == pytest.approx(3)
    assert set(told[2]) <= {0.25, 0.75}


def test_the_number_of_threads_is_put_back():
    before = torch.get_num_threads()
    with one_thread():
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    with pytest.raises(UserError, match="another piece"):
        list(run_pieces(refuse, [1], 1, lambda share: None))
    assert torch.get_num_threads() == before


def test_results_come_as_they_are_ready():
    results = run_pieces(refuse, [0, 1], 1, lambda share: None)
    assert next(results) == 0
    with pytest.raises(UserError):
        next(results)


@pytest.mark.thorough
def test_bad_input_in_a_process_is_still_bad_input():
    with pytest.raises(UserError, match="expected another piece, got 1: take 0"):
        list(run_pieces(refuse, [1, 1], 2, lambda share: None))


@pytest.mark.thorough
def test_a_process_that_the_system_ends_is_told():
    with pytest.raises(UserError, match="a process ended before its work was done"):
        list(run_pieces(die, [0, 1], 2, lambda share: None))


def test_there_is_a_processor():
    assert 1 <= available_processors() <= (os.cpu_count() or 1)
