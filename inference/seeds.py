"""Seeds that are functions of their names, so that no two uses of one seed share their draws."""

from rnp_pyro.streams import Purpose, stream_key

ANNEALING, CHAINS, CLIMB, CHOICE, BOUNDS, EVIDENCE, PROPOSALS, RESAMPLING, PREDICTIONS = range(9)
"""What a seed is used for: the first six in a reference computation."""


def derive_seed(seed: int, *path: int) -> int:
    """Derive the seed of one use.

    Args:
        seed: The user's, or one derived from it.
        path: Numbers that name the use, order matters.
    """
    return int(stream_key(Purpose.REFERENCE, seed, *path))
