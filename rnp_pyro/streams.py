"""Random numbers that are pure functions of their names: counters hashed, no generator, no state.

All streams of the project are listed here: :class:`Purpose`, and inside one of them :class:`Use`.

The hash is splitmix64 (Steele, Lea & Flood, 2014), ``scramble(key + counter * GAMMA)``, in wrapping 64-bit integers.
So the numbers do not depend on the device, on the release of torch, or on earlier draws.
"""

from enum import IntEnum

import torch
from jaxtyping import Float32, Float64, Int64

from rnp_pyro.shapes import Tensor


class Purpose(IntEnum):
    """Streams that share a seed and must not share their numbers. Changing a number here changes everybody's data."""

    SPLIT = 1
    SAMPLE = 2
    BATCHES = 3
    TRAINING_NOISE = 4
    EVALUATION_NOISE = 5
    PARTICLES = 6
    DERIVED_SEEDS = 7
    REFINEMENT = 8
    COLOURS = 20
    PAIRS = 21


class Use(IntEnum):
    """What a seed that :func:`derive_seed` makes is for: the first six in a reference computation."""

    ANNEALING = 0
    CHAINS = 1
    CLIMB = 2
    CHOICE = 3
    BOUNDS = 4
    EVIDENCE = 5
    PROPOSALS = 6
    RESAMPLING = 7
    PREDICTIONS = 8


def _signed(number: int) -> int:
    """Return the 64-bit two's complement integer with the bits of ``number``."""
    return (number + 2**63) % 2**64 - 2**63


_GAMMA = _signed(0x9E3779B97F4A7C15)
_FIRST_FACTOR = _signed(0xBF58476D1CE4E5B9)
_SECOND_FACTOR = _signed(0x94D049BB133111EB)


def _shift_right(bits: Int64[Tensor, "..."], places: int) -> Int64[Tensor, "..."]:
    """Shift zeros in from the left; ``>>`` alone repeats the sign bit."""
    return (bits >> places).bitwise_and_((1 << (64 - places)) - 1)


def scramble(bits: Int64[Tensor, "..."]) -> Int64[Tensor, "..."]:
    """Apply splitmix64's finalizer, a bijection of 64-bit integers."""
    # In place on tensors made here: with a fresh one for each operation, most of the time goes into memory.
    bits = _shift_right(bits, 30).bitwise_xor_(bits).mul_(_FIRST_FACTOR)
    bits = _shift_right(bits, 27).bitwise_xor_(bits).mul_(_SECOND_FACTOR)
    return _shift_right(bits, 31).bitwise_xor_(bits)


def stream_key(purpose: Purpose, *numbers: int) -> Int64[Tensor, ""]:
    """Return the key of the stream that ``purpose`` and ``numbers`` (any integers, order matters) name."""
    key = torch.zeros((), dtype=torch.int64)
    for number in (purpose, *numbers):
        key = scramble(key + _signed(int(number) * _GAMMA))
    return key


def derive_seed(seed: int, *path: int) -> int:
    """Derive the seed of one use, so that no two uses of one seed share their draws.

    Args:
        seed: The user's, or one derived from it.
        path: A :class:`Use` and other numbers that name it, order matters.
    """
    return int(stream_key(Purpose.DERIVED_SEEDS, seed, *path))


def mix_seed(seed: int, step: int, rank: int = 0) -> int:
    """Derive the seed of a training step's noise, different for every (seed, step, rank) of practical size.

    Args:
        seed: The run's.
        step: From 0.
        rank: The device's number among those that share a batch.
    """
    return (seed * 1_000_003 + rank) * 2**31 % 2**62 + step


def keys_of(key: Int64[Tensor, ""], counters: Int64[Tensor, "*batch"]) -> Int64[Tensor, "*batch"]:
    """Return one 64-bit number, itself a key, for each counter of the stream ``key``, on the counters' device."""
    return scramble(key.to(counters.device) + (counters + 1) * _GAMMA)


def uniforms(keys: Int64[Tensor, "N"], count: int) -> Float32[Tensor, "N {count}"]:
    """Return the first ``count`` uniform numbers of each stream: multiples of 2^-24 in [0, 1)."""
    steps = torch.arange(1, count + 1, device=keys.device) * _GAMMA
    bits = scramble(keys.unsqueeze(-1) + steps)
    return _shift_right(bits, 40).to(torch.float32).mul_(2.0**-24)


def open_uniforms(keys: Int64[Tensor, "N"], count: int) -> Float64[Tensor, "N {count}"]:
    """Return finer uniform numbers that are never 0: odd multiples of 2^-53 in (0, 1), for quantile functions."""
    steps = torch.arange(1, count + 1, device=keys.device) * _GAMMA
    bits = scramble(keys.unsqueeze(-1) + steps)
    return _shift_right(bits, 12).to(torch.float64).add_(0.5).mul_(2.0**-52)


def permutation(key: Int64[Tensor, ""], count: int) -> Int64[Tensor, "{count}"]:
    """Return the numbers 0 to ``count`` - 1 in the random order of the stream ``key``."""
    return keys_of(key, torch.arange(count)).argsort(stable=True)
