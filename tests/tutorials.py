"""Run the tutorials as a reader does, and keep what they show: python tests/tutorials.py [NUMBER ...]."""

import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.ipynb"))

METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}

OFFLINE = """
import sys

def refuse(event, arguments):
    "Let the kernel talk to its client, and to nobody else."
    if event == "socket.getaddrinfo" and arguments[0] not in (None, "localhost", "127.0.0.1", "::1"):
        raise PermissionError(f"a tutorial asked for {arguments[0]}: tutorials need no network")
    if event == "socket.connect" and isinstance(arguments[1], tuple) and arguments[1][0] not in ("127.0.0.1", "::1"):
        raise PermissionError(f"a tutorial connects to {arguments[1]}: tutorials need no network")

sys.addaudithook(refuse)
"""


def execute(path: Path, folder: Path, limit: int | None = None) -> tuple[Any, float]:
    """Run a copy of a notebook in an empty folder, offline, without the user's own settings and data.

    Args:
        path: The notebook, which stays as it is.
        folder: Where it runs.
        limit: Seconds that a cell may take.

    Returns:
        The notebook with its outputs and without what changes from machine to machine, and the seconds that it took.
    """
    os.environ.setdefault("JUPYTER_PLATFORM_DIRS", "1")  # or jupyter_core warns
    import nbformat
    from nbclient import NotebookClient

    copy = folder / path.name
    copy.write_bytes(path.read_bytes())
    (folder / "sitecustomize.py").write_text(OFFLINE)
    changes = {"PYTHONPATH": f"{folder}{os.pathsep}{ROOT}", "IPYTHONDIR": str(folder), "RNP_DATA": str(folder)}
    notebook = nbformat.read(copy, as_version=4)
    client = NotebookClient(
        notebook,
        timeout=limit,
        kernel_name=METADATA["kernelspec"]["name"],
        record_timing=False,
        resources={"metadata": {"path": str(folder)}},
    )
    begin = time.perf_counter()
    client.execute(env=os.environ | changes)
    seconds = time.perf_counter() - begin
    nbformat.validate(notebook)
    return clean(notebook), seconds


def clean(notebook: Any) -> Any:
    """Leave out what changes from machine to machine."""
    notebook.metadata = METADATA
    for cell in notebook.cells:
        cell.metadata = {}
        for output in cell.get("outputs", []):
            if "metadata" in output:
                output.metadata = {}
    return notebook


def main(numbers: list[str]) -> None:
    """Run those tutorials whose names begin with a number, or all, and write their outputs."""
    import nbformat

    for path in TUTORIALS:
        if numbers and path.name.split("-")[0] not in numbers:
            continue
        with tempfile.TemporaryDirectory() as folder:
            notebook, seconds = execute(path, Path(folder))
        nbformat.write(notebook, path)
        print(f"{path.name}: {seconds:.0f} seconds, {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main(sys.argv[1:])
