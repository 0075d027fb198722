"""The documentation site: links lead where they do on GitHub, the reference is complete, and it needs no network."""

import base64
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest
from gallery import figures, write_gallery
from links import PAGES, ROOT, relink, site_page, source_page, sources, write_source
from reference import DOOR, SECTIONS, documented, pages, summary
from release_check import tracked

import rnp_pyro


@pytest.mark.parametrize(
    ("page", "at", "link", "expected"),
    [
        ("README.md", "index.md", "docs/data.md#arrayfile", "data.md#arrayfile"),
        ("README.md", "index.md", "docs/parse.png", "parse.png"),
        ("README.md", "index.md", "CONTRIBUTING.md", "contributing.md"),
        ("README.md", "index.md", "models/rnp.py", "source/models/rnp.py.md"),
        ("docs/design.md", "design.md", "../models/rnp.py", "source/models/rnp.py.md"),
        ("docs/design.md", "design.md", "data.md", "data.md"),
        ("docs/guides.md", "guides.md", "../CONTRIBUTING.md#a-guide", "contributing.md#a-guide"),
        ("docs/guides.md", "guides.md", "hour", "source/docs/hour/index.md"),
        ("docs/guides.md", "guides.md", "hour/vae.json", "hour/vae.json"),
        ("docs/guides.md", "guides.md", "#refinement", "#refinement"),
        ("docs/guides.md", "guides.md", "https://x.org/y.md", "https://x.org/y.md"),
        ("docs/tutorials/a.ipynb", "tutorials/a.md", "../library.md", "../library.md"),
        ("docs/tutorials/a.ipynb", "tutorials/a.md", "../../rnp_pyro/tree.py", "../source/rnp_pyro/tree.py.md"),
        ("docs/design.md", "design.md", "gone.md", "gone.md"),  # mkdocs refuses it
    ],
)
def test_links_lead_to_pages_of_the_site(page: str, at: str, link: str, expected: str):
    assert relink(f"a [b]({link}) c", page, at) == f"a [b]({expected}) c"


def test_links_in_code_stay():
    text = "```\n[a](docs/data.md)\n```\n[a](docs/data.md)\n"
    assert relink(text, "README.md", "index.md") == "```\n[a](docs/data.md)\n```\n[a](data.md)\n"


def test_bars_in_a_tables_code_lose_their_backslash():
    """GitHub shows ``a | b`` for both."""
    text = "| a |\n|---|\n| `a \\| b` c \\| d |\n\n`e \\| f`\n"
    assert relink(text, "README.md", "index.md") == "| a |\n|---|\n| `a | b` c \\| d |\n\n`e \\| f`\n"


def test_a_linked_file_has_a_page_of_its_source():
    assert list(sources("[a](../models/rnp.py) [b](data.md) [c](khat.png) [d](hour) [e](#f)", "docs/guides.md")) == [
        "models/rnp.py",
        "docs/hour",
    ]
    assert source_page("docs/hour") == "source/docs/hour/index.md"
    assert "[`vae.json`](../../../hour/vae.json)" in write_source("docs/hour")
    assert (ROOT / "models/rnp.py").read_text(encoding="utf-8") in write_source("models/rnp.py")


def test_every_page_has_a_place_on_the_site():
    assert {site_page(page) for page in PAGES} == {"index.md", "contributing.md", "changelog.md"}
    assert site_page("docs/guides.md") == "guides.md"
    assert site_page("docs/tutorials/a.ipynb") == "tutorials/a.md"
    assert site_page("models/rnp.py") is None


