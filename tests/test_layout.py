"""Laws of the source itself: who imports whom, what importing does, and how long the first file is."""

import ast
import io
import re
import subprocess
import sys
import tokenize
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("rnp_pyro", "models", "guides", "flows", "inference", "examples")
SOURCES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

DEVICES = {"cpu", "cuda", "mps", "xpu", "tpu", "meta"}
DEVICE_LITERALS = {
    "rnp_pyro/checkpoint.py": {"cpu"},  # a checkpoint of any machine is read onto the CPU first
    "rnp_pyro/figures/printing.py": {"cpu"},  # images become NumPy arrays there
    "examples/benchmarking/timing.py": {"cuda"},  # the one whose allocator is asked for its peak
    "examples/paper/__init__.py": {"cpu"},  # a scale: figures at the size of two processor cores
    "examples/paper/config.py": {"cpu"},  # the same
    "examples/paper/scales.py": {"cpu"},  # the same
    "rnp_pyro/api/devices.py": {"mps"},  # the one without float64
    "examples/evaluation/evaluate.py": {"cpu"},  # whose processors processes share out
    "inference/contexts.py": {"cpu", "cuda", "meta"},  # which generators there are to put back
}
"""Files that may name a device; all others take theirs from Fabric, or from the tensors that they are given."""


def name(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def python(code: str) -> subprocess.CompletedProcess[str]:
    """Run code in a fresh interpreter at the root."""
    return subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)


def docstring_lines(source: str) -> set[int]:
    """Lines of the docstrings of the module, its classes and its functions, and of strings that stand alone."""
    statements = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Expr)]
    constants = [node.value for node in statements if isinstance(node.value, ast.Constant)]
    texts = [constant for constant in constants if isinstance(constant.value, str)]
    return {line for text in texts for line in range(text.lineno, (text.end_lineno or text.lineno) + 1)}


def code_lines(source: str) -> set[int]:
    """Lines that are neither blank nor comment nor docstring."""
    silent = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    spoken = [token for token in tokens if token.type not in silent]
    return {line for token in spoken for line in range(token.start[0], token.end[0] + 1)} - docstring_lines(source)


def test_lines_of_code_are_counted_right():
    source = '"""Two\n\nlines."""\n\nx = 1  # one\n# none\n\n\ndef f():\n    """None."""\n    return """a\nb"""\n'
    assert code_lines(source) == {5, 9, 11, 12}


def test_the_first_file_to_read_is_short():
    lines = code_lines((ROOT / "models" / "rnp.py").read_text(encoding="utf-8"))
    assert 20 <= len(lines) <= 80


def test_the_first_file_reads_draw_unfold_fold_observe():
    source = (ROOT / "models" / "rnp.py").read_text(encoding="utf-8")
    places = [source.index(call) for call in ("z = pyro.sample(", ".unfold(z, ", ".fold(parse)", "pyro.sample(IMAGE, ")]
    assert places == sorted(places)


@pytest.mark.thorough
def test_imports_go_one_way():
    """The contracts of pyproject.toml."""
    found = python("import sys; from importlinter.cli import lint_imports; sys.exit(lint_imports(no_cache=True))")
    assert found.returncode == 0, found.stdout + found.stderr
    assert "0 broken" in found.stdout


def test_the_contract_of_the_core_names_all_of_it():
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    (contract,) = (one for one in settings["contracts"] if "pyro" in one.get("forbidden_modules", ()))
    beside = {"__init__", "__pycache__", "py", "api"}
    found = {path.stem for path in (ROOT / "rnp_pyro").iterdir() if path.suffix in ("", ".py")} - beside
    assert set(contract["source_modules"]) == {f"rnp_pyro.{module}" for module in found}


IMPORTING = """
import importlib, pkgutil, random, sys
import numpy, torch, matplotlib
settings = {}

def state():
    return {
        "default dtype": torch.get_default_dtype(),
        "default device": torch.get_default_device(),
        "gradients": torch.is_grad_enabled(),
        "threads": (torch.get_num_threads(), torch.get_num_interop_threads()),
        "deterministic": torch.are_deterministic_algorithms_enabled(),
        "matmul precision": torch.get_float32_matmul_precision(),
        "torch generator": torch.get_rng_state().tolist(),
        "numpy generator": repr(numpy.random.get_state()),
        "random generator": random.getstate(),
        "matplotlib settings": sorted(dict.items(matplotlib.rcParams), key=repr),  # dict(...) would choose a backend
        **{name: get() for name, get in settings.items()},
    }

def find(package, wanted):
    "Find a package's modules without importing any that is not wanted."
    for module in pkgutil.iter_modules(importlib.import_module(package).__path__, package + "."):
        if wanted(module.name):
            yield module.name
            if module.ispkg:
                yield from find(module.name, wanted)

def import_all(package, wanted=lambda name: True):
    "Import a package and all its modules, and look whether anything else has changed."
    before = state()
    names = list(find(package, wanted))
    for name in names:
        importlib.import_module(name)
    after = state()
    changed = [name for name in before if repr(before[name]) != repr(after[name])]
    assert not changed, (package, changed)
    return len(names)

modules = import_all("rnp_pyro", lambda name: not name.startswith("rnp_pyro.api"))
assert "pyro" not in sys.modules, "the core works without Pyro"
import pyro
settings = {"pyro": pyro.settings.get, "pyro parameters": lambda: sorted(pyro.get_param_store().keys())}
modules += import_all("rnp_pyro", lambda name: name.startswith("rnp_pyro.api"))
print(modules + sum(map(import_all, ("models", "guides", "flows", "inference", "examples"))))
assert "matplotlib.pyplot" not in sys.modules, "pyplot chooses a backend for the whole process"
"""


@pytest.mark.thorough
def test_importing_changes_no_global_state():
    """Nor does the core import Pyro by way of others."""
    found = python(IMPORTING)
    assert found.returncode == 0, found.stdout + found.stderr
    assert int(found.stdout) == len(SOURCES) - len(PACKAGES)


def strings(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def test_devices_are_not_written_out():
    for path in SOURCES:
        source = path.read_text(encoding="utf-8")
        if not re.search(rf"['\"]({'|'.join(DEVICES)})\b", source):  # parsing all files takes seconds
            continue
        found = {string for string in strings(source) if string.split(":")[0] in DEVICES}
        assert found <= DEVICE_LITERALS.get(name(path), set()), name(path)


def test_annotations_are_never_postponed():
    """They would be strings when jaxtyping and beartype look at them."""
    everything = [*SOURCES, *sorted((ROOT / "tests").rglob("*.py"))]
    assert len(everything) > 50
    for path in everything:
        source = path.read_text(encoding="utf-8")
        if "__future__" not in source:  # parsing all files takes seconds
            continue
        tree = ast.parse(source)
        futures = [node for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and node.module == "__future__"]
        assert not [alias.name for node in futures for alias in node.names if alias.name == "annotations"], name(path)


def test_test_files_have_names_of_their_own():
    """There are no packages among them, so that pytest would take one for the other."""
    names = [path.name for path in (ROOT / "tests").rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))


def test_tests_stand_in_the_folders_of_what_they_test():
    folders = {path.parent.relative_to(ROOT / "tests") for path in (ROOT / "tests").rglob("test_*.py")}
    assert len(folders) > 10
    assert not [str(folder) for folder in folders if folder.parts and not list((ROOT / folder).glob("*.py"))]
