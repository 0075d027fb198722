"""Files appear whole or not at all."""

from pathlib import Path

import matplotlib.image
import pytest

from rnp_pyro.errors import UserError
from rnp_pyro.figures.printing import on_paper
from rnp_pyro.figures.saving import save
from rnp_pyro.figures.sheet import Box, place, sheet


def test_a_png_has_the_sheets_pixels(tmp_path: Path, glyph):
    figure, axes = sheet(25, 18)
    place(axes, on_paper(glyph), Box(10, 6, 10, 12))
    save(figure, tmp_path / "new" / "figure.png")
    page = (255 * matplotlib.image.imread(tmp_path / "new" / "figure.png")).round()[..., :3]
    assert page.shape == (18, 25, 3)
    assert (page[6:18:2, 10:20:2] == on_paper(glyph)).all()


@pytest.mark.parametrize(("ending", "start"), [("png", b"\x89PNG"), ("pdf", b"%PDF"), ("svg", b"<?xml")])
def test_the_ending_names_the_format(tmp_path: Path, ending: str, start: bytes):
    path = tmp_path / f"figure.{ending}"
    save(sheet(8, 8)[0], path)
    save(sheet(8, 8)[0], str(path))
    assert path.read_bytes().startswith(start)
    assert list(tmp_path.iterdir()) == [path]


def test_a_failure_leaves_the_older_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    path = tmp_path / "figure.png"
    path.write_text("older")
    figure, _ = sheet(8, 8)

    def half(unfinished: Path, **_: object) -> None:
        unfinished.write_text("half")
        raise OSError("disk full")

    monkeypatch.setattr(figure, "savefig", half)
    with pytest.raises(UserError, match="disk full"):
        save(figure, path)
    assert path.read_text() == "older"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["figure.xyz", "figure"])
def test_an_unknown_ending_is_an_error(tmp_path: Path, name: str):
    with pytest.raises(ValueError, match="png"):
        save(sheet(8, 8)[0], tmp_path / name)
    assert list(tmp_path.iterdir()) == []
