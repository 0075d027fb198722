"""The gallery: every figure that the pages show, with its caption and the page that says how it was made."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from links import FENCE, relink, site_page

FIGURE = re.compile(r"^!\[([^\]]*)\]\(([^)\s]+)\)\n\n((?:[^\n]+\n)+)", flags=re.MULTILINE)
HEADING = re.compile(r"^(#+) +(.*)$")
AT = "gallery.md"

INTRODUCTION = """# Gallery

Every figure of these pages. The page that is named with it says by which command it was made. A click shows it at its
full size.
"""


class Shown(NamedTuple):
    """A figure: its page, the heading above it, what it shows, its file, and the caption below it if it has one."""

    page: str
    heading: str
    text: str
    file: str
    caption: str | None


def figures(page: str, text: str) -> Iterator[Shown]:
    """Find a page's figures."""
    heading = ""
    for piece in FENCE.split(text)[::2]:
        for line in re.split(r"(?m)^(?=#|!\[)", piece):
            if (found := HEADING.match(line.partition("\n")[0])) is not None:
                heading = found[2] if len(found[1]) > 1 else ""
            for shown in FIGURE.finditer(line):
                below = shown[3].strip()
                caption = below if below.startswith("*") and below.endswith("*") else None
                yield Shown(page, heading, shown[1], shown[2], caption)


def write_gallery(pages: dict[str, str]) -> str:
    """Write the gallery of pages, by their names in the repository, in their order."""
    cards = [_card(shown, text) for page, text in pages.items() for shown in figures(page, text)]
    return f'{INTRODUCTION}\n<div class="gallery" markdown>\n\n' + "\n\n".join(cards) + "\n\n</div>\n"


def _card(shown: Shown, text: str) -> str:
    """Write a figure with its caption, and where it comes from."""
    title = re.search(r"^# +(.*)$", text, flags=re.MULTILINE)
    name = title[1] if title is not None else shown.page
    anchor = re.sub(r"[^\w\- ]", "", shown.heading.lower()).replace(" ", "-")
    above, at = (f": {shown.heading}", f"#{anchor}") if shown.heading else ("", "")
    there = f"[{name}{above}]({site_page(shown.page)}{at})"
    picture = relink(f"[![{shown.text}]({shown.file})]({shown.file})", shown.page, AT)
    caption = "" if shown.caption is None else f"{relink(shown.caption, shown.page, AT)}\n\n"
    return f'<div class="figure" markdown>\n\n{picture}\n\n**{shown.text}**\n\n{caption}{there}\n\n</div>'
