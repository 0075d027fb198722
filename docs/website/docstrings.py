"""Docstrings as the site shows them: Sphinx's roles become links, and files that are named lead to their pages.

mkdocs loads ``hooks.py`` first, and with it ``reference.py``.
"""

import re
from typing import Any

import griffe
from reference import documented

FILE = re.compile(r"``((?:\w+/)+\w+)\.py``")
ROLE = re.compile(r":(?:func|class|meth|mod|attr|data|exc):`(~?)([\w.]+)`")


class Links(griffe.Extension):
    """Turn ``:func:`paste` `` into a link to what it names, if the reference shows it; else into code."""

    def on_package(self, *, pkg: griffe.Module, loader: griffe.GriffeLoader, **_: Any) -> None:
        """Change a package's docstrings once all of it is loaded."""
        for item in _all(pkg):
            if item.docstring is not None:
                text = ROLE.sub(lambda found, item=item: _link(item, found), item.docstring.value)
                item.docstring.value = FILE.sub(_file, text)


def _all(item: griffe.Object) -> Any:
    """Go through an object and all that is defined in it; what is imported is its own module's."""
    yield item
    for member in item.members.values():
        if not member.is_alias:
            yield from _all(member)  # type: ignore[arg-type]


def _link(item: griffe.Object, found: re.Match[str]) -> str:
    name = found[2]
    label = name.rsplit(".", 1)[1] if found[1] else name
    try:
        target = name if "." in name else item.resolve(name)
    except griffe.NameResolutionError:
        return f"`{label}`"
    module = target.rsplit(".", 1)[0]
    return f"[`{label}`][{target}]" if module in documented() or target in documented() else f"`{label}`"


def _file(found: re.Match[str]) -> str:
    """Link a file that is named to its page of the reference, if it has one."""
    module = found[1].replace("/", ".")
    return f"[`{found[1]}.py`][{module}]" if module in documented() else found[0]
