"""Pyro's own SVI with our objectives: it takes the step that our training takes."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace
from math import isfinite
from typing import Any

import pyro
import pytest
import torch
from lightning_fabric import Fabric
from pyro.infer import SVI

from guides.auto import AUTO_GUIDES
from inference.objectives import OBJECTIVES, Objective, build_objective
from inference.objectives.elbo import WeighLatents
from inference.objectives.iwae import ImportanceWeightedELBO
from inference.training.gradient import clipped_gradient
from rnp_pyro.config import TrainConfig
from rnp_pyro.errors import UserError

MakePair = Callable[..., tuple]
SETTINGS: dict[str, dict[str, Any]] = {
    **{name: {"objective": name, "num_particles": 3 if name.startswith("iwae") else 1} for name in OBJECTIVES},
    "particles": {"num_particles": 3},
    "free_bits": {"free_bits": 4.0},
    "free_bits_particles": {"free_bits": 4.0, "num_particles": 3},
}
WEIGHT = 0.3


def objective(name: str) -> Objective:
    return build_objective(replace(TrainConfig(), **SETTINGS[name]))


def weights(pair: tuple) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in torch.nn.ModuleList(pair).named_parameters()}


@pytest.fixture(params=["resnet", "ladder"])
def pair(make_pair: MakePair, request: pytest.FixtureRequest) -> tuple:
    return make_pair(guide=request.param)


@pytest.mark.thorough
@pytest.mark.parametrize("name", SETTINGS)
def test_svi_takes_our_step(pair: tuple, images: torch.Tensor, name: str):
    """Parameters after one plain step down the gradient, the KL weighed, and the loss."""
    ours = deepcopy(pair)
    fabric = Fabric(accelerator="cpu", devices=1, precision="64-true")
    loss, optimizer = fabric.setup(objective(name)(*ours), torch.optim.SGD(torch.nn.ModuleList(ours).parameters(), 0.1))
    pyro.set_rng_seed(1)
    with pyro.get_param_store().scope():
        value, _ = clipped_gradient(fabric, loss, optimizer, images, WEIGHT, float("inf"))
        optimizer.step()

    before = weights(pair)
    svi = SVI(*pair, pyro.optim.SGD({"lr": 0.1 / len(images)}), objective(name))
    pyro.set_rng_seed(1)
    with WeighLatents(WEIGHT):
        assert svi.evaluate_loss(images) == pytest.approx(len(images) * value.item(), rel=1e-9)
    assert all(torch.equal(before[one], value) for one, value in weights(pair).items())
    pyro.set_rng_seed(1)
    with WeighLatents(WEIGHT):
        assert svi.step(images) == pytest.approx(len(images) * value.item(), rel=1e-9)
    after, expected = weights(pair), weights(ours)
    assert any(not torch.equal(before[one], after[one]) for one in after)
    for one in after:
        torch.testing.assert_close(after[one], expected[one], rtol=1e-7, atol=1e-10, msg=one)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("name", SETTINGS)
@pytest.mark.parametrize("kind", AUTO_GUIDES)
def test_pyros_own_guides_take_a_step_or_are_refused(make_pair: MakePair, images: torch.Tensor, name: str, kind: str):
    """Their auxiliary draws have no prior, so that some objectives cannot take them."""
    model, _ = make_pair(part_term_weight=0.0)
    guide = AUTO_GUIDES[kind](model)
    svi = SVI(model, guide, pyro.optim.SGD({"lr": 1e-3}), objective(name))
    refused = {
        "auto_normal": ("analytic_kl", "free_bits"),
        "auto_delta": ("iwae_dreg",),
        "auto_low_rank": ("analytic_kl", "free_bits", "iwae", "iwae_dreg"),
    }
    if name.removesuffix("_particles") not in refused[kind]:
        assert isfinite(svi.step(images))
        return
    with pytest.raises(UserError, match=r"needs? (a guide|a formula)"):
        svi.step(images)


@pytest.mark.thorough
def test_free_bits_are_felt(make_pair: MakePair, images: torch.Tensor):
    """Or the test above could compare the plain bound with itself."""
    pair = make_pair(guide="ladder")
    found = []
    for name in ("elbo", "free_bits"):
        pyro.set_rng_seed(1)
        found.append(objective(name).loss(*pair, images))
    assert found[1] > found[0] + 1


def test_dreg_refuses_a_guide_without_parameters_to_fix(make_pair: MakePair, images: torch.Tensor):
    model, guide = make_pair()
    svi = SVI(model, lambda batch: guide(batch), pyro.optim.SGD({"lr": 0.1}), objective("iwae_dreg"))
    with pytest.raises(UserError, match=r"fixes a guide's parameters .*: expected a PyroModule, got <function"):
        svi.step(images)
    assert isinstance(objective("iwae_dreg"), ImportanceWeightedELBO)
