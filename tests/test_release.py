"""What is released, and what hosted CI runs: laws of tests/release_check.py and .github/workflows/ci.yml."""

import re
import tomllib
from pathlib import Path

import pytest
import release_check
import yaml
from release_check import PACKAGES, ROOT, STEPS, RefusedError, differences, main, run, used, versions

WORKFLOW = ROOT / ".github" / "workflows" / "ci.yml"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def test_the_packages_are_those_that_are_installed():
    found = PROJECT["tool"]["setuptools"]["packages"]["find"]["include"]
    assert {name.rstrip("*") for name in found} == set(PACKAGES)


def test_a_wheel_lacks_nothing_and_holds_nothing_else():
    files = ["README.md", "models/rnp.py", "rnp_pyro/data/a.npz", "tests/test_a.py"]
    good = ["models/rnp.py", "rnp_pyro/data/a.npz", "rnp_pyro-0.1.0.dist-info/METADATA"]
    assert differences(good, files) == []
    assert differences([*good[1:], "tests/test_a.py", "runs/a"], files) == [
        "the wheel lacks models/rnp.py: add it to package-data",
        "the wheel holds runs/a, which is no file of the packages",
        "the wheel holds tests/test_a.py, which is no file of the packages",
    ]


def test_the_version_is_one():
    assert len(versions(ROOT)) == 3
    assert set(versions(ROOT).values()) == {PROJECT["project"]["version"]}


def test_names_that_a_script_takes_are_found():
    assert used("import m\nx = m.fit(1)\nprint(x.y, m.load(m))", "m") == {"fit", "load"}


@pytest.mark.thorough
def test_a_command_that_fails_is_said_with_its_last_lines(tmp_path: Path):
    with pytest.raises(RefusedError, match=r"ended with 1:\n(.*\n)*SystemExit|ended with 1:\nno"):
        run("python", "-c", "raise SystemExit('no')", cwd=tmp_path)


def test_the_first_step_that_fails_ends_the_check(monkeypatch, capsys):
    def refuse(place):
        raise RefusedError("no")

    for name in STEPS:
        monkeypatch.setitem(STEPS, name, lambda place: "done")
    assert main([]) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "ready to release"
    monkeypatch.setitem(STEPS, "contents", refuse)
    assert main([]) == 1
    printed = capsys.readouterr()
    assert printed.err == "contents: no\n"
    assert "clean install" not in printed.out


def test_a_digit_is_parsed_as_soon_as_there_are_weights(monkeypatch, tmp_path: Path):
    """From then on a parse that fails, or writes less than it should, ends the check."""
    asked = []
    monkeypatch.setattr(release_check, "run", lambda *command, cwd: asked.append(command) or "")
    place = release_check.Place(tmp_path, system=False)
    monkeypatch.setattr(release_check, "PRETRAINED", "models/none")
    assert "left out" in release_check.parse_a_digit(place)
    assert asked == []
    monkeypatch.setattr(release_check, "PRETRAINED", "models")
    with pytest.raises(RefusedError, match=r"expected parse.json, parse.png and parse.svg, got nothing"):
        release_check.parse_a_digit(place)
    assert asked[-1][1:3] == ("parse", "pretrained:mnist")


def workflow() -> dict:
    """Read the workflow; YAML takes its ``on`` for true."""
    return yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))


def steps() -> list[dict]:
    return [step for job in workflow()["jobs"].values() for step in job["steps"]]


def test_hosted_ci_runs_what_the_makefile_offers():
    commands = [step["run"] for step in steps() if "run" in step]
    targets = set(re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), flags=re.MULTILINE))
    found = [re.fullmatch(r"make ([\w-]+) PYTHON=python(?: ARGS=tests/[\w/.]+)?", command) for command in commands]
    assert [command for command, one in zip(commands, found, strict=True) if one is None] == []
    assert {one[1] for one in found if one} == {"test", "test-slow", "lint", "docs", "release-check"} <= targets


def test_hosted_ci_may_only_read_and_ends():
    read = workflow()
    assert read["permissions"] == {"contents": "read"}
    assert read["concurrency"]["group"]
    assert all("permissions" not in job and job["timeout-minutes"] <= 90 for job in read["jobs"].values())
    assert "secrets" not in WORKFLOW.read_text(encoding="utf-8")


def test_hosted_ci_pins_its_actions():
    actions = [step["uses"] for step in steps() if "uses" in step]
    assert actions
    assert [action for action in actions if not re.fullmatch(r"actions/[\w-]+@v\d+", action)] == []


def test_hosted_ci_tests_every_python_that_is_promised():
    promised = [one.rsplit(" ", 1)[1] for one in PROJECT["project"]["classifiers"] if re.search(r":: 3\.\d+$", one)]
    for job in ("test", "release"):
        assert workflow()["jobs"][job]["strategy"]["matrix"]["python"] == promised


@pytest.mark.thorough
def test_the_workflow_fits_its_schema():
    """The schema comes with the checker; nothing is fetched."""
    from check_jsonschema import main as check

    with pytest.raises(SystemExit) as ended:
        check.main(["--builtin-schema", "vendor.github-workflows", str(WORKFLOW)])
    assert ended.value.code == 0


def test_no_package_index_is_named():
    """Each installation takes what its pip is set up with."""
    for name in ("pyproject.toml", "Makefile", ".github/workflows/ci.yml", "CONTRIBUTING.md", "tests/release_check.py"):
        text = (ROOT / name).read_text(encoding="utf-8")
        assert not re.search(r"--(extra-)?index-url|--find-links|PIP_(EXTRA_)?INDEX_URL", text), name
