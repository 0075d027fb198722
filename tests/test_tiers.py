"""The tiers of tests are what they say: `pytest` alone, `make test`, and the slow rest."""

import ast
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
FILES = sorted((ROOT / "tests").rglob("test_*.py"))
LATER = {"thorough", "slow"}
"""Markers of tests that `pytest` alone leaves out."""

SHARED = {"grey_run", "colour_run", "vae_run"}
TRAINING = {"train", *SHARED}
"""Fixtures that train; of the runs that tests share, the fast tier trains one: ``digits_run``."""

PROCESSES = {"subprocess.run", "subprocess.Popen"}
"""Calls that start a process."""


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


@cache
def parse(path: Path) -> ast.Module:
    """Parse a file, once for all laws."""
    return ast.parse(path.read_text(encoding="utf-8"))


def markers(node: ast.AST) -> set[str]:
    """Return the markers that decorators, ``pytestmark`` or ``pytest.param`` name."""
    found = [part for part in ast.walk(node) if isinstance(part, ast.Attribute)]
    return {part.attr for part in found if isinstance(part.value, ast.Attribute) and part.value.attr == "mark"}


def marked(path: Path) -> Iterator[tuple[ast.FunctionDef, set[str]]]:
    """Yield a file's tests with their markers; those of the whole file included."""
    body = parse(path).body
    assigned = [node for node in body if isinstance(node, ast.Assign)]
    shared = [markers(node.value) for node in assigned if ast.unparse(node.targets[0]) == "pytestmark"]
    for node in body:
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            yield node, set().union(*shared, *map(markers, node.decorator_list))


def calls(node: ast.AST, helpers: dict[str, ast.FunctionDef]) -> set[str]:
    """Return the names of what a function calls, itself or through helpers of its file."""
    found = {ast.unparse(part.func) for part in ast.walk(node) if isinstance(part, ast.Call)}
    others = {one: helper for one, helper in helpers.items() if one not in found}
    return found.union(*(calls(helpers[one], others) for one in found & helpers.keys()))


def test_markers_are_found(tmp_path: Path):
    """Otherwise the laws below would hold of nothing."""
    file = tmp_path / "test_x.py"
    file.write_text(
        "import pytest\n"
        "@pytest.mark.slow\ndef test_a(): ...\n"
        "@pytest.mark.parametrize('x', [1])\n@pytest.mark.thorough\ndef test_b(x): ...\n"
        "def test_c(): ...\n"
    )
    assert [(test.name, marks & LATER) for test, marks in marked(file)] == [
        ("test_a", {"slow"}),
        ("test_b", {"thorough"}),
        ("test_c", set()),
    ]
    parse.cache_clear()
    file.write_text(f"pytestmark = [pytest.mark.thorough]\n{file.read_text()}")
    assert all("thorough" in marks for _, marks in marked(file))


def test_every_file_has_tests_in_the_fast_tier():
    """An error in what a file tests is then found within a minute."""
    without = [name(path) for path in FILES if not any(not marks & LATER for _, marks in marked(path))]
    assert not without, "leave one test of each unmarked at least"


def test_what_trains_or_starts_processes_is_marked():
    found = [
        f"{name(path)}: {test.name} uses {', '.join(sorted(used))}: mark it thorough"
        for path in FILES
        for test, used in unmarked_use(path)
    ]
    assert not found


def unmarked_use(path: Path) -> Iterator[tuple[ast.FunctionDef, set[str]]]:
    """Yield a file's unmarked tests that train or start a process, and by what."""
    body = parse(path).body
    helpers = {node.name: node for node in body if isinstance(node, ast.FunctionDef)}
    for test, marks in marked(path):
        if marks & LATER:
            continue
        values = [part for decorator in test.decorator_list for part in ast.walk(decorator)]
        named = {part.value for part in values if isinstance(part, ast.Constant)}
        asked = {argument.arg for argument in test.args.args} & TRAINING | named & SHARED
        if used := asked | calls(test, helpers) & PROCESSES:
            yield test, used


MOST_FAST = 2300
"""Tests that `pytest` alone runs at most: with those there are it takes a minute on two cores."""


def test_the_fast_tier_stays_within_a_minute(request: pytest.FixtureRequest):
    """Of what a new test adds; beyond it cases are marked ``thorough_after``, or tests that prove the same go."""
    fast = [item for item in request.session.items if not LATER & {mark.name for mark in item.iter_markers()}]
    assert len(fast) <= MOST_FAST


def test_cases_after_the_first_are_thorough(request: pytest.FixtureRequest):
    """Wherever ``thorough_after`` stands, in whatever tier this runs."""
    split = [item for item in request.session.items if item.get_closest_marker("thorough_after") is not None]
    fast = Counter(item.nodeid.split("[")[0] for item in split if item.get_closest_marker("thorough") is None)
    for item in split:
        mark = item.get_closest_marker("thorough_after")
        assert mark is not None
        assert fast[item.nodeid.split("[")[0]] <= mark.args[0]


def test_names_of_tests_are_the_same_in_every_process(request: pytest.FixtureRequest):
    """So that a test that failed can be asked for by its name, and workers share tests out."""
    names = [item.nodeid for item in request.session.items]
    assert not [one for one in names if re.search(r" at 0x[0-9a-f]+", one)]


def test_the_commands_choose_their_tiers():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["pytest"]["ini_options"]
    assert "-m 'not thorough and not slow'" in settings["addopts"]
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    lines = {target: re.findall(rf"^{target}:.*\n(?:\t.*\n)*", makefile, flags=re.MULTILINE)[0] for target in TIERS}
    for target, options in TIERS.items():
        assert f"{options} $(ARGS)\n" in lines[target]


TIERS = {
    "test-fast": "$(BIN)/python -m pytest",
    "test": '$(TEST) -m "not slow"',
    "check": '$(TEST) -m "not slow"',
    "test-slow": "$(TEST) -m slow",
}
"""Targets of the Makefile, and the options of each."""

ONE_OF_EACH = """
import pytest

def test_fast(): ...

@pytest.mark.thorough
def test_thorough(): ...

@pytest.mark.slow
def test_slow(): ...

@pytest.mark.thorough
@pytest.mark.slow
def test_both(): ...
"""


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ([], ["test_fast"]),
        (["-m", "not slow"], ["test_fast", "test_thorough"]),
        (["-m", "slow"], ["test_slow", "test_both"]),
    ],
)
def test_each_tier_runs_what_it_names(tmp_path: Path, options: list[str], expected: list[str]):
    (tmp_path / "test_one_of_each.py").write_text(ONE_OF_EACH)
    command = [sys.executable, "-m", "pytest", "-c", ROOT / "pyproject.toml", f"--rootdir={tmp_path}", tmp_path]
    quiet = ["--collect-only", "-q", "-p", "no:cacheprovider", *options]
    done = subprocess.run([*command, *quiet], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert re.findall(r"::(\w+)$", done.stdout, flags=re.MULTILINE) == expected
