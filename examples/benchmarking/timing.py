"""Time calls fairly, and count the memory that their tensors take."""

import statistics
import time
import weakref
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Call = Callable[[], object]


def interleaved(calls: Sequence[Call], rounds: int, warm_up: int = 2) -> list[list[float]]:
    """Time each of several calls once a round, so that a change of the machine's speed hits all alike.

    Args:
        calls: What to time; each must have ended its work when it returns.
        rounds: How often each is timed, at least 1.
        warm_up: Rounds before, which do not count.

    Returns:
        For each call its seconds, round by round.
    """
    seconds: list[list[float]] = [[] for _ in calls]
    for number in range(warm_up + rounds):
        for call, times in zip(calls, seconds, strict=True):
            begin = time.perf_counter()
            call()
            if number >= warm_up:
                times.append(time.perf_counter() - begin)
    return seconds


def quartiles(times: Sequence[float]) -> tuple[float, float]:
    """Return the lower and the upper quartile of one or more numbers, within their range."""
    if len(times) == 1:
        return times[0], times[0]
    low, _, high = statistics.quantiles(times, method="inclusive")
    return low, high


def medians(calls: Sequence[Call], rounds: int, warm_up: int = 2) -> list[float]:
    """Return the median of each call's seconds; see :func:`interleaved`."""
    return [statistics.median(times) for times in interleaved(calls, rounds, warm_up)]


class TensorMemory(TorchDispatchMode):
    """Counts the bytes of the tensors that operations make while it is entered, and how many lived at once.

    A storage counts once, however many tensors look at it, from the operation that made it until it is freed. What was
    there before, parameters for one, and what an operation allocates and frees inside itself do not count.
    """

    def __init__(self) -> None:
        super().__init__()
        self.bytes, self.peak = 0, 0
        self._known: set[int] = set()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Run the operation, and count what it made."""
        given = {id(_storage(leaf)) for leaf in tree_leaves((args, kwargs)) if isinstance(leaf, torch.Tensor)}
        made = func(*args, **(kwargs or {}))
        for leaf in tree_leaves(made):
            if isinstance(leaf, torch.Tensor) and id(_storage(leaf)) not in given:
                self._count(_storage(leaf))
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        key, size = id(storage), storage.nbytes()
        if key in self._known:
            return
        self._known.add(key)
        self.bytes += size
        self.peak = max(self.peak, self.bytes)

        def forget() -> None:
            self._known.discard(key)
            self.bytes -= size

        weakref.finalize(storage, forget)


def peak_mib(call: Call, device: torch.device | None = None) -> float:
    """Return the most memory, in MiB, that the tensors made by a call take at once.

    On CUDA it is what the allocator says, above what was allocated before the call: scratch inside operations counts.
    """
    if device is not None and device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        before = torch.cuda.memory_allocated(device)
        call()
        return (torch.cuda.max_memory_allocated(device) - before) / 2**20
    with TensorMemory() as memory:
        call()
    return memory.peak / 2**20


def _storage(tensor: torch.Tensor) -> torch.UntypedStorage:
    return tensor.untyped_storage()
