"""Where a command writes."""

from pathlib import Path

from rnp_pyro.pretrained import is_pretrained


def output_folder(run: str, name: str, out: str | None) -> Path:
    """Return the folder to write to: ``out``, or by default ``name`` inside of the run.

    A run that comes with the package is left as it is: its results go to ``pretrained-NAME`` in the working directory.
    """
    if out is not None:
        return Path(out)
    return Path(run.replace(":", "-") if is_pretrained(run) else run) / name
