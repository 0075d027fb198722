"""Colour the steps of a program: translucent inks on white paper, in the paper's order."""

from rnp_pyro.shapes import Float, Tensor

PART_COLOURS = (
    (0x1F, 0x5F, 0xBF),  # blue
    (0xD0, 0x1C, 0x1C),  # red
    (0x2F, 0xA8, 0x4F),  # green
    (0xFF, 0x9E, 0x1B),  # orange
    (0x8A, 0x2F, 0xA8),  # purple
    (0x7A, 0x4A, 0x2B),  # brown
    (0xF0, 0x6E, 0xB4),  # pink
    (0x27, 0xB5, 0xD9),  # cyan
)
"""Colours of steps 0, 1, ... in 8-bit RGB.

The first four are the paper's in name, and in shade stay apart under the three common colour-vision deficiencies
too: CIE Lab distance at least 23, where matplotlib's own four come as near as 5.
"""


def part_colour(step: int) -> tuple[float, float, float]:
    """Return the colour of a step; after the last colour they begin again.

    Args:
        step: 0 for the first part.

    Returns:
        Red, green and blue in [0, 1].
    """
    red, green, blue = PART_COLOURS[step % len(PART_COLOURS)]
    return red / 255, green / 255, blue / 255


def tint(parts: Float[Tensor, "*batch T 1 H W"]) -> Float[Tensor, "*batch T 3 H W"]:
    """Draw each part alone on white paper in its step's colour: 1 - ink * (1 - colour).

    Args:
        parts: grey parts, ink in [0, 1], clamped.

    Returns:
        Red, green and blue in [0, 1].

    Raises:
        ValueError: The parts are not grey.
    """
    num_steps, num_channels = parts.shape[-4:-2]
    if num_channels != 1:
        raise ValueError(f"only grey parts can be tinted: expected 1 channel, got {num_channels}")
    colours = parts.new_tensor([part_colour(step) for step in range(num_steps)])[:, :, None, None]
    return 1 - parts.clamp(0, 1) * (1 - colours)


def colourise(parts: Float[Tensor, "*batch T 1 H W"]) -> Float[Tensor, "*batch 3 H W"]:
    """Superimpose parts as translucent inks on white paper: prod_t (1 - ink_t * (1 - colour_t)).

    The order of the parts decides their colours (blue, red, green, orange, ...), not who covers whom.

    Args:
        parts: grey parts on one canvas, ink in [0, 1], clamped.

    Returns:
        Red, green and blue in [0, 1]; white where there is no ink.

    Raises:
        ValueError: The parts are not grey.
    """
    return tint(parts).prod(-4)
