"""Sound images never end in NaN; docs/reliability.md has the table of the whole sweep."""

from dataclasses import replace
from itertools import product
from math import isfinite

import pytest
import torch
from sound_images import KINDS, sound_images
from sweep import SEEDS, TREES, outcome

from rnp_pyro.build import build_tree, start_like
from rnp_pyro.config import Config, ModelConfig, TreeConfig


@pytest.fixture(autouse=True)
def _float32():
    """Users train in single precision, whose numbers overflow first."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    yield
    torch.set_default_dtype(before)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_what_it_says(kind: str):
    images = sound_images(kind, 0)
    assert images.dtype == torch.uint8
    assert images.shape[1] == 1
    assert len(images) == (4 if kind == "4 images" else 200)
    assert images.shape[-1] == {"8 pixels": 8, "64 pixels": 64}.get(kind, 28)
    assert torch.equal(images, sound_images(kind, 0))
    assert (images.flatten(1).amax(1) == 0).all() == (kind == "black")
    assert (images.flatten(1).amax(1) > 200).any() == (kind != "black")


def test_patches_start_as_bright_as_the_images():
    images = sound_images("thin strokes", 0)
    assert start_like(Config(), images).model.tree.ink == pytest.approx(images.double().mean().item() / 255, abs=1e-6)
    chosen = Config(model=ModelConfig(tree=TreeConfig(ink=0.5, leak=0.2)))
    assert start_like(chosen, images) == chosen


@pytest.mark.parametrize(
    ("kind", "leak"),
    [("thin strokes", 0.0013616), ("black", 1e-4), ("white", 0.99), ("photographs", 0.282353)],
)
def test_the_leak_starts_as_bright_as_the_ground(kind: str, leak: float):
    config = start_like(Config(), sound_images(kind, 0))
    assert config.model.tree.leak == pytest.approx(leak, abs=1e-6)
    tree = build_tree(replace(config.model.tree, canvas_sizes=(16,)), 4, (1, 28, 28))
    assert tree.leak_logit is not None
    assert tree.leak_logit.sigmoid().item() == pytest.approx(leak, rel=1e-5)


@pytest.mark.thorough
@pytest.mark.parametrize(("kind", "most"), [("white", 60), ("photographs", 750), ("dense noise", 950)])
def test_bright_images_start_no_worse_than_a_grey_sheet_by_much(kind: str, most: float):
    """A sheet of one half has 543 nats; a ground that is black at the start had 1,500 and more after 300 steps."""
    found = outcome(kind, "default", 0, steps=30, batch_size=8)
    assert isinstance(found, float), found
    assert found < most


@pytest.mark.thorough
@pytest.mark.parametrize("tree", TREES)
def test_thin_strokes_survive_their_first_steps(tree: str):
    """Where the loss used to become NaN: at step 17 with the default tree."""
    found = outcome("thin strokes", tree, 0, steps=25, batch_size=16)
    assert isinstance(found, float), found
    assert isfinite(found)


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "tree", "seed"), list(product(KINDS, TREES, SEEDS)))
def test_no_sound_images_end_in_nan(kind: str, tree: str, seed: int):
    found = outcome(kind, tree, seed, steps=300, batch_size=8)
    assert isinstance(found, float), found
    assert isfinite(found)
