"""What the argument parser says of a value that does not fit, in the words of the command line instead of Python's."""

import re

WORDS = {
    "int": "a whole number",
    "float": "a number",
    "str": "text",
    "bool": "true or false",
    "NoneType": "null",
    "tuple": "a list in quotes such as '[1, 2]'",
    "list": "a list in quotes such as '[1, 2]'",
    "Sequence": "a list in quotes such as '[1, 2]'",
}
"""How types are called."""

POSITIONALS = ("run", "name", "figure", "operation", "baseline")
"""Arguments of commands that are written without their names, in capitals in the help."""


def plain(message: str) -> str:
    """Rephrase what was expected and what came; a message of another kind stays as it is, except for the option's name.

    Args:
        message: Of jsonargparse, such as ``Parser key "train.steps": Expected a <class 'int'>. Got value: x``.

    Returns:
        ``--train.steps: expected a whole number, got x``.
    """
    message = re.sub(r'Parser key "([^"]+)"( element \d+)?:', r"--\1:", " ".join(message.split()))
    simple = re.fullmatch(r"(--\S+:) Expected a (<class '[^']+'>|typing\.Literal\[.*\])\. Got value: (.*)", message)
    if simple:
        option, kind, value = simple.groups()
        return f"{option} expected {_name(kind)}, got {value}"
    union = re.fullmatch(
        r"(--\S+:) Does not validate against any of the Union subtypes Subtypes: \[(.*?)\] (.*)", message
    )
    if union:
        option, kinds, rest = union.groups()
        expected, value = " or ".join(_name(kind) for kind in _types(kinds)), rest.split("Given value: ")[-1]
        return f"{option} expected {expected}, got {value}"
    missing = re.fullmatch(r"the following arguments are required: (.*)", message)
    if missing:
        return f"expected {' and '.join(_as_in_help(name) for name in missing[1].split(', '))}, got none"
    return message


def _as_in_help(name: str) -> str:
    return name.upper() if name in POSITIONALS else f"--{name.lstrip('-')}"


def _types(kinds: str) -> list[str]:
    return re.findall(r"<class '[^']+'>|[\w.]+\[[^\[\]]*\]", kinds)


def _name(kind: str) -> str:
    """Name one type, as Python writes it."""
    if kind.startswith("typing.Literal"):
        choices = re.findall(r"'([^']*)'", kind)
        return choices[0] if len(choices) == 1 else f"{', '.join(choices[:-1])} or {choices[-1]}"
    name = re.sub(r"<class '(.*)'>|(\w[\w.]*)\[.*", r"\1\2", kind).split(".")[-1]
    return WORDS.get(name, name)