def test_the_reference_has_every_module_of_its_packages():
    """A new guide, model or objective would be missing otherwise: add it to SECTIONS in docs/website/reference.py."""
    shown = ("models", "guides", "inference", "rnp_pyro/part_tree", "rnp_pyro/patches")
    files = [path for folder in shown for path in (ROOT / folder).rglob("*.py") if path.stem != "__init__"]
    assert {".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files} <= documented()


def test_the_reference_has_all_that_a_user_imports():
    shown = {name for names in DOOR.values() for name in names}
    assert {f"rnp_pyro.{name}" for name in rnp_pyro.__all__ if name != "__version__"} <= shown


def test_modules_of_the_reference_have_pages_of_their_own():
    places = [place for place, _ in pages()]
    assert len(places) == len(set(places)) == 1 + len(SECTIONS) + len(documented())
    assert all(summary(module) for module in documented())


PAGE = """# One

![A b](a.png)

*Cap.*

## Two, three

![C](b.png)

Text.
"""


def test_figures_are_found_with_their_captions():
    first, second = figures("docs/x.md", PAGE)
    assert first == ("docs/x.md", "", "A b", "a.png", "*Cap.*")
    assert second == ("docs/x.md", "Two, three", "C", "b.png", None)
    assert "[One: Two, three](x.md#two-three)" in write_gallery({"docs/x.md": PAGE})


def test_the_gallery_shows_every_figure():
    texts = {page: (ROOT / page).read_text(encoding="utf-8") for page in PAGES}
    texts |= {f"docs/{path.name}": path.read_text(encoding="utf-8") for path in (ROOT / "docs").glob("*.md")}
    shown = write_gallery(texts)
    assert [path.name for path in (ROOT / "docs").glob("*.png") if f"({path.name})" not in shown] == []


class Read(HTMLParser):
    """What a page of the site links, what it loads, and which anchors it has."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links, self.loads, self.anchors = list[str](), list[str](), set[str]()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        self.anchors |= {given[name] for name in ("id", "name") if name in given}
        if tag == "a" and "href" in given:
            self.links.append(given["href"])
        if tag == "link" and given.get("rel") in ("prev", "next"):
            self.links.append(given["href"])
        elif tag in ("link", "script", "img", "iframe", "source"):
            self.loads += [given[name] for name in ("href", "src", "srcset") if given.get(name)]


PICTURE = base64.b64encode((ROOT / "docs" / "parse.png").read_bytes()).decode("ascii")

MADE = {
    "cells": [
        {"cell_type": "markdown", "metadata": {}, "source": "# Made\n\nSee [the tree](../../rnp_pyro/tree.py), $z^K$."},
        {
            "cell_type": "code",
            "execution_count": 1,
            "metadata": {},
            "source": "print(3)",
            "outputs": [
                {"output_type": "stream", "name": "stdout", "text": "3\n"},
                {"output_type": "display_data", "metadata": {}, "data": {"image/png": PICTURE}},
            ],
        },
    ],
    "metadata": {"language_info": {"name": "python"}},
    "nbformat": 4,
    "nbformat_minor": 4,
}
"""A notebook."""


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of a copy of the tracked files, with one notebook more."""
    copy = tmp_path_factory.mktemp("copy")
    for name in tracked():
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, copy / name)
    (copy / "docs" / "tutorials").mkdir(exist_ok=True)
    (copy / "docs" / "tutorials" / "99-made.ipynb").write_text(json.dumps(MADE), encoding="utf-8")
    command = [sys.executable, "-m", "mkdocs", "build"]
    done = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return copy / "site"


def read(site: Path) -> dict[Path, Read]:
    return {path: Read(path.read_text(encoding="utf-8")) for path in site.rglob("*.html")}


def broken(site: Path, found: dict[Path, Read]) -> Iterator[str]:
    """Yield the links within the site that lead nowhere, and anchors that are not there."""
    for path, one in found.items():
        for link in [*one.links, *one.loads]:
            target, anchor = urldefrag(unquote(link))
            if re.match(r"[a-z]+:", target):
                continue
            file = (path.parent / target).resolve() if target else path
            named = anchor and file in found and anchor not in found[file].anchors and not anchor.startswith("__")
            if not file.is_file() or named:
                yield f"{path.relative_to(site)}: {link}"


@pytest.mark.thorough
def test_the_site_is_whole_and_needs_no_network(site: Path):
    """It is built strictly: mkdocs has refused what it knows to be broken. This reads what came of it."""
    found = read(site)
    assert len(found) > 80
    # The page for what is not found has links from the server's root.
    whole = {path: one for path, one in found.items() if path.name != "404.html"}
    assert list(broken(site, whole)) == []
    assert {load for one in whole.values() for load in one.loads if re.match(r"([a-z]+:)?//", load)} == set()
    styles = "".join(path.read_text(encoding="utf-8") for path in site.rglob("*.css"))
    assert re.findall(r"url\(['\"]?(?:https?:)?//[^)]*\)|@import[^;]*http[^;]*", styles) == []
    made = (site / "tutorials" / "99-made.html").read_text(encoding="utf-8")
    assert "source/rnp_pyro/tree.py.html" in made
    assert "<msup><mi>z</mi><mi>K</mi></msup>" in made
    assert list((site / "tutorials").glob("99-made_files/*.png"))
    others = [link for path, one in whole.items() if path.name != "99-made.html" for link in one.links]
    assert any(link.endswith("99-made.html") for link in others)


@pytest.mark.thorough
def test_the_reference_shows_what_a_user_imports(site: Path):
    found = Read((site / "api" / "index.html").read_text(encoding="utf-8"))
    names = ("fit", "load", "Run", "Run.parse", "UserError")
    assert {f"rnp_pyro.{name}" for name in names} <= found.anchors
    assert {f"rnp_pyro.api.trees.PartTree.{name}" for name in ("move", "replace", "swap", "truncate")} <= found.anchors
