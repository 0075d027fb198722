"""Parts that are kept: equal to the bit, unknown to the optimizer, without a backward pass, on every path."""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn
from torch.nn.functional import linear

from inference.objectives import build_objective
from inference.training.gradient import make_optimizer
from inference.training.parts import DividedHeads, check_parts, patch_rows, read_parts, trained_parts
from inference.training.task import Weights
from rnp_pyro.config import TrainConfig
from rnp_pyro.errors import UserError
from rnp_pyro.tree import Tree

CONFIG = TrainConfig(minutes=None, steps=1, batch_size=4)
MakePair = Callable[..., Any]

CHOICES = {
    "only guide": {"only": "guide"},
    "freeze model": {"freeze": "model"},
    "freeze state_hypernet": {"freeze": "state_hypernet"},
    "freeze policy_hypernet": {"freeze": "policy_hypernet"},
    "freeze patch_decoder": {"freeze": "patch_decoder"},
    "only patch_decoder": {"only": "patch_decoder"},
    "only policy_hypernet": {"only": "policy_hypernet"},
    "only leak": {"only": "leak"},
    "model without leak": {"only": "model", "freeze": "leak"},
    "guide and patches": {"only": "guide,patch_decoder"},
}

PATHS = {
    "fused": {},
    "in chunks": {"tree": {"chunk": 3}},
    "recomputed": {"tree": {"recompute": True}},
    "plain loop": {"tree": {"feedback": True}},
    "random nodes": {"guide": "ladder"},
    "per level": {"tree": {"hypernets": "per_level"}},
    "embedded": {"tree": {"hypernets": "level_embedding"}},
}


def pieces(tree: Tree, name: str, value: torch.Tensor) -> dict[str, torch.Tensor]:
    """Cut the state hypernetwork's last layer into what generates patches and the rest."""
    if ".state_hypernets." not in name or ".heads." not in name:
        return {name: value}
    rows = patch_rows(tree.hypernets.at(1)[0].shapes)
    rest = torch.cat([value[: rows.start], value[rows.stop :]])
    return {f"{name} of patches": value[rows], f"{name} of states": rest}


def snapshot(model: Any, guide: Any) -> dict[str, torch.Tensor]:
    """Copy all parameters, those of patches on their own."""
    found = {}
    for name, value in Weights(model, guide).named_parameters():
        found |= pieces(model.decoder, name, value.detach().clone())
    return found


def is_trained(name: str, only: str = "", freeze: str = "") -> bool:
    """Name them again."""
    parts = {"guide" if name.startswith("guide.") else "model"}
    parts |= {part for part in ("state_hypernet", "policy_hypernet") if f".{part}s." in name}
    parts |= {"patch_decoder"} if name.endswith(" of patches") else set()
    parts |= {"leak"} if name.endswith("leak_logit") else set()
    kept = {one for one in freeze.split(",") if one}
    if "level_embedding" in name and kept & {"state_hypernet", "policy_hypernet"}:
        return False
    return (not only or bool(parts & set(only.split(",")))) and not parts & kept


def step(model: Any, guide: Any, images: torch.Tensor, config: TrainConfig) -> set[int]:
    """Take two optimizer steps; return the identities of the parameters that the optimizer keeps a state of."""
    loss = build_objective(config)(model, guide)
    optimizer = make_optimizer(config, Weights(model, guide))
    for _ in range(2):
        optimizer.zero_grad()
        torch.manual_seed(0)
        with pytest.warns(UserWarning, match="was not registered"):
            loss(images).backward()
        optimizer.step()
    return {id(one) for one in optimizer.state}


COMBINED = [(path, choice) for path in PATHS for choice in CHOICES]
FAST = [("fused", "freeze patch_decoder"), ("random nodes", "guide and patches")]


@pytest.mark.parametrize(
    ("path", "choice"), [pytest.param(*one, marks=() if one in FAST else pytest.mark.thorough) for one in COMBINED]
)
def test_what_is_kept_is_equal_to_the_bit_and_all_else_moves(
    make_pair: MakePair, randomise: Any, images: torch.Tensor, choice: str, path: str
):
    """With decay, which moves what has no gradient."""
    options = CHOICES[choice]
    model, guide = make_pair(**PATHS[path])
    randomise(model)
    config = replace(CONFIG, optimizer="adamw", weight_decay=0.1, **options)
    before = snapshot(model, guide)
    with trained_parts(config, model, guide):
        known = step(model, guide, images, config)
        there = [one for one in Weights(model, guide).parameters() if id(one) in known]
        assert all(one.requires_grad for one in there)
        assert all(one.grad is None for one in Weights(model, guide).parameters() if id(one) not in known)
    after = snapshot(model, guide)
    assert before.keys() == after.keys()
    expected = {name for name in before if is_trained(name, **options)}
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    # Feedback at leaves and scales of the last step may have no gradient; what is kept must not move.
    assert changed <= expected
    assert {one for one in expected - changed if "feedback" not in one} == set()
    assert all(one.requires_grad for one in Weights(model, guide).parameters())


