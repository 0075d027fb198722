"""Which value of the user's pixels counts as white."""

from collections.abc import Sequence

from rnp_pyro.data.source import White
from rnp_pyro.pictures.levels import FULL_WORDS


def choose_white(
    brightest: Sequence[float], full: Sequence[float], wish: White
) -> tuple[float | None, tuple[str, ...]]:
    """Return the value that counts as white, or None for the largest of the pixels' type, and what the user is told.

    Masks of 0 and 1, or 12 bits in 16, would be black. So where all files are of one type and their brightest pixel
    stays under a tenth of what the type holds, or under half of it for 16 bits, which cameras seldom fill, it counts
    as white.

    Args:
        brightest: Largest value of each file.
        full: The value that is white by each file's type: 255, 65535, or 1 for floating-point numbers.
        wish: The user's own choice, or auto, or full.
    """
    if not isinstance(wish, str):
        return float(wish), ()
    most, whites = max(brightest), set(full)
    if whites == {1.0, 255.0}:  # floating-point numbers of 0 to 255, in some files all under 1
        return 255.0, ()
    if wish == "full" or len(whites) > 1 or not 0 < most < max(whites) / 2:
        return None, ()
    white = max(whites)
    said = f"the brightest pixel of all is {most:g} where {white:g} is white"
    if white != FULL_WORDS and most >= white / 10:
        return None, (f"{said}: the images are dark; --white {most:g} brightens them",)
    return most, (f"{said}: {most:g} was taken as white; --white full leaves it as it is",)
