"""Notebooks as pages: their cells and the outputs that they hold, as they are. Nothing is run."""

import re
from pathlib import Path

from links import ROOT

FOLDER = "docs/tutorials"


def notebooks() -> list[str]:
    """Return the notebooks in the repository, in the order of their names; none where nobody has written one."""
    return sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / FOLDER).glob("*.ipynb"))


def convert(notebook: Path) -> tuple[str, dict[str, bytes]]:
    """Return a notebook as Markdown, and the pictures that it shows by their names beside it."""
    from nbconvert import MarkdownExporter

    name = f"{notebook.stem}_files"
    text, resources = MarkdownExporter().from_filename(
        str(notebook), {"unique_key": notebook.stem, "output_files_dir": name}
    )
    return _with_download(_plain(text), notebook.name), dict(resources["outputs"])


def _plain(text: str) -> str:
    """Take away colours that a terminal would show."""
    return re.sub(r"\x1b\[[0-9;]*m", "", text)


def _with_download(text: str, name: str) -> str:
    """Write below the title that the page is a notebook."""
    title, rest = re.match(r"\s*(# [^\n]*\n)?(.*)", text, flags=re.DOTALL).groups()  # type: ignore[union-attr]
    return f"{title or ''}\n*This page is a notebook with its outputs: [{name}]({name}).*\n\n{rest}"
