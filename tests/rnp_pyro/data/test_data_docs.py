"""What the documentation says of data."""

import re
from pathlib import Path

import pytest

from rnp_pyro.data_sets import DATA_SETS, known_forms
from rnp_pyro.tree_sizes import canvas_sizes_for, patch_size_for

PAGE = (Path(__file__).parents[3] / "docs" / "data.md").read_text(encoding="utf-8")
README = (Path(__file__).parents[3] / "README.md").read_text(encoding="utf-8")


def test_the_table_lists_every_data_set():
    rows = re.findall(r"^\| (`[^|]*) \| ([^|]*) \|", PAGE.split("## Where")[0], flags=re.MULTILINE)
    listed = {form: description for forms, description in rows for form in re.findall(r"`([^`]+)`", forms)}
    assert set(listed) - {"--data"} == set(known_forms())
    for data_set in DATA_SETS.values():
        assert listed[data_set.forms[0]].startswith(data_set.description.split(";")[0]), data_set.name


@pytest.mark.parametrize("name", DATA_SETS)
def test_the_readme_names_every_data_set(name):
    assert f"`{name}" in README or f"--data {name}" in README


def test_the_sizes_are_those_that_are_chosen():
    rows = re.findall(r"^\| (\d+) \| `\[([\d, ]+)\]` \| `\[([\d, ]+)\]` \| (\d+) \|", PAGE, flags=re.MULTILINE)
    assert [row[0] for row in rows] == ["8", "28", "48", "64", "128"]
    for image_size, num_steps, canvas_sizes, patch_size in rows:
        levels = len(num_steps.split(","))
        assert tuple(int(size) for size in canvas_sizes.split(",")) == canvas_sizes_for(int(image_size), levels)
        assert int(patch_size) == patch_size_for(int(image_size), levels)
