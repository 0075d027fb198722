"""Which seeds there are. It imports no torch, so that an option is refused at once."""

from rnp_pyro.errors import UserError

SEED_BITS = 63
"""Seeds are the integers of so many bits: those that a signed 64-bit integer holds, from 0 on."""


def check_seed(option: str, seed: int) -> None:
    """Refuse a seed out of range.

    Args:
        option: As the user wrote it, such as ``--seed``.
        seed: What came.

    Raises:
        UserError: In one line, with the range.
    """
    if not 0 <= seed < 2**SEED_BITS:
        raise UserError(f"{option} must be within [0, 2^{SEED_BITS}), got {seed}")
