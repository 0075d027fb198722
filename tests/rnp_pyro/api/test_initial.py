"""Weights of another run, wherever name and shape agree: from each depth to each other, for each sharing."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rnp_pyro.api.initial import brief, named, start_from
from rnp_pyro.api.pair import build_pair
from rnp_pyro.api.record import DataRecord
from rnp_pyro.api.run import Run
from rnp_pyro.config import Config, ModelConfig
from rnp_pyro.data.image_data import Appearance
from rnp_pyro.errors import UserError
from rnp_pyro.hypernet import Hypernet

SHAPE = (1, 12, 12)
DEPTHS = {1: (2,), 2: (2, 2), 3: (2, 2, 2)}
OTHERS = [(source, target) for source in DEPTHS for target in DEPTHS if source != target]
MakeRun = Callable[..., Run]


@pytest.fixture
def make_run(tiny_config: Any) -> MakeRun:
    """Build a run in memory, untrained; settings of its model, those of the tree by name."""

    def make(depth: int = 2, seed: int = 0, model: dict[str, Any] | None = None, **tree: Any) -> Run:
        settings = {"latent_size": 6, "tree": tiny_config(num_steps=DEPTHS[depth], **tree), **(model or {})}
        config = Config(seed=seed, model=ModelConfig(**settings))
        record = DataRecord("made", SHAPE, None, Appearance(), "bright", {}, {})
        return Run(config, record, build_pair(config, SHAPE), Path("source"))

    return make


def assert_same_nets(one: Hypernet, other: Hypernet) -> None:
    torch.testing.assert_close(one.state_dict(), other.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("sharing", ["shared", "level_embedding", "per_level"])
@pytest.mark.parametrize(("source", "target"), OTHERS)
def test_common_levels_keep_their_hypernetworks(make_run: MakeRun, source: int, target: int, sharing: str):
    """A program of a common level unfolds into the same nodes; levels above start anew."""
    old, new = make_run(source, 1, hypernets=sharing), make_run(target, 2, hypernets=sharing)
    fresh = {name: value.clone() for name, value in named(new.pair).items()}
    started = start_from(new.pair, old)
    z = torch.randn(1, 3, 6)
    for level in range(1, min(source, target) + 1):
        for one, other in zip(old.tree.hypernets.at(level), new.tree.hypernets.at(level), strict=True):
            assert_same_nets(one, other)
        for nodes, others in zip(old.tree.unfold_programs(level, z), new.tree.unfold_programs(level, z), strict=True):
            assert torch.equal(nodes.z, others.z)
            assert torch.equal(nodes.action, others.action)
            assert torch.equal(nodes.patch, others.patch)
    for level in range(source + 1, target + 1):
        if sharing == "per_level":
            assert any(f".{level - 1}." in name for name in started.new)
        if sharing == "level_embedding":
            ours, before = (values["model.tree.hypernets.level_embedding"] for values in (named(new.pair), fresh))
            assert torch.equal(ours[level - 1], before[level - 1])
    above = [name for name in started.left if sharing == "per_level" and ".state_hypernets." in name]
    assert bool(above) == (sharing == "per_level" and source > target)


@pytest.mark.parametrize(("source", "target"), OTHERS)
def test_scales_of_common_levels_and_the_ladder(make_run: MakeRun, source: int, target: int):
    model = {"node_latents": "both"}
    old, new = make_run(source, 1, model), make_run(target, 2, model)
    with torch.no_grad():
        for value in named(old.pair).values():
            value += 1
    start_from(new.pair, old)
    for level in range(min(source, target)):
        for kind in ("z", "action"):
            ours, theirs = (one.tree.node_scales(kind, level) for one in (new, old))
            assert torch.equal(ours, theirs)


def test_shared_hypernetworks_serve_every_level_of_a_tree_that_has_one_for_each(make_run: MakeRun):
    old, new = make_run(2, 1), make_run(3, 2, hypernets="per_level")
    start_from(new.pair, old)
    for level in (1, 2, 3):
        for one, other in zip(old.tree.hypernets.at(1), new.tree.hypernets.at(level), strict=True):
            assert_same_nets(one, other)


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ("guide", {"guide"}),
        ("model", {"model"}),
        ("state_hypernet", {"state_hypernets"}),
        ("leak,policy_hypernet", {"leak_logit", "policy_hypernets"}),
    ],
)
def test_parts_are_taken_alone(make_run: MakeRun, parts: str, expected: set[str]):
    old, new = make_run(2, 1), make_run(2, 2)
    before = {name: value.clone() for name, value in named(new.pair).items()}
    started = start_from(new.pair, old, parts)
    assert {name for name in started.taken if not expected & set(name.split("."))} == set()
    for name, value in named(new.pair).items():
        source = named(old.pair)[name] if name in started.taken else before[name]
        assert torch.equal(value, source)
    assert set(started.taken) | set(started.new) == set(before)


def test_rows_of_patches_are_taken_alone(make_run: MakeRun):
    old, new = make_run(2, 1), make_run(2, 2)
    z, before = torch.randn(1, 6), named(new.pair)["model.tree.hypernets.state_hypernets.0.heads.bias"].clone()
    others = new.tree.unfold(z).at(0).z
    started = start_from(new.pair, old, "patch_decoder")
    assert {name.rsplit(".", 1)[-1] for name in started.taken} == {"weight", "bias"}
    now = named(new.pair)["model.tree.hypernets.state_hypernets.0.heads.bias"]
    assert 0 < int((now != before).sum()) < len(now)
    torch.testing.assert_close(new.tree.unfold(z).at(0).z, others)


def test_what_does_not_fit_is_listed(make_run: MakeRun):
    old, new = make_run(2, 1), make_run(2, 2, hypernet_size=7)
    started = start_from(new.pair, old)
    assert started.new["model.tree.hypernets.state_hypernets.0.trunk.0.weight"] == "8x6 there, 7x6 here"
    assert "guide.root.loc_and_scale.weight" in started.taken
    first, *others = started.lines()
    assert first.startswith("init: ")
    assert "taken from source: " in first
    assert "guide.*" in first
    assert any("8x6 there, 7x6 here" in line for line in others)


def test_nothing_that_fits_is_refused(make_run: MakeRun):
    old = make_run(1, 1, {"name": "vae"})
    with pytest.raises(UserError, match="nothing of source fits this run"):
        start_from(make_run(2, 2).pair, old, "model")


def test_names_are_joined():
    known = {"a.b.c", "a.b.d", "a.e", "f"}
    assert brief(["a.b.c", "a.b.d"], known) == "a.b.*"
    assert brief(["a.b.c", "f"], known) == "a.b.c, f"
    assert brief(["a.b.c", "a.b.d", "a.e"], known) == "a.*"
