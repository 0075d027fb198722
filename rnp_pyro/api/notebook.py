"""Figures as notebooks show them."""

import io

from matplotlib.figure import Figure


def png(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi="figure", facecolor="white")
    return file.getvalue()
