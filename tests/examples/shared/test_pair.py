"""A model and its guide, built from settings, and what they observe."""

from dataclasses import replace

import pyro
import pytest
import torch
from pyro.distributions import Normal
from pyro.nn import PyroModule

from guides import GUIDES
from rnp_pyro.api.pair import build_pair
from rnp_pyro.config import Config, GuideConfig, ModelConfig, TreeConfig
from rnp_pyro.errors import UserError
from rnp_pyro.tree import Tree

TREE = TreeConfig(patch_size=4, canvas_sizes=(8,), hidden_size=8, hypernet_size=8)
CONFIG = Config(model=ModelConfig(latent_size=4, tree=TREE))
GREY, COLOUR = (1, 12, 12), (3, 12, 12)


def weights(seed: int, shape: tuple[int, int, int] = GREY) -> dict[str, torch.Tensor]:
    return build_pair(replace(CONFIG, seed=seed), shape).modules.state_dict()


@pytest.mark.thorough
def test_weights_are_a_function_of_the_seed():
    torch.manual_seed(1)
    first = weights(5)
    torch.manual_seed(2)
    second, other = weights(5), weights(6)
    assert all(torch.equal(first[name], second[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_the_generator_is_left_alone():
    before = torch.get_rng_state()
    build_pair(CONFIG, GREY)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize(
    ("likelihood", "shape", "binary"),
    [
        ("auto", GREY, True),
        ("auto", COLOUR, False),
        ("normal", GREY, False),
        ("bernoulli", COLOUR, True),
        ("continuous_bernoulli", GREY, False),
    ],
)
def test_binary_pixels(likelihood, shape, binary):
    config = replace(CONFIG, model=replace(CONFIG.model, likelihood=likelihood))
    pair = build_pair(config, shape)
    images = torch.randint(0, 256, (6, *shape), dtype=torch.uint8)
    seen, later = pair.prepare(images, 3), pair.prepare(images, 4)
    fixed = pair.prepare_fixed(images)
    assert pair.binary == binary
    if binary:
        assert set(seen.unique().tolist()) == set(fixed.unique().tolist()) == {0.0, 1.0}
        assert not torch.equal(seen, later)
        assert torch.equal(seen, pair.prepare(images, 3))
    else:
        assert torch.equal(seen, images / 255)
        assert torch.equal(fixed, images / 255)


@pytest.mark.thorough
def test_evaluation_pixels_depend_on_seed_and_index_alone():
    pair, other = build_pair(CONFIG, GREY), build_pair(replace(CONFIG, seed=9), GREY)
    images = torch.randint(0, 256, (6, *GREY), dtype=torch.uint8)
    assert torch.equal(pair.prepare_fixed(images)[:3], pair.prepare_fixed(images[:3]))
    assert torch.equal(pair.prepare_fixed(images), other.prepare_fixed(images))
    assert not torch.equal(pair.prepare_fixed(images), pair.prepare_fixed(images, seed=1))
    assert not torch.equal(pair.prepare(images, 0), other.prepare(images, 0))


def test_modules_are_both_of_them():
    pair = build_pair(CONFIG, GREY)
    names = {name.split(".")[0] for name, _ in pair.modules.named_parameters()}
    assert names == {"model", "guide"}
    assert pair.modules.model is pair.model


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seeds_out_of_range(seed):
    with pytest.raises(UserError, match=rf"--seed must be within \[0, 2\^63\), got {seed}"):
        build_pair(replace(CONFIG, seed=seed), GREY)


def test_the_largest_seed():
    assert build_pair(replace(CONFIG, seed=2**63 - 1), GREY).prepare(torch.ones(1, *GREY).byte(), 0).shape == (1, *GREY)


def test_unknown_names():
    with pytest.raises(UserError, match=r"--model.name: expected one of rnp, vae, got nope"):
        build_pair(replace(CONFIG, model=replace(CONFIG.model, name="nope")), GREY)
    with pytest.raises(UserError, match=f"--guide.name: expected one of {', '.join(GUIDES)}, got nope"):
        build_pair(replace(CONFIG, guide=GuideConfig("nope")), GREY)


@pytest.mark.thorough
def test_a_guide_that_does_not_draw_the_models_latents_is_refused(monkeypatch: pytest.MonkeyPatch):
    """The README's guide for the root alone, on a model with random nodes, would have a negative KL."""

    class RootOnly(PyroModule):
        def __init__(self, decoder: Tree) -> None:
            super().__init__()
            self.loc, self.site = torch.nn.Parameter(torch.zeros(decoder.latent_size)), decoder.root_site

        def forward(self, images: torch.Tensor) -> None:
            with pyro.plate("images", len(images), dim=-1):
                pyro.sample(self.site, Normal(self.loc, 1.0).to_event(1))

    monkeypatch.setitem(GUIDES, "root_only", lambda config, decoder: RootOnly(decoder))
    config = replace(CONFIG, guide=GuideConfig("root_only"))
    build_pair(config, GREY)
    random = replace(config, model=replace(CONFIG.model, node_latents="state"))
    with pytest.raises(UserError, match=r"must draw just the model's latents: it does not draw z\.0\.0, z\.0\.1, z\."):
        build_pair(random, GREY)


def test_pyros_own_guides_are_no_guides_of_a_run():
    with pytest.raises(UserError, match="parameters for each of one fixed set of images"):
        build_pair(replace(CONFIG, guide=GuideConfig("auto_normal")), GREY)
