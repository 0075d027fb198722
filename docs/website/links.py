"""Links of the repository's pages, for the site: each leads to a page of it, to a figure, or to a file's source.

On GitHub ``[x](../models/rnp.py)`` opens the file. The site has a page for each file and folder that is linked so, made
of the file itself, so that nothing is broken.
"""

import posixpath
import re
from collections.abc import Callable, Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGES = {"README.md": "index.md", "CONTRIBUTING.md": "contributing.md", "CHANGELOG.md": "changelog.md"}
"""Pages outside of docs/, and where they stand on the site."""

SOURCE = "source"
"""Folder of the site that holds the sources."""

FENCE = re.compile(r"(^```.*?^```[^\n]*$)", flags=re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\]\(([^)\s]+)\)")
BAR_IN_CODE = re.compile(r"(?<=\n)\|[^\n]*`[^`\n]*\\\|[^\n]*")
"""A table's row with ``\\|`` in code: GitHub wants the backslash there, and the site would show it."""

LANGUAGES = {".py": "python", ".yaml": "yaml", ".yml": "yaml", ".cff": "yaml", ".toml": "toml", ".json": "json"}


def site_page(page: str) -> str | None:
    """Return where a page of the repository stands on the site, None for a file that is no page of it."""
    if page in PAGES:
        return PAGES[page]
    if page.startswith("docs/") and page.endswith((".md", ".ipynb")):
        return page.removeprefix("docs/").removesuffix(".ipynb").removesuffix(".md") + ".md"
    return None


def targets(text: str) -> Iterator[str]:
    """Yield the targets of a page's links, without its blocks of code."""
    for piece in FENCE.split(text)[::2]:
        yield from LINK.findall(piece)


def relink(text: str, page: str, at: str) -> str:
    """Return a page's text with its relative links as they are on the site.

    Args:
        text: Markdown.
        page: The page in the repository, such as ``docs/design.md``; its links are relative to it.
        at: Where the text stands on the site, such as ``design.md``.
    """
    barred = BAR_IN_CODE.sub(lambda row: re.sub(r"`[^`]*`", lambda code: code[0].replace(r"\|", "|"), row[0]), text)
    return _with_links(barred, lambda target: _moved(target, page, at))


def sources(text: str, page: str) -> Iterator[str]:
    """Yield the files and folders that a page links and for which the site makes a page."""
    for target in targets(text):
        if (path := file_of(target, page)) is not None and (name := site_source(path)) is not None:
            yield name


def file_of(target: str, page: str) -> str | None:
    """Return the file in the repository that a link leads to; None for an address, an anchor, and what is not there."""
    path = target.partition("#")[0]
    if not path or "://" in path or path.startswith("mailto:"):
        return None
    found = posixpath.normpath(posixpath.join(posixpath.dirname(page), path))
    return found if not found.startswith("..") and (ROOT / found).exists() else None


def site_source(path: str) -> str | None:
    """Return the name of a file for which the site makes a page; None if it has one, or is copied as it is."""
    if site_page(path) is not None or (path.startswith("docs/") and (ROOT / path).is_file()):
        return None
    return path


def source_page(path: str) -> str:
    """Return where a file's source stands on the site, or a folder's list of files."""
    return f"{SOURCE}/{path}/index.md" if (ROOT / path).is_dir() else f"{SOURCE}/{path}.md"


def write_source(path: str) -> str:
    """Write the page of a file's source, or of a folder's files. Readers do not search it: it says all twice."""
    file, head = ROOT / path, f"---\nhide: [navigation, toc]\nsearch:\n  exclude: true\n---\n\n# `{path}`\n\n"
    if file.is_dir():
        return head + "\n".join(f"- {_listed(one, path)}" for one in sorted(file.iterdir()) if one.is_file()) + "\n"
    text = file.read_text(encoding="utf-8")
    if file.suffix == ".md":
        return head + relink(text, path, source_page(path))
    return f'{head}````{LANGUAGES.get(file.suffix, "text")} linenums="1"\n{text}````\n'


def _listed(file: Path, folder: str) -> str:
    """Link a folder's file: mkdocs copies those of docs/ as they are."""
    path = f"{folder}/{file.name}"
    target = path.removeprefix("docs/") if path.startswith("docs/") else source_page(path)
    return f"[`{file.name}`]({posixpath.relpath(target, posixpath.dirname(source_page(folder)))})"


def _moved(target: str, page: str, at: str) -> str:
    if (path := file_of(target, page)) is None:
        return target
    anchor = target.partition("#")[2]
    there = site_page(path) or (path.removeprefix("docs/") if site_source(path) is None else source_page(path))
    return posixpath.relpath(there, posixpath.dirname(at) or ".") + (f"#{anchor}" if anchor else "")


def _with_links(text: str, change: Callable[[str], str]) -> str:
    pieces = FENCE.split(text)
    pieces[::2] = [LINK.sub(lambda found: f"]({change(found[1])})", piece) for piece in pieces[::2]]
    return "".join(pieces)
