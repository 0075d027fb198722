"""Lines that work does not depend on."""

from contextlib import suppress


def tell(text: str) -> None:
    """Print a line at once, if it can be: no training ends because its terminal was closed or its log found no room."""
    with suppress(OSError, ValueError):
        print(text, flush=True)