@pytest.mark.parametrize(
    "path", [pytest.param(one, marks=() if one == "fused" else pytest.mark.thorough) for one in PATHS]
)
def test_the_gradient_of_what_is_trained_is_that_of_training_all(make_pair: MakePair, images: torch.Tensor, path: str):
    """For the rows of patches alone, and for all others, on each path."""
    found: dict[str, dict[str, torch.Tensor]] = {}
    for name, options in {"all": {}, "kept": {"freeze": "patch_decoder"}, "alone": {"only": "patch_decoder"}}.items():
        torch.manual_seed(1)
        model, guide = make_pair(**PATHS[path])
        config = replace(CONFIG, **options)
        with trained_parts(config, model, guide):
            torch.manual_seed(2)
            with pytest.warns(UserWarning, match="was not registered") if options else nullcontext():
                build_objective(config)(model, guide)(images).backward()
            heads = model.decoder.hypernets.at(1)[0].heads
            trained = [one.grad for one in heads.parameters()]
            rows = patch_rows(model.decoder.hypernets.at(1)[0].shapes)
            if name == "all":
                weight, bias = trained
                found["patch"] = {"weight": weight[rows], "bias": bias[rows]}
                found["rest"] = {
                    "weight": torch.cat([weight[: rows.start], weight[rows.stop :]]),
                    "bias": torch.cat([bias[: rows.start], bias[rows.stop :]]),
                }
            else:
                for kind in ("weight", "bias"):
                    grads = [getattr(heads, f"{kind}_{at}").grad for at in range(3)]
                    whole = torch.cat([one for one in grads if one is not None])
                    torch.testing.assert_close(whole, found["rest" if name == "kept" else "patch"][kind])


@pytest.mark.thorough
@pytest.mark.parametrize("objective", ["elbo", "analytic_kl", "iwae", "iwae_dreg"])
def test_every_objective_trains_the_guide_alone(make_pair: MakePair, images: torch.Tensor, objective: str):
    model, guide = make_pair()
    config = replace(CONFIG, only="guide", objective=objective, num_particles=2)
    before = snapshot(model, guide)
    with trained_parts(config, model, guide):
        step(model, guide, images, config)
    changed = {name for name, value in snapshot(model, guide).items() if not torch.equal(before[name], value)}
    assert changed == {name for name in before if name.startswith("guide.")}


def test_the_fused_path_forms_no_gradient_of_kept_rows(make_pair: MakePair, images: torch.Tensor, monkeypatch: Any):
    """A frozen part costs no backward pass: its rows are never multiplied with."""
    from rnp_pyro.fast import generated

    asked: list[bool] = []
    wants = generated.HeadGradient.wants
    monkeypatch.setattr(generated.HeadGradient, "wants", lambda *it: asked.append(wants(*it)) or asked[-1])
    model, guide = make_pair()
    for options, expected in (({"freeze": "patch_decoder"}, {True, False}), ({"only": "guide"}, set())):
        asked.clear()
        kept = trained_parts(replace(CONFIG, **options), model, guide)
        with kept, pytest.warns(UserWarning, match="was not registered"):
            build_objective(CONFIG)(model, guide)(images).backward()
        assert set(asked) == expected


def test_divided_heads_are_the_layer(make_tree: Any):
    net = make_tree().hypernets.at(1)[0]
    features, whole = torch.randn(3, 8), net.heads
    divided = DividedHeads(whole, patch_rows(net.shapes), inside=False, outside=True)
    torch.testing.assert_close(divided(features), linear(features, whole.weight, whole.bias), rtol=0, atol=0)
    state = divided.state_dict()
    assert {name: tuple(value.shape) for name, value in state.items()} == {
        name: tuple(value.shape) for name, value in whole.state_dict().items()
    }
    other = {name: value + 1 for name, value in state.items()}
    divided.load_state_dict(other)
    assert divided.joined() is whole
    torch.testing.assert_close(whole.state_dict(), other, rtol=0, atol=0)


def test_the_rows_of_patches_are_those_that_the_decoder_reads(make_tree: Any, randomise: Callable[[nn.Module], None]):
    tree = make_tree()
    z = torch.randn(2, 6)
    net, before = tree.hypernets.at(2)[0], tree.unfold(z)
    with torch.no_grad():
        net.heads.bias[patch_rows(net.shapes)] += 1
    after = tree.unfold(z)
    for level in range(2):
        torch.testing.assert_close(before.at(level).z, after.at(level).z)
        assert not torch.equal(before.at(level).patch, after.at(level).patch)


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"only": "head"}, "--train.only: expected one or more of guide, model, .* got head"),
        ({"freeze": "guide,model"}, "leave nothing to train"),
        ({"only": "leak", "freeze": "model"}, "leave nothing to train"),
    ],
)
def test_what_is_refused(make_pair: MakePair, options: dict[str, str], expected: str):
    with pytest.raises(UserError, match=expected):
        check_parts(replace(CONFIG, **options), *make_pair())


def test_parts_that_a_model_does_not_have(make_pair: MakePair):
    for pair, part, there in ((make_pair("vae"), "patch_decoder", "guide, model$"),):
        with pytest.raises(UserError, match=f"this model has no {part}: expected one or more of {there}"):
            check_parts(replace(CONFIG, only=part), *pair)
    summed = make_pair(likelihood="normal", tree={"composition": "sum"})
    with pytest.raises(UserError, match="this model has no leak"):
        check_parts(replace(CONFIG, freeze="leak"), *summed)


def test_names_are_read():
    assert read_parts("--x", " guide, leak,") == {"guide", "leak"}
    assert read_parts("--x", None) == frozenset()
