"""Documentation keeps step with the code: links, commands, files, options, departures and the citation."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml
from departures import BEGIN, END, MARK, PAGE, PLACES, departures, find, write

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
NOT_YET = ("NAME", "EXPERIMENT", "linear", "glance")
"""Files that a page tells the reader to write."""

LINK = re.compile(r"\]\(([^)\s]+)\)")
COMMAND = re.compile(r"python -m (examples(?:\.\w+)+)")
FILE = re.compile(r"`((?:rnp_pyro|models|guides|inference|examples|tests|docs)/[\w./-]+)`")


def text_of(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def prose_of(page: Path) -> str:
    """Return a page without its blocks of code."""
    return re.sub(r"```.*?```", "", text_of(page), flags=re.DOTALL)


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    titles = re.findall(r"^#+ +(.*)$", prose_of(page), flags=re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def broken_links(page: Path) -> Iterator[str]:
    """Yield the relative links whose file or heading does not exist."""
    for target in LINK.findall(prose_of(page)):
        if target.startswith(("https://", "http://", "mailto:")):
            continue
        path, _, anchor = target.partition("#")
        file = page.parent / path if path else page
        if not file.exists() or (anchor and anchor not in anchors(file)):
            yield target


def test_there_are_pages():
    assert {"README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs/design.md", "docs/results.md"} <= set(
        map(name, PAGES)
    )


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_relative_links_lead_somewhere(page: Path):
    assert list(broken_links(page)) == []


def test_broken_links_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# One, two\n[a](page.md#one-two) [b](page.md#three) [c](gone.md) [d](#one-two) [e](https://x.org/y)\n"
    )
    assert list(broken_links(page)) == ["page.md#three", "gone.md"]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_commands_exist(page: Path):
    named = set(COMMAND.findall(text_of(page))) - {f"examples.{one}" for one in NOT_YET}
    places = {one: ROOT / one.replace(".", "/") for one in named}
    files = {one: (place.with_name(f"{place.name}.py"), place / "__main__.py") for one, place in places.items()}
    assert [one for one in sorted(files) if not any(file.is_file() for file in files[one])] == []


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_files_that_are_named_exist(page: Path):
    named = {file for file in FILE.findall(text_of(page)) if not any(word in file for word in NOT_YET)}
    assert [file for file in sorted(named) if not (ROOT / file).exists()] == []


MEASURED = re.compile(
    r"(?<![\w.])\d[\d,]*(?:\.\d+)? (?:nats|images/s|images per second|ms|seconds|minutes|MiB|GFLOP/s|GB/s)\b"
    r"|squared errors? (?:of |by )?[-+]?\d[\d.]*|-ELBOs? (?:of )?\d[\d.]*"
)
"""A number that somebody measured: nats, a rate, a time, memory, an error."""

COLUMNS = re.compile(
    r"^\|(.*(?:ELBO|nats|squared error|images/s|seconds|\bms\b|MiB|k-hat).*)\|\n\|[-:| ]+\|\n\|.*\d", re.M
)
"""A table of such numbers."""

RUNS = re.compile(r"python -m |python tests/|make [a-z]|\bpytest\b|\brnp [a-z]")
"""What somebody can type."""


def sections(page: Path) -> dict[str, str]:
    """Return a page's sections by the anchors of their headings; what stands above the first has none."""
    text = re.sub(r"```.*?```", lambda block: block[0].replace("\n#", "\n "), text_of(page), flags=re.DOTALL)
    pieces = re.split(r"^(?=#+ )", text, flags=re.MULTILINE)
    heads = [
        re.sub(r"[^\w\- ]", "", piece.partition("\n")[0].lstrip("# ").lower()).replace(" ", "-") for piece in pieces
    ]
    return dict(zip(heads, pieces, strict=True))


