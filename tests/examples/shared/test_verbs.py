"""The console script, and how little is imported before options are read."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import examples
import rnp_pyro
from examples.shared import verbs

ROOT = Path(examples.__file__).parents[1]
HEAVY = {"torch", "pyro", "lightning_fabric", "arviz", "matplotlib", "numpy", "xarray"}
VERBS = ["train", "train_svi", "parse", "compare-runs"]

EAGER = {"tiny_rnp"}
"""Commands that are read from top to bottom, with all imports there."""


def rnp(monkeypatch, capsys, *arguments: str) -> tuple[int, str, str]:
    monkeypatch.setattr("sys.argv", ["/bin/rnp", *arguments])
    status = 0
    try:
        verbs.main()
    except SystemExit as ended:
        status = int(ended.code or 0)
    return status, *capsys.readouterr()


def test_help_lists_every_command(monkeypatch, capsys):
    for arguments in ((), ("--help",), ("-h",)):
        status, out, err = rnp(monkeypatch, capsys, *arguments)
        assert (status, err) == (0, "")
        files = [file for file in (ROOT / "examples").glob("*.py") if "__main__" in file.read_text()]
        assert {file.stem for file in files} | {"train", "paper"} == {
            line.split()[0] for line in out.splitlines() if line[:2] == "  "
        }
        assert all(len(line.split()) > 2 for line in out.splitlines() if line[:2] == "  ")


def test_version(monkeypatch, capsys):
    assert rnp(monkeypatch, capsys, "--version") == (0, f"{rnp_pyro.__version__}\n", "")


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("verb", VERBS)
def test_a_verb_is_its_command(monkeypatch, capsys, verb):
    status, out, _ = rnp(monkeypatch, capsys, verb, "--help")
    assert status == 0
    assert out.startswith("usage: rnp ")
    assert rnp(monkeypatch, capsys, verb, "--no_such_option=1")[0] == 2


def test_an_unknown_verb(monkeypatch, capsys):
    status, out, err = rnp(monkeypatch, capsys, "prase")
    assert (status, out) == (2, "")
    assert err.startswith("error: expected one of train, ")
    assert err.endswith("got prase; did you mean parse?\n")


@pytest.mark.thorough
@pytest.mark.parametrize("arguments", [["--help"], ["--no_such_option=1"]])
def test_options_are_answered_before_anything_heavy_is_imported(arguments):
    names = sorted(set(verbs.verbs()) - EAGER)
    code = f"""
import contextlib, io, sys
from importlib import import_module
for name in {names}:
    with contextlib.redirect_stdout(io.StringIO()), contextlib.suppress(SystemExit):
        try:
            import_module(f"examples.{{name}}").command({arguments})
        except Exception as error:
            assert type(error).__name__ in ("ArgumentError", "UserError"), error
    assert not {HEAVY} & set(sys.modules), (name, {HEAVY} & set(sys.modules))
print(len({names}))
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 12


def test_the_short_help_of_training(call):
    short, whole = call("train_svi", "--help").out, call("train_svi", "--help_all").out
    for option in ("--data", "--train.minutes", "--resume", "--help_all", "--guide.name"):
        assert f"  {option}" in short
    assert "--model.tree.leak" in whole
    assert "--model.tree.leak" not in short
    assert len(short.splitlines()) < len(whole.splitlines()) / 3


@pytest.mark.thorough
@pytest.mark.parametrize(("preset", "shown"), [("quickstart", "state ladder"), ("root-only", "none resnet")])
def test_help_shows_the_values_that_hold_by_default(call, preset, shown):
    """And not those of the dataclasses, which a preset and what suits it replace."""
    text = " ".join(call("train_svi", f"--preset={preset}", "--help").out.split())
    assert f"Defaults are those of the preset {preset}." in text
    found = {name: re.search(rf"--{name} .*?default: ([^)]*)\)", text) for name in ("model.node_latents", "guide.name")}
    assert " ".join(match[1] for match in found.values() if match) == shown
