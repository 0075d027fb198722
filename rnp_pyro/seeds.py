"""Which seeds and counts there are. It imports no torch, so that an option is refused at once."""

from typing import Any

from rnp_pyro.errors import UserError

SEED_BITS = 63
"""Seeds are the integers of so many bits: those that a signed 64-bit integer holds, from 0 on."""


def check_seed(option: str, seed: Any) -> None:
    """Refuse a seed out of range.

    Args:
        option: As the user wrote it, such as ``--seed``.
        seed: What came.

    Raises:
        UserError: In one line, with the range.
    """
    if not _whole(seed) or not 0 <= seed < 2**SEED_BITS:
        raise UserError(f"{option} must be within [0, 2^{SEED_BITS}), got {seed}")


def check_count(name: str, count: Any, least: int) -> None:
    """Refuse what is no count, or too small a one.

    Args:
        name: As the user wrote it, such as ``particles``.
        count: What came.
        least: The smallest that fits.

    Raises:
        UserError: In one line, with the range.
    """
    if not _whole(count) or count < least:
        raise UserError(f"{name} must be a whole number of at least {least}, got {count!r}")


def _whole(number: Any) -> bool:
    """Return whether a number is a whole one, Python's or another library's."""
    return hasattr(number, "__index__") and not isinstance(number, bool)
