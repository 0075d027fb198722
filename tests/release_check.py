"""Check what would be released: python tests/release_check.py [--system] (``make release-check`` sets everything up).

Builds sdist and wheel of the tracked files, checks metadata, size and contents, installs the wheel into a clean
environment outside of the checkout, and works there as a user would. Prints the seconds of each step; the first that
fails ends it.
"""

import argparse
import ast
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("rnp_pyro", "flows", "models", "guides", "inference", "examples")
PRETRAINED = "rnp_pyro/pretrained"
"""Weights that come with the package; from the day that they do, a digit is parsed with them."""

MOST_BYTES = 15_000_000
"""Largest wheel."""

IMPORT_ALL = """
import importlib, importlib.metadata, pkgutil, re, sys
asked = [re.match(r'([-.A-Za-z0-9_]+).*extra == .(tensorboard|graph|hub).', one)
         for one in importlib.metadata.requires("rnp-pyro")]
optional = {one[1].replace("-", "_") for one in asked if one}
names = [found.name for package in sys.argv[1:]
         for found in pkgutil.walk_packages(importlib.import_module(package).__path__, package + ".")]
left_out = []
for name in names:
    try:
        importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name not in optional:
            raise
        left_out.append(f"{name} ({error.name})")
places = {importlib.import_module(package).__file__ for package in sys.argv[1:]}
assert all(place.startswith(sys.prefix) for place in places), places
print(len(names), "modules", *(["without", ", ".join(left_out)] if left_out else []))
"""
"""Import all modules of the named packages: those that an extra is for may lack it, and nothing else may."""


class RefusedError(Exception):
    """What would be released is not as it should be."""


@dataclass(frozen=True)
class Place:
    """Where the check works: a folder outside of the checkout, removed in the end.

    Args:
        folder: The folder.
        system: The clean environment sees the packages of the interpreter's own installation, such as a torch.
    """

    folder: Path
    system: bool

    @property
    def wheel(self) -> Path:
        """The wheel that was built."""
        (wheel,) = (self.folder / "dist").glob("*.whl")
        return wheel

    def command(self, name: str) -> str:
        """Return a command of the clean environment."""
        return str(self.folder / "clean" / ("Scripts" if os.name == "nt" else "bin") / name)


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command outside of the checkout and return what it printed.

    Raises:
        RefusedError: If it fails, with its last lines.
    """
    outside = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run([*map(str, command)], cwd=cwd, env=outside, capture_output=True, text=True, check=False)
    if done.returncode:
        last = "\n".join((done.stdout + done.stderr).strip().splitlines()[-15:])
        raise RefusedError(f"{' '.join(map(str, command))[:200]} ended with {done.returncode}:\n{last}")
    return done.stdout


def tracked() -> list[str]:
    """Return the files that git tracks, as they are now."""
    listed = run("git", "ls-files", "-z", cwd=ROOT).split("\0")
    return [name for name in listed if (ROOT / name).is_file()]


def build(place: Place) -> str:
    """Build sdist, and the wheel from it, of a copy of the tracked files: nothing else is released."""
    for name in tracked():
        (place.folder / "source" / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(ROOT / name, place.folder / "source" / name)
    run(sys.executable, "-m", "build", "--outdir", place.folder / "dist", "source", cwd=place.folder)
    return ", ".join(sorted(path.name for path in (place.folder / "dist").iterdir()))


def check_metadata(place: Place) -> str:
    """Check the metadata, and that the version is the same wherever it stands."""
    run(sys.executable, "-m", "twine", "check", "--strict", *(place.folder / "dist").iterdir(), cwd=place.folder)
    found = versions(ROOT)
    if len({*found.values(), place.wheel.name.split("-")[1]}) > 1:
        raise RefusedError(f"expected one version, got {found} and {place.wheel.name}")
    return f"version {found['pyproject.toml']}"


def versions(root: Path) -> dict[str, str]:
    """Return the version by the files that say it."""
    said = {
        "pyproject.toml": r'^version = "(.*)"$',
        "rnp_pyro/__init__.py": r'^__version__ = "(.*)"$',
        "CITATION.cff": r'^version: "(.*)"$',
    }
    found = {name: re.search(rule, (root / name).read_text("utf-8"), re.MULTILINE) for name, rule in said.items()}
    return {name: "" if match is None else match[1] for name, match in found.items()}


def check_contents(place: Place) -> str:
    """Check that the wheel holds the packages' tracked files, all of them and nothing else, and is small."""
    size = place.wheel.stat().st_size
    if size > MOST_BYTES:
        raise RefusedError(f"expected a wheel of at most {MOST_BYTES:,} bytes, got {size:,}")
    with zipfile.ZipFile(place.wheel) as wheel:
        names = wheel.namelist()
    if wrong := differences(names, tracked()):
        raise RefusedError("\n".join(wrong))
    return f"{len(names)} files, {size:,} bytes"


