"""What mkdocs asks while it builds the site (``make docs``): pages that are made, and links as they are on the site.

The pages in docs/ are written for GitHub. The home page is the README; it, CONTRIBUTING and CHANGELOG stand outside of
docs/. The API reference, the gallery, notebooks and sources of linked files are made in memory.
"""

import posixpath
import re
from html import unescape
from typing import Any

from gallery import AT, write_gallery
from links import PAGES, ROOT, relink, site_page, source_page, sources, write_source
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files, InclusionLevel
from mkdocs.structure.pages import Page
from notebooks import FOLDER, convert, notebooks
from reference import navigation, pages

REFERENCE, TUTORIALS, MORE = "API reference", "Tutorials", "More"
"""Sections of the navigation that are filled here: the first is in mkdocs.yml, the others if there is anything."""

FORMULA = re.compile(r'<(span|div) class="arithmatex">(.*?)</\1>', flags=re.DOTALL)
"""What pymdownx makes of ``$...$`` and ``$$...$$``."""

WIDE = {"index.md": {"hide": ["navigation"]}, AT: {"hide": ["navigation", "toc"]}}
"""Pages without the columns beside them."""


def on_config(config: MkDocsConfig) -> None:
    """Complete the navigation: notebooks if there are any, the reference, and pages that mkdocs.yml does not name."""
    assert config.nav is not None
    for entry in config.nav:
        if REFERENCE in entry:
            entry[REFERENCE] = navigation()
    tutorials = [page for page in _pages() if page.startswith(f"{FOLDER}/")] + notebooks()
    if tutorials:
        config.nav.insert(1, {TUTORIALS: [site_page(one) for one in tutorials]})
    named = str(config.nav)
    left = [page for page in _pages() if f"'{site_page(page)}'" not in named]
    if left:
        config.nav.append({MORE: [site_page(page) for page in left]})


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages that are made."""
    texts = _texts()
    for page, at in PAGES.items():
        files.append(File.generated(config, at, abs_src_path=str(ROOT / page)))
    for at, text in pages():
        files.append(File.generated(config, at, content=text))
    for notebook in notebooks():
        text, pictures = convert(ROOT / notebook)
        at = site_page(notebook) or ""
        files.append(File.generated(config, at, content=relink(text, notebook, at)))
        texts[notebook] = text
        for name, content in pictures.items():
            files.append(File.generated(config, posixpath.join(posixpath.dirname(at), name), content=content))
    files.append(File.generated(config, AT, content=write_gallery(texts)))
    for path in _sources(texts):
        made = File.generated(config, source_page(path), content=write_source(path))
        made.inclusion = InclusionLevel.NOT_IN_NAV
        files.append(made)
    return files


def on_page_markdown(markdown: str, page: Page, **_: Any) -> str:
    """Turn a page's links to files of the repository into links of the site."""
    at = page.file.src_uri
    page.meta.update(WIDE.get(at, {}))
    written = {site: name for name, site in PAGES.items()}
    name = written.get(at, f"docs/{at}")
    return relink(markdown, name, at) if at in written or (ROOT / name).is_file() else markdown


def on_page_content(html: str, **_: Any) -> str:
    """Write formulas, and leave sources out of the search, which has their docstrings already."""
    html = FORMULA.sub(_formula, html)
    begins = '<details class="mkdocstrings-source"'
    return html.replace(begins, f"{begins} data-search-exclude")


def _formula(found: re.Match[str]) -> str:
    """Return a formula as MathML, which browsers draw by themselves, without scripts and fonts."""
    from latex2mathml.converter import convert as mathml

    text = unescape(found[2]).strip()
    block = text.startswith("\\[")
    formula = mathml(text[2:-2], display="block" if block else "inline")
    return f'<div class="formula">{formula}</div>' if block else formula


def _pages() -> list[str]:
    """Return the pages that are written, by their names in the repository: those outside of docs/ first."""
    return [*PAGES, *sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").rglob("*.md"))]


def _texts() -> dict[str, str]:
    return {page: (ROOT / page).read_text(encoding="utf-8") for page in _pages()}


def _sources(texts: dict[str, str]) -> list[str]:
    """Return all files and folders that pages link, and those that a linked page of Markdown links in turn."""
    found: dict[str, None] = {}
    left = [path for page, text in texts.items() for path in sources(text, page)]
    while left:
        path = left.pop()
        if path not in found:
            found[path] = None
            if path.endswith(".md"):
                left += sources((ROOT / path).read_text(encoding="utf-8"), path)
            elif (ROOT / path).is_dir() and not path.startswith("docs/"):
                left += [f"{path}/{file.name}" for file in (ROOT / path).iterdir() if file.is_file()]
    return sorted(found)
