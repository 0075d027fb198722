"""Write a figure to a file, whole or not at all."""

import os
from pathlib import Path

from matplotlib.figure import Figure

from rnp_pyro.writing import writing


def save(figure: Figure, path: str | Path) -> None:
    """Write a figure; its ending (`.png`, `.pdf`, `.svg`) names the format. Folders are made as needed.

    The file appears under its name only when it is complete, and then replaces an older one.

    Args:
        figure: any of this package's figures.
        path: where to.

    Raises:
        ValueError: matplotlib does not know the ending.
        UserError: the file cannot be written.
    """
    path = Path(path)
    unfinished = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            figure.savefig(unfinished, format=path.suffix[1:], dpi="figure", facecolor="white")
            os.replace(unfinished, path)
        finally:
            unfinished.unlink(missing_ok=True)