def says_how(page: Path, text: str) -> bool:
    """Whether a section has a command, or links the section that has it."""
    linked = [target.partition("#") for target in LINK.findall(text) if "://" not in target]
    there = [(page.parent / path if path else page, anchor) for path, _, anchor in linked if anchor]
    return bool(RUNS.search(text)) or any(RUNS.search(sections(file).get(anchor, "")) for file, anchor in there)


def unexplained(page: Path) -> Iterator[str]:
    """Yield the measured numbers whose section does not say by which command they were made."""
    for head, text in sections(page).items():
        found = [one[0] for one in MEASURED.finditer(text)] + COLUMNS.findall(text)
        if found and not says_how(page, text):
            yield f"{head}: {', '.join(found)}"


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_measured_numbers_have_their_commands(page: Path):
    """In their section, or in one that it links. Estimates link what they are reckoned from."""
    assert list(unexplained(page)) == []


def test_numbers_without_commands_are_found(tmp_path):
    page = tmp_path / "page.md"
    page.write_text(
        "# A\n\n3.5 nats\n\n## B\n\n| -ELBO | s |\n|---|---|\n| 3 | 4 |\n\n## C\n\n7 ms: `python -m examples.x`\n\n"
        "## D\n\n20 images/s ([c](page.md#c))\n\n## E\n\nsquared error 0.3 ([b](#b))\n\n## F\n\nfour steps of 3\n"
    )
    assert list(unexplained(page)) == ["a: 3.5 nats", "b:  -ELBO | s ", "e: squared error 0.3"]


def test_figures_are_shown():
    """A picture that no page shows is left over."""
    shown = {target for page in PAGES for target in LINK.findall(text_of(page))}
    assert [path.name for path in (ROOT / "docs").glob("*.png") if not {path.name, f"docs/{path.name}"} & shown] == []


def test_the_design_page_has_the_codes_departures():
    assert text_of(PAGE) == write(text_of(PAGE)), "run: python tests/departures.py"
    assert len(departures()) > 15
    assert all(one.text for one in departures())


def test_every_departure_has_the_mark():
    """A departure spelled otherwise would be missing from the page."""
    for place in PLACES:
        for path in [*(ROOT / place).rglob("*.py"), *(ROOT / place).rglob("*.yaml")]:
            assert text_of(path).count("Departure") == len(MARK.findall(text_of(path))), name(path)


PROGRAM = '''"""M. Departure: one."""


class A:
    def f(self):
        """G.

        Departure (line 9): two
        three.

        Args:
        """
        # Departure: four
        # five.
        return 0
'''


def test_departures_are_read_to_the_end_of_their_paragraph():
    found = [(one.owner, one.text) for one in find("a.py", PROGRAM)]
    assert found == [("", "One."), ("A.f", "Line 9: two three."), ("A.f", "Four five.")]
    assert write(f"a\n{BEGIN}\nold\n{END}\nb").startswith(f"a\n{BEGIN}\n| file")


def test_the_citation_file_is_complete():
    """As version 1.2 of the format asks, with the paper in both its versions."""
    found = yaml.safe_load(text_of(ROOT / "CITATION.cff"))
    assert found["cff-version"] == "1.2.0"
    assert {"message", "title", "authors", "version", "license"} <= set(found)
    paper, *others = found["preferred-citation"], *found["references"]
    assert [author["family-names"] for author in paper["authors"]] == ["Fisher", "Rao"]
    assert "2206.08462" in str([paper, *others])
    assert "10.1093/pnasnexus/pgad337" in str([paper, *others])
    project = re.search(r'^version = "(.*)"$', text_of(ROOT / "pyproject.toml"), flags=re.MULTILINE)
    assert project is not None
    assert found["version"] == project[1]


def test_pre_commit_runs_what_make_check_does():
    hooks = [
        hook for repo in yaml.safe_load(text_of(ROOT / ".pre-commit-config.yaml"))["repos"] for hook in repo["hooks"]
    ]
    assert {"ruff-check", "ruff-format", "pyright", "lint-imports"} <= {hook["id"] for hook in hooks}