def differences(wheel: Sequence[str], files: Sequence[str]) -> list[str]:
    """Return how the names in a wheel differ from the packages' files, one line each."""
    held = {name for name in wheel if not re.match(r"[^/]+\.dist-info/", name)}
    wanted = {name for name in files if name.split("/")[0] in PACKAGES}
    missing = [f"the wheel lacks {name}: add it to package-data" for name in sorted(wanted - held)]
    return missing + [f"the wheel holds {name}, which is no file of the packages" for name in sorted(held - wanted)]


def install(place: Place) -> str:
    """Install the wheel with its dependencies into a clean environment, and nothing else."""
    kind = ["--system-site-packages"] if place.system else []
    run(sys.executable, "-m", "venv", *kind, place.folder / "clean", cwd=place.folder)
    pip = (place.command("python"), "-m", "pip", "--disable-pip-version-check")
    run(*pip, "install", "--quiet", place.wheel, cwd=place.folder)
    run(*pip, "check", cwd=place.folder)
    return f"{len(run(*pip, 'list', '--format=freeze', cwd=place.folder).splitlines())} packages"


def import_all(place: Place) -> str:
    """Import every module: what they need is declared, but for extras, and they are the installed ones."""
    return run(place.command("python"), "-c", IMPORT_ALL, *PACKAGES, cwd=place.folder).strip()


def ask_for_help(place: Place) -> str:
    """Ask ``rnp`` what it can do."""
    listed = run(place.command("rnp"), "--help", cwd=place.folder)
    if "train_svi" not in listed:
        raise RefusedError(f"rnp --help does not name train_svi:\n{listed}")
    return f"{len(listed.splitlines())} lines"


def parse_a_digit(place: Place) -> str:
    """Parse a picture of a digit with the weights that come with the package."""
    if not (ROOT / PRETRAINED).exists():
        return f"left out: there is no {PRETRAINED} yet"
    digit, out = place.folder / "digit.png", place.folder / "out"
    code = "import sys; from PIL import Image; from rnp_pyro.data import load_images; "
    code += "Image.fromarray(load_images('mnist-sample').test[0, 0].numpy()).save(sys.argv[1])"
    run(place.command("python"), "-c", code, digit, cwd=place.folder)
    run(place.command("rnp"), "parse", "pretrained:mnist", "--image", digit, "--out", out, cwd=place.folder)
    written = sorted(path.name for path in out.rglob("*") if path.is_file())
    if not {"parse.json", "parse.png", "parse.svg"} <= set(written):
        raise RefusedError(f"expected parse.json, parse.png and parse.svg, got {', '.join(written) or 'nothing'}")
    return ", ".join(written)


def compile_readme(place: Place) -> str:
    """Compile the README's Python, and look that what it takes of the library is there."""
    (script,) = re.findall(r"```python\n(.*?)```", (ROOT / "README.md").read_text("utf-8"), flags=re.DOTALL)
    names = sorted({f"rnp_pyro.{name}" for name in used(script, "rnp_pyro")})
    code = f"import rnp_pyro; compile({script!r}, 'README.md', 'exec'); print({', '.join(names)})"
    run(place.command("python"), "-c", code, cwd=place.folder)
    return f"{len(script.splitlines())} lines, {', '.join(names)}"


def used(script: str, module: str) -> set[str]:
    """Return the names that a script takes of a module that it imports."""
    found = [node for node in ast.walk(ast.parse(script)) if isinstance(node, ast.Attribute)]
    return {node.attr for node in found if isinstance(node.value, ast.Name) and node.value.id == module}


STEPS: dict[str, Callable[[Place], str]] = {
    "build": build,
    "metadata": check_metadata,
    "contents": check_contents,
    "clean install": install,
    "import all": import_all,
    "rnp --help": ask_for_help,
    "parse a digit": parse_a_digit,
    "README's script": compile_readme,
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Take the steps, one line each, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--system", action="store_true", help="Let the clean environment see this interpreter's own torch."
    )
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="rnp-release-") as folder:
        place = Place(Path(folder).resolve(), options.system)
        for name, step in STEPS.items():
            begun = time.monotonic()
            try:
                told = step(place)
            except RefusedError as error:
                print(f"{name}: {error}", file=sys.stderr)
                return 1
            print(f"{name:<16} {time.monotonic() - begun:6.1f} s  {told}", flush=True)
    print("ready to release")
    return 0


if __name__ == "__main__":
    sys.exit(main())
