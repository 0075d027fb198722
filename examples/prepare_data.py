"""Make the archive of a public data set: python -m examples.prepare_data NAME --source PATH [--out DIR].

The official files, unpacked, become one compressed file that ``--data NAME`` reads in seconds.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from examples.shared.cli import check_output, make_parser, read_options, run_command
from rnp_pyro.data_sets import DATA_SETS, find_data_set
from rnp_pyro.errors import UserError

DESCRIPTION = (
    "Make the archive of a public data set from its official files, unpacked: torchvision's folder or the authors' "
    "own, or a folder one above or below. Nothing is downloaded."
)


@dataclass(frozen=True)
class PrepareConfig:
    """Which archive to make, and of what.

    Args:
        name: The data set.
        source: Folder of the unpacked official files.
        out: Folder to write the archive into; default: where --data looks for it ($RNP_DATA, else a cache in the home).
        overwrite: Replace the archive if it exists.
    """

    name: str
    source: str
    out: str | None = None
    overwrite: bool = False


def preparable() -> tuple[str, ...]:
    """List what --data may name and has an archive of its own."""
    chosen = [data_set for data_set in DATA_SETS.values() if data_set.archived]
    return tuple(form for data_set in chosen for form in data_set.forms)


def main(config: PrepareConfig) -> Path:
    """Read the official files and write the archive, whole or not at all.

    Returns:
        The archive.

    Raises:
        UserError: There is no such data set, a file is missing or damaged, or the archive cannot be written.
    """
    from rnp_pyro.checkpoint import write_atomically  # torch: seconds, which --help need not wait for
    from rnp_pyro.data.data_folder import user_path
    from rnp_pyro.writing import writing

    if config.name not in preparable():
        raise UserError(
            f"expected a data set that has an archive, one of {', '.join(preparable())}, got {config.name!r}"
        )
    source = user_path(config.source)
    if not source.is_dir():
        what = "is a file: unpack it and name the folder" if source.exists() else "does not exist"
        raise UserError(f"expected the folder of the official files with --source, got {str(source)!r}, which {what}")
    data_set, argument = find_data_set(config.name)
    folder = user_path(config.out) if config.out else _default_folder()
    archive, arrays = data_set.module.prepare(source, argument)
    out = folder / archive
    check_output("--out", out, config.overwrite)
    with writing(out):
        write_atomically(out, lambda temporary: _write(temporary, arrays))
    print(", ".join(f"{key} {array.dtype} {list(array.shape)}" for key, array in arrays.items()))
    print(f"archive: {out}; train with: python -m examples.train_svi --data {config.name} --data_dir {folder}")
    return out


def _default_folder() -> Path:
    """Return the folder of data sets, made if it is the cache and not there."""
    from rnp_pyro.data.data_folder import DATA_VARIABLE, data_folder

    folder = data_folder(None)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(
            f"cannot make the folder {folder} ({error.strerror}): name another with --out, or with ${DATA_VARIABLE}"
        ) from None
    return folder


def _write(path: Path, arrays: dict[str, Any]) -> None:
    import numpy as np

    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)


def command(arguments: Sequence[str]) -> None:
    """Read the command line and make the archive."""
    parser = make_parser("prepare_data", DESCRIPTION)
    parser.add_argument("name", metavar="NAME", type=str, help=f"The data set: {', '.join(preparable())}.")
    main(read_options(parser, PrepareConfig, arguments))


if __name__ == "__main__":
    run_command(command)
