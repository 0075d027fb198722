"""Run independent pieces of work in processes of their own, each on one thread, and hear how far they are."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from queue import Empty
from typing import Any, TypeVar

import torch

from rnp_pyro.errors import UserError

Piece = TypeVar("Piece")
Result = TypeVar("Result")

Advance = Callable[[float], object]
"""Told what share of a piece has been done since it was last told."""

PATIENCE = 0.2
"""Seconds between two looks at how far the pieces are."""

_shares: Any = None
"""In a worker: where to tell shares."""


def available_processors() -> int:
    """Count the processors that this process may use."""
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity is not None else os.cpu_count() or 1


def run_pieces(
    work: Callable[[Piece, Advance], Result], pieces: Sequence[Piece], processes: int, advance: Advance
) -> Iterator[Result]:
    """Run each piece of work, some at once; give their results as they come.

    A result does not depend on the number of processes: each piece has one thread in any case.

    Args:
        work: A function of a module, so that another process finds it.
        pieces: What it is called with.
        processes: How many at once; 1 works in this process.
        advance: Told shares of pieces that have been done.

    Raises:
        UserError: If the system ended a process, mostly for want of memory.
    """
    if processes == 1 or len(pieces) <= 1:
        with one_thread():
            yield from (work(piece, advance) for piece in pieces)
        return
    context = multiprocessing.get_context("spawn")
    shares = context.Queue()
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(min(processes, len(pieces)), context, _begin, (shares,))
    try:
        waiting = {pool.submit(_run, work, piece) for piece in pieces}
        yield from _listen(waiting, shares, advance)
        pool.shutdown()
    except BrokenProcessPool:
        raise UserError(
            "a process ended before its work was done, mostly for want of memory: give a smaller --processes"
        ) from None
    finally:
        for child in set(multiprocessing.active_children()) - before:
            child.terminate()
        pool.shutdown(cancel_futures=True)


@contextmanager
def one_thread() -> Iterator[None]:
    """Compute on one thread, and put the number of threads back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _listen(waiting: set[Future[Result]], shares: Any, advance: Advance) -> Iterator[Result]:
    """Pass shares on and give results, until nothing is waited for."""
    while waiting:
        done, waiting = wait(waiting, timeout=PATIENCE, return_when=FIRST_COMPLETED)
        for share in _drain(shares):
            advance(share)
        yield from (future.result() for future in done)


def _drain(shares: Any) -> Iterator[float]:
    while True:
        try:
            yield shares.get_nowait()
        except Empty:
            return


def _begin(shares: Any) -> None:
    """Prepare a worker: an interrupt is the first process's to handle."""
    global _shares
    _shares = shares
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    torch.set_num_threads(1)


def _run(work: Callable[[Piece, Advance], Result], piece: Piece) -> Result:
    return work(piece, _shares.put)
