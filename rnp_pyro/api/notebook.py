"""Figures and progress bars as notebooks show them."""

import io
import sys

from matplotlib.figure import Figure


def png(figure: Figure) -> bytes:
    """Return a figure as the bytes of a PNG file."""
    file = io.BytesIO()
    figure.savefig(file, format="png", dpi="figure", facecolor="white")
    return file.getvalue()


def in_notebook() -> bool:
    """Return whether the program runs in the kernel of a notebook."""
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    return shell is not None and "IPKernelApp" in shell.config


def hide_bar(silent: bool) -> bool | None:
    """Return tqdm's ``disable``: bars are for notebooks and terminals; None leaves it to tqdm to tell the latter."""
    return True if silent else False if in_notebook() else None
