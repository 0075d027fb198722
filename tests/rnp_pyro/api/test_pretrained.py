"""The runs that come with the package: small, whole, and of use without their data."""

import json
from pathlib import Path

import pytest
import torch

import rnp_pyro
from rnp_pyro.data import load_images
from rnp_pyro.errors import UserError
from rnp_pyro.pretrained import folder_of, name_of, pretrained_names

NAMES = ["mnist", "mnist-ladder", "omniglot"]
LARGEST = 3_000_000
"""Bytes of a run, at most."""

CARD = (
    "**Images**",
    "**Command**",
    "**Seed**",
    "**Training**",
    "**Numbers**",
    "**Weights**",
    "**Limits**",
    "**Licence**",
)


def test_what_is_in_the_box():
    assert pretrained_names() == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_a_run_in_the_box_is_small_and_has_a_card(name: str):
    folder = folder_of(f"pretrained:{name}")
    assert sum(one.stat().st_size for one in folder.iterdir()) <= LARGEST
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert [heading for heading in CARD if heading not in card] == []
    summary = json.loads((folder / "summary.json").read_text(encoding="utf-8"))
    assert f"-ELBO {summary['neg_elbo']:.2f} nats per image" in card


def test_an_unknown_name_is_refused():
    with pytest.raises(UserError, match=r"expected one of pretrained:mnist, .*, got pretrained:mnits"):
        rnp_pyro.load("pretrained:mnits")


def test_a_path_is_left_as_it_is(tmp_path: Path):
    assert folder_of(tmp_path) == tmp_path
    assert name_of(tmp_path) == str(tmp_path)
    assert name_of(folder_of("pretrained:mnist")) == "pretrained:mnist"


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "most"), [("mnist", 25.0), ("mnist-ladder", 8.0)])
def test_digits_are_parsed_with_the_weights_in_the_box(name: str, most: float):
    """The bundled test digits are of MNIST's test split. ``most`` is the squared error per image."""
    run = rnp_pyro.load(f"pretrained:{name}")
    trees = run.parse(load_images("mnist-sample").test[:32])
    errors = torch.tensor([tree.squared_error for tree in trees])
    assert errors.mean() < most
    assert trees[0].to_json()["about"]["run"] == f"pretrained:{name}"
    assert str(folder_of("pretrained:mnist").parent) not in repr(run)


@pytest.mark.thorough
def test_samples_of_the_box_are_drawn_without_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    monkeypatch.setenv("RNP_DATA", str(tmp_path))
    drawn = rnp_pyro.load("pretrained:omniglot").sample(8, seed=0).images
    ink = drawn.flatten(1).mean(1)
    assert drawn.shape == (8, 1, 28, 28)
    assert (ink > 0.01).all()
    assert (ink < 0.3).all()
