"""Rounds, and the memory of tensors."""

import pytest
import torch

from examples.benchmarking.timing import interleaved, medians, peak_mib, quartiles
from rnp_pyro.build import build_tree
from rnp_pyro.config import TreeConfig

MIB = 2**20 // 4
"""Numbers of float32 in a MiB."""


def test_calls_take_turns_and_warm_up():
    order: list[str] = []
    seconds = interleaved([lambda: order.append("a"), lambda: order.append("b")], rounds=3, warm_up=1)
    assert "".join(order) == "ab" * 4
    assert [len(times) for times in seconds] == [3, 3]


def test_medians_do_not_see_one_slow_round(monkeypatch):
    clock = iter([0, 1, 10, 11, 20, 70])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    assert medians([lambda: None], rounds=3, warm_up=0) == [1]


def test_quartiles_stay_among_the_numbers():
    assert quartiles([7.0]) == (7, 7)
    assert quartiles([1.0, 10.0]) == (3.25, 7.75)
    assert quartiles([5.0, 1.0, 4.0, 2.0, 3.0]) == (2, 4)


def test_what_lives_at_once_counts():
    def call() -> None:
        one = torch.zeros(MIB)
        two = one + 1
        del one
        three = two * 2
        del two, three
        torch.zeros(MIB)

    assert peak_mib(call) == pytest.approx(2, abs=0.01)


def test_views_and_results_in_place_count_once():
    def call() -> None:
        one = torch.zeros(MIB)
        one.view(2, -1).add_(1)
        torch.add(one, 1, out=one)

    assert peak_mib(call) == pytest.approx(1, abs=0.01)


def test_what_autograd_keeps_counts():
    weight = torch.zeros(MIB, requires_grad=True)

    def call() -> None:
        weight.exp().exp().exp().sum().backward()

    # Three results are kept for the backward pass, and its first gradient meets them all.
    assert peak_mib(call) == pytest.approx(4, abs=0.01)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_an_accelerators_allocator_says_the_same():
    device = torch.device("cuda")

    def call() -> None:
        one = torch.zeros(MIB, device=device)
        two = one + 1
        del one
        two.mul(2)

    assert peak_mib(call, device) == pytest.approx(2, abs=0.01)


@pytest.mark.thorough
def test_recomputing_needs_less_memory():
    """Generated weights, 80 kB per program, are not kept from the forward to the backward pass except for a chunk's."""
    peaks = []
    for recompute in (False, True):
        tree = build_tree(TreeConfig(chunk=4, recompute=recompute), 32, (1, 28, 28)).float()
        z = torch.randn(16, 32, dtype=torch.float32, requires_grad=True)
        peaks.append(peak_mib(lambda tree=tree, z=z: tree.fold(tree.unfold(z)).sum().backward()))
    kept = 16 * 5 * 20_076 * 4 / 2**20  # all 80 programs' weights
    assert peaks[1] < peaks[0] - 0.7 * kept
