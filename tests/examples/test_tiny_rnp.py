"""The whole model on one page: short, and it refuses what does not fit before it trains."""

from pathlib import Path

import pytest
from PIL import Image

import examples.tiny_rnp


def test_it_is_one_page():
    assert len(Path(examples.tiny_rnp.__file__).read_text(encoding="utf-8").splitlines()) <= 60


@pytest.mark.thorough
def test_it_trains_and_draws(call, tmp_path):
    done = call("tiny_rnp", "--steps=2", "--out", tmp_path / "tiny.png")
    assert done.lines[0].startswith("step 0: loss ")
    assert done.lines[-1] == f"eight test digits and their parts: {tmp_path / 'tiny.png'}"
    with Image.open(tmp_path / "tiny.png") as figure:
        assert figure.width > 1000
        assert figure.height > 1000


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--steps=0", "--out={folder}/a.png"), "expected --steps of at least 1 and --out FILE.png, got 0"),
        (("--out={folder}/a.jpg",), "expected --steps of at least 1 and --out FILE.png, got 1000 and"),
        (("--out={folder}",), "expected a file to write with --out, got the folder"),
        (("--out={folder}/gone/a.png",), "expected a file in a folder that exists with --out"),
        (("--steps=x",), "--steps"),
    ],
)
def test_what_does_not_fit_is_refused(call, tmp_path, arguments, message):
    done = call("tiny_rnp", *(argument.format(folder=tmp_path) for argument in arguments))
    assert message in done.error
    assert list(tmp_path.iterdir()) == []


def test_a_figure_is_not_overwritten(call, tmp_path):
    (tmp_path / "a.png").write_bytes(b"mine")
    assert "exists" in call("tiny_rnp", "--out", tmp_path / "a.png").error
    assert (tmp_path / "a.png").read_bytes() == b"mine"
