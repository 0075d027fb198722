"""Every model with every guide, objective, likelihood and choice of random nodes; `make test` takes them pairwise."""

from collections.abc import Callable
from itertools import combinations
from math import isfinite
from typing import Any

import pyro
import pytest
import torch
from combinations import REFUSED, VALID, Combination, pairwise
from pyro import poutine
from pyro.infer import SVI, Predictive, Trace_ELBO
from pyro.optim import Adam

from inference.objectives import build_objective
from inference.objectives.elbo import WeighLatents
from inference.refinement import Refinement, refined
from rnp_pyro.api.pair import Pair, build_pair
from rnp_pyro.config import Config, ModelConfig, TrainConfig, TreeConfig
from rnp_pyro.errors import UserError
from rnp_pyro.fast.recall import remembering

MakeConfig = Callable[..., TreeConfig]

FEW = pairwise(VALID)


def marked(all_of_them: list[Combination], few: list[Combination]) -> list[Any]:
    """Mark as slow what is not among the few."""
    return [pytest.param(one, id="-".join(one), marks=() if one in few else pytest.mark.slow) for one in all_of_them]


REFINED = [one for one in VALID if one.likelihood == "bernoulli"]


@pytest.fixture
def make(tiny_config: MakeConfig) -> Callable[[Combination], tuple[Pair, TrainConfig]]:
    """Build a pair as the commands do."""

    def build(one: Combination) -> tuple[Pair, TrainConfig]:
        particles = 3 if one.objective.startswith("iwae") else 1
        model = ModelConfig(one.model, 6, one.node_latents, one.likelihood, prior=one.prior, tree=tiny_config())
        train = TrainConfig(objective=one.objective, num_particles=particles)
        return build_pair(Config(model=model, guide=one.guide_config, train=train), (1, 12, 12)), train

    return build


@pytest.mark.thorough
@pytest.mark.parametrize("one", marked(VALID, FEW))
def test_two_steps(make: Callable[[Combination], tuple[Pair, TrainConfig]], images: torch.Tensor, one: Combination):
    pair, train = make(one)
    elbo = build_objective(train)
    loss = elbo(pair.model, pair.guide)
    optimizer = torch.optim.Adam(loss.parameters(), lr=1e-3)
    with pyro.get_param_store().scope():
        for _ in range(2):
            optimizer.zero_grad()
            with WeighLatents(0.5), remembering(pair.model.decoder if elbo.one_walk else None):
                value = loss(images)
                value.backward()
            assert value.isfinite()
            gradients = [parameter.grad for parameter in loss.parameters()]
            assert all(gradient is not None and gradient.isfinite().all() for gradient in gradients)
            optimizer.step()
    assert elbo.terms is not None
    assert elbo.terms.neg_elbo.shape[-1:] == (len(images),)
    assert elbo.terms.neg_elbo.isfinite().all()
    assert all(parameter.requires_grad for parameter in loss.parameters())


@pytest.mark.thorough
@pytest.mark.parametrize("one", marked(REFINED, pairwise(REFINED)))
def test_a_step_refined(
    make: Callable[[Combination], tuple[Pair, TrainConfig]], images: torch.Tensor, one: Combination
):
    pair, train = make(one)
    elbo = build_objective(train)
    loss = elbo(pair.model, refined(pair.model, pair.amortized, Refinement(steps=1, rate=0.1, num_particles=2)))
    with pyro.get_param_store().scope(), WeighLatents(0.5), remembering(pair.model.decoder if elbo.one_walk else None):
        value = loss(images)
        value.backward()
    assert value.isfinite()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in loss.parameters())


STOCK = [one for one in VALID if one.objective == "elbo"]


@pytest.mark.thorough
@pytest.mark.parametrize("one", marked(STOCK, pairwise(STOCK)))
def test_stock_pyro(make: Callable[[Combination], tuple[Pair, TrainConfig]], images: torch.Tensor, one: Combination):
    """SVI, Predictive and poutine, with nothing of ours around."""
    pair, _ = make(one)
    model, guide = pair.model, pair.guide
    before = {name: weight.clone() for name, weight in pair.modules.named_parameters()}
    svi = SVI(model, guide, Adam({"lr": 1e-3}), Trace_ELBO())
    assert all(isfinite(svi.step(images)) for _ in range(3))
    assert not [name for name, weight in pair.modules.named_parameters() if torch.equal(weight, before[name])]
    drawn = poutine.trace(guide).get_trace(images)
    scored = poutine.trace(poutine.replay(model, trace=drawn)).get_trace(images)
    latents = set(drawn.stochastic_nodes)
    assert latents == set(scored.stochastic_nodes)
    assert scored.log_prob_sum().isfinite()
    site = model.decoder.root_site
    conditioned = poutine.trace(poutine.condition(model, {site: torch.zeros(len(images), 6)})).get_trace(images)
    assert set(conditioned.stochastic_nodes) == latents - {site}
    samples = Predictive(model, guide=guide, num_samples=3)(images)
    assert set(samples) >= latents - {"images"}
    assert all(samples[name].shape[:2] == (3, len(images)) for name in latents - {"images"})


@pytest.mark.thorough_after(2)
@pytest.mark.parametrize("one", marked(REFUSED, pairwise(REFUSED)))
def test_what_does_not_fit_is_refused_in_one_line(
    make: Callable[[Combination], tuple[Pair, TrainConfig]], one: Combination
):
    assert one.refusal is not None
    with pytest.raises(UserError, match=one.refusal) as caught:
        make(one)
    assert "\n" not in str(caught.value)


def test_any_two_choices_meet():
    met = {pair for one in FEW for pair in combinations(enumerate(one), 2)}
    assert met == {pair for one in VALID for pair in combinations(enumerate(one), 2)}
    assert len(FEW) < len(VALID) / 4
