"""The data sets by name: one line each here, one file each in ``rnp_pyro/data``. Nothing heavy is imported.

The command line's help, its refusals, the documentation's table and the reading of a user's digits follow this table.
"""

from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from types import ModuleType

from rnp_pyro.errors import UserError


@dataclass(frozen=True)
class DataSet:
    """A data set that ``--data`` names.

    Attributes:
        name: What stands before the colon, or alone.
        description: What it is, for the help and the documentation.
        arguments: What may follow the colon: a word in capitals stands for the user's own, any other for itself, and
            the empty text for a name without a colon.
        digits: Whether the pictures are bright digits on black, so that a user's own picture is read as one.
        archived: Whether the data set is read from an archive that can be made from the official files.
    """

    name: str
    description: str
    arguments: tuple[str, ...] = ("",)
    digits: bool = False
    archived: bool = False

    @property
    def forms(self) -> tuple[str, ...]:
        """How ``--data`` may be written."""
        return tuple(f"{self.name}:{argument}" if argument else self.name for argument in self.arguments)

    def takes(self, argument: str) -> bool:
        """Return whether this may follow the colon; the empty text stands for no colon."""
        return argument in self.arguments or (bool(argument) and any(known.isupper() for known in self.arguments))

    @property
    def module(self) -> ModuleType:
        """The data set's file, with ``load`` and, where archives can be made, ``prepare``."""
        return import_module(f"rnp_pyro.data.{self.name.replace('-', '_')}")


_ALL = (
    DataSet("mnist-sample", "12,000 digits of MNIST that come with the package", digits=True),
    DataSet("mnist", "70,000 handwritten digits", digits=True, archived=True),
    DataSet("fashion-mnist", "70,000 articles of clothing", archived=True),
    DataSet("fashion-mnist-colour", "the same, each in a random colour"),
    DataSet("kmnist", "70,000 cursive Japanese characters of ten classes", archived=True),
    DataSet("emnist-letters", "handwritten letters of 26 classes", archived=True),
    DataSet("omniglot", "characters of 50 alphabets; one-shot: the 20-way task", ("", "one-shot"), archived=True),
    DataSet("eth80", "photographs of objects of eight kinds, in colour, cut out", archived=True),
    DataSet("digit-pairs", "two turned digits per image, with their masks", arguments=("", "SEED")),
    DataSet("folder", "your own image files", arguments=("PATH",)),
    DataSet("array", "your own images in a file of NumPy's, .npy or .npz", arguments=("FILE",)),
)
"""A new data set is one file and one line."""

DATA_SETS = {data_set.name: data_set for data_set in _ALL}


def known_forms() -> tuple[str, ...]:
    """List all that ``--data`` may be."""
    return tuple(form for data_set in DATA_SETS.values() for form in data_set.forms)


def data_help() -> str:
    """Return what the command line tells about ``--data``."""
    return "; ".join(f"{' or '.join(one.forms)} ({one.description})" for one in DATA_SETS.values()) + "."


def find_data_set(name: str) -> tuple[DataSet, str]:
    """Return the data set of a name such as ``omniglot:one-shot``, and what follows the colon.

    Raises:
        UserError: There is none of that name, or the argument is missing or too much.
    """
    kind, colon, argument = name.partition(":")
    data_set = DATA_SETS.get(kind)
    if data_set is not None and not argument and not data_set.takes(""):
        wanted = data_set.forms[0]
        raise UserError(f"expected {wanted}, got {name!r}, without its {data_set.arguments[0]}: name it as {wanted}")
    if data_set is None or bool(colon) != bool(argument) or not data_set.takes(argument):
        raise UserError(f"expected a data set, one of {', '.join(known_forms())}, got {name!r}{_way_on(name)}")
    return data_set, argument


def _way_on(name: str) -> str:
    """Return how a path that was named alone is to be named."""
    path = Path(name)
    try:
        kind = "folder" if path.is_dir() else "array" if path.is_file() and path.suffix in (".npy", ".npz") else None
    except OSError:  # no name of a file at all, such as one too long
        return ""
    return f": name it as {kind}:{name}" if kind and name else ""
