"""The departures from the paper, collected from the code for docs/design.md.

``python tests/departures.py`` writes the page's table again; tests/test_docs.py fails where page and code differ.
"""

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "design.md"
PLACES = ("models", "rnp_pyro", "guides", "flows", "inference", "examples")
BEGIN, END = "<!-- departures: python tests/departures.py -->", "<!-- end of departures -->"
MARK = re.compile(r"Departure(?: \([^)]*\))?:")


class Departure(NamedTuple):
    """One difference from the paper: the file, the function or class, and what is different and why."""

    path: str
    owner: str
    text: str


def departures() -> list[Departure]:
    """Collect them all, file by file in reading order."""
    files = [path for place in PLACES for kind in ("*.py", "*.yaml") for path in sorted((ROOT / place).rglob(kind))]
    return [one for path in files for one in find(path.relative_to(ROOT).as_posix(), path.read_text(encoding="utf-8"))]


def find(path: str, source: str) -> Iterator[Departure]:
    """Find a file's departures: each runs from its mark to the end of its paragraph."""
    if not MARK.search(source):  # parsing all files takes seconds
        return
    lines = source.splitlines()
    owners = _owners(source) if path.endswith(".py") else {}
    for number, line in enumerate(lines, start=1):
        for mark in MARK.finditer(line):
            first = line[mark.start() :]
            if first.count('"""'):
                yield Departure(path, owners.get(number, ""), _tidy(first.split('"""')[0]))
            else:
                yield Departure(path, owners.get(number, ""), _tidy(" ".join([first, *_rest(lines[number:], line)])))


def _rest(lines: list[str], first: str) -> Iterator[str]:
    """Yield the lines that continue a paragraph."""
    comment = first.strip().startswith("#")
    for line in lines:
        text = line.strip()
        ends = not text.removeprefix("#").strip() or text.startswith(('"""', "- ")) or MARK.search(text)
        if ends or comment != text.startswith("#"):
            return
        yield text.removeprefix("#").strip().split('"""')[0]
        if '"""' in text:
            return


def _owners(source: str) -> dict[int, str]:
    """Map each line to the innermost function or class around it."""
    found: dict[int, str] = {}

    def visit(node: ast.AST, name: str) -> None:
        for child in ast.iter_child_nodes(node):
            inner = name
            if isinstance(child, ast.FunctionDef | ast.ClassDef):
                inner = f"{name}.{child.name}" if name else child.name
                found.update(dict.fromkeys(range(child.lineno, (child.end_lineno or child.lineno) + 1), inner))
            visit(child, inner)

    visit(ast.parse(source), "")
    return found


def _tidy(text: str) -> str:
    """Take the mark away, but not the line of Algorithm 1 that it names; one line for a table."""
    text = re.sub(r"^Departure(?: \(([^)]*)\))?:\s*", lambda mark: f"{mark[1]}: " if mark[1] else "", text.strip())
    text = " ".join(text.split()).replace("``", "`").replace("|", r"\|")
    return text[:1].upper() + text[1:]


def table() -> str:
    """Write the table as Markdown."""
    rows = [
        f"| [`{one.path}`](../{one.path}) | {f'`{one.owner}`' if one.owner else ''} | {one.text} |"
        for one in departures()
    ]
    return "\n".join(["| file | at | what differs, and why |", "|---|---|---|", *rows])


def write(page: str) -> str:
    """Write the table into a page, between its two marks."""
    before, after = page.split(BEGIN)[0], page.split(END)[1]
    return f"{before}{BEGIN}\n{table()}\n{END}{after}"


if __name__ == "__main__":
    PAGE.write_text(write(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
