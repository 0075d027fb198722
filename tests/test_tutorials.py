"""The tutorials run from top to bottom, offline and in time, and what is committed is what they show."""

import json
import re
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest
from test_docs import LINK, anchors
from tutorials import METADATA, ROOT, TUTORIALS, execute

LIMIT = 540
"""Seconds that a tutorial may take: three times what two idle cores need."""

LARGEST = 600_000
"""Bytes of a notebook, so that GitHub shows it."""

PATHS = re.compile(r"(?<![\w.:/])/(?:home|root|tmp|work|usr|opt|var|mnt|Users|private)/|\b[A-Z]:\\")
"""Beginnings of paths of one machine."""

QUIET = re.compile(r"\$\$.*?\$\$|\$[^$]*\$|`[^`]*`|\]\([^)]*\)", flags=re.DOTALL)
"""Mathematics, code and targets of links: numbers may stand there."""

NAMED = re.compile(
    r"(?:algorithm|lines?|sections?|eq\.|fig\.|et al\.) \(?\d[\d.]*\)?(?:(?:, | and )\d[\d.]*)*", flags=re.IGNORECASE
)
"""Numbers that name a place, and years."""


def name(path: Path) -> str:
    return path.name


def read(path: Path) -> Any:
    return json.loads(path.read_text(encoding="utf-8"))


def cells(notebook: Any, kind: str) -> list[Any]:
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def text(lines: str | list[str]) -> str:
    """Return what a notebook keeps as lines."""
    return lines if isinstance(lines, str) else "".join(lines)


def prose(notebook: Any) -> str:
    return "\n\n".join(text(cell["source"]) for cell in cells(notebook, "markdown"))


def kinds(cell: Any) -> list[Any]:
    """Return what kinds of outputs a cell has; what it prints comes in one piece or in several, as the clock has it."""
    found = [
        output["name"] if output["output_type"] == "stream" else sorted(output.get("data", output["output_type"]))
        for output in cell["outputs"]
    ]
    return [kind for kind, _ in groupby(found)]


def test_there_are_tutorials():
    assert [path.name for path in TUTORIALS] == ["01-digit-to-parse.ipynb", "02-your-own-guide.ipynb"]


@pytest.mark.parametrize("path", TUTORIALS, ids=name)
def test_notebooks_hold_nothing_of_one_machine(path: Path):
    notebook = read(path)
    assert notebook["metadata"] == METADATA
    assert notebook["nbformat"] == 4
    assert all(cell["metadata"] == {} for cell in notebook["cells"])
    written = [text(cell["source"]) for cell in notebook["cells"]]
    written += [
        text(part)
        for cell in cells(notebook, "code")
        for output in cell["outputs"]
        for kind, part in [("text/plain", output.get("text", "")), *output.get("data", {}).items()]
        if kind.startswith("text/")
    ]
    assert not [found for one in written for found in PATHS.findall(one)]


def test_paths_of_one_machine_are_found():
    assert all(PATHS.search(one) for one in ("read /home/me/x", "C:\\x", "'/tmp/x'"))
    assert not PATHS.search("https://arxiv.org/abs/1606.04934 and ../home/x and a/tmp/b")


@pytest.mark.parametrize("path", TUTORIALS, ids=name)
def test_outputs_are_committed(path: Path):
    """As one run from top to bottom left them, small enough to be shown, and with nothing on stderr."""
    assert path.stat().st_size <= LARGEST
    code = cells(read(path), "code")
    assert [cell["execution_count"] for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell["outputs"]]
    assert {output["output_type"] for output in outputs} <= {"stream", "display_data", "execute_result"}
    assert all(output.get("name") != "stderr" for output in outputs)
    pictures = [data["image/png"] for output in outputs if "image/png" in (data := output.get("data", {}))]
    assert len(pictures) >= 4
    data = {kind for output in outputs for kind in output.get("data", {})}
    assert data <= {"text/plain", "image/png"}, "widgets and HTML are not shown everywhere"


@pytest.mark.parametrize("path", TUTORIALS, ids=name)
def test_links_lead_somewhere(path: Path):
    broken = []
    for target in LINK.findall(prose(read(path))):
        file, _, anchor = target.partition("#")
        found = (path.parent / file).resolve()
        if not target.startswith("https://") and (not found.exists() or (anchor and anchor not in anchors(found))):
            broken.append(target)
    assert broken == []


@pytest.mark.parametrize("path", TUTORIALS, ids=name)
def test_numbers_are_computed(path: Path):
    """Prose tells no result: it would be another after the next change."""
    plain = NAMED.sub("", QUIET.sub("", prose(read(path))))
    assert re.findall(r".{,30}\d[\d.,]*.{,30}", plain) == []


@pytest.mark.parametrize(
    "path",
    [
        pytest.param(TUTORIALS[0], marks=pytest.mark.thorough),
        *(pytest.param(path, marks=pytest.mark.slow) for path in TUTORIALS[1:]),  # a quarter of make test's time
    ],
    ids=name,
)
def test_tutorials_run(path: Path, tmp_path: Path):
    """From top to bottom, in an empty folder, without a network, and as the committed outputs have it."""
    done, seconds = execute(path, tmp_path, LIMIT)
    assert seconds < LIMIT
    before, after = cells(read(path), "code"), cells(done, "code")
    assert not [text(output["text"]) for cell in after for output in cell["outputs"] if output.get("name") == "stderr"]
    assert [kinds(cell) for cell in after] == [kinds(cell) for cell in before], "run python tests/tutorials.py"
    assert sorted(one.name for one in tmp_path.iterdir() if one.suffix not in ("", ".py")) == [path.name]


def test_the_tutorials_are_linked():
    for page in ("README.md", "docs/library.md", "docs/guides.md", "docs/tutorials/README.md"):
        targets = LINK.findall((ROOT / page).read_text(encoding="utf-8"))
        assert set(TUTORIALS) & {(ROOT / page).parent.joinpath(target).resolve() for target in targets}, page
