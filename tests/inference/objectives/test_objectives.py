"""Objectives: their values, their gradients on a model whose bound is known, and what is refused."""

from collections.abc import Callable
from dataclasses import replace
from math import log

import pyro
import pytest
import torch
from linear_gaussian import LinearGaussian, LinearGuide, draw_images, exact_evidence
from pyro import poutine
from pyro.distributions import Normal
from pyro.infer import RenyiELBO
from pyro.nn import PyroModule
from torch import nn
from torch.distributions import kl_divergence

from inference.objectives import OBJECTIVES, build_objective
from inference.objectives.elbo import WeighLatents
from inference.objectives.free_bits import FreeBitsELBO
from inference.objectives.iwae import ImportanceWeightedELBO
from rnp_pyro.config import TrainConfig
from rnp_pyro.errors import UserError

MakePair = Callable[..., tuple]


def config(objective: str, **changes: object) -> TrainConfig:
    particles = 4 if objective.startswith("iwae") else 1
    return replace(TrainConfig(), **{"objective": objective, "num_particles": particles, **changes})


@pytest.mark.thorough_after(2)
@pytest.mark.parametrize("weight", [1.0, 0.3])
@pytest.mark.parametrize(("guide", "prior"), [("ladder", "flow"), ("ladder", "mixture"), ("flow", "normal")])
def test_where_the_root_has_no_formula_its_kl_is_the_draws(
    make_pair: MakePair, images: torch.Tensor, guide: str, prior: str, weight: float
):
    """And every node keeps its own: the loss is put together here term by term from the same draws."""
    model, guide = make_pair(guide=guide, prior=prior, node_latents="both", part_term_weight=0.0)
    pyro.set_rng_seed(0)
    with WeighLatents(weight):
        loss = build_objective(config("analytic_kl")).differentiable_loss(model, guide, images)
    pyro.set_rng_seed(0)
    drawn = poutine.trace(guide).get_trace(images)
    scored = poutine.trace(poutine.replay(model, trace=drawn)).get_trace(images)
    drawn.compute_log_prob()
    scored.compute_log_prob()
    nodes = [name for name in drawn.stochastic_nodes if name not in ("images", "z.2")]
    assert len(nodes) == 8
    kl = sum(kl_divergence(drawn.nodes[name]["fn"], scored.nodes[name]["fn"]).sum() for name in nodes)
    kl += drawn.nodes["z.2"]["log_prob_sum"] - scored.nodes["z.2"]["log_prob_sum"]
    expected = weight * kl - scored.nodes["image"]["log_prob_sum"]
    torch.testing.assert_close(loss, expected)
    parameters = list(torch.nn.ModuleList([model, guide]).parameters())
    for ours, theirs in zip(*(torch.autograd.grad(one, parameters) for one in (loss, expected)), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-8, atol=1e-9)


@pytest.fixture
def linear() -> tuple[LinearGaussian, LinearGuide, torch.Tensor]:
    model = LinearGaussian()
    return model, LinearGuide(model, shift=0.2, stretch=1.4), draw_images(model, 20)


def test_the_weighted_bound_is_pyros(linear: tuple):
    *pair, images = linear
    for module in pair:
        for parameter in module.parameters():
            parameter.requires_grad_(True)
    pyro.set_rng_seed(2)
    ours = ImportanceWeightedELBO(50).differentiable_loss(*pair, images)
    pyro.set_rng_seed(2)
    theirs = RenyiELBO(alpha=0, num_particles=50, vectorize_particles=True, max_plate_nesting=1).loss(*pair, images)
    assert ours.item() == pytest.approx(theirs, rel=1e-10)
    assert -ours.item() < exact_evidence(pair[0], images).sum().item()


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["slope", "scale"])
def test_both_gradients_have_one_expectation_and_dreg_is_quieter(linear: tuple, name: str):
    """Over many draws; for the guide, and for the model's weights, where they are the same."""
    *pair, images = linear
    guide = pair[1]
    found = {}
    for doubly in (False, True):
        objective, gradients = ImportanceWeightedELBO(8, doubly_reparameterized=doubly), []
        for seed in range(300):
            pyro.set_rng_seed(seed)
            with pyro.validation_enabled(False), pyro.get_param_store().scope():
                loss = objective.differentiable_loss(*pair, images)
            parameters = [getattr(guide, name), pair[0].decoder.weight]
            gradients.append([part.flatten() for part in torch.autograd.grad(loss, parameters)])
        found[doubly] = [torch.stack(part) for part in zip(*gradients, strict=True)]
    (plain, model_plain), (dreg, model_dreg) = found[False], found[True]
    error = (plain.var(0) / len(plain) + dreg.var(0) / len(dreg)).sqrt()
    assert ((plain.mean(0) - dreg.mean(0)).abs() < 4 * error).all()
    assert dreg.var(0).mean() < 0.7 * plain.var(0).mean()
    assert torch.allclose(model_plain, model_dreg, rtol=1e-9, atol=1e-9)


class Chain(PyroModule):
    """p = N(z; 0, 1) N(node; z, scale) N(x; node, 1), with a learned scale."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(0.8))

    def forward(self, images: torch.Tensor) -> None:
        with pyro.plate("images", len(images), dim=-1):
            z = pyro.sample("z", Normal(0.0, 1.0))
            node = pyro.sample("node", Normal(z, self.scale))
            pyro.sample("image", Normal(node, 1.0), obs=images.flatten())


class ChainGuide(PyroModule):
    """q = N(z; slope x, 0.9) N(node; z + shift (x - z), scale): at shift 0 the node follows the prior."""

    def __init__(self, model: Chain, shift: float) -> None:
        super().__init__()
        self.model, self.shift = model, shift
        self.slope = nn.Parameter(torch.tensor(0.5))

    def forward(self, images: torch.Tensor) -> None:
        pixel = images.flatten()
        with pyro.plate("images", len(images), dim=-1):
            z = pyro.sample("z", Normal(self.slope * pixel, 0.9))
            pyro.sample("node", Normal(z + self.shift * (pixel - z), self.model.scale))


def chain_gradients(objective: ImportanceWeightedELBO, shift: float, weight: float) -> torch.Tensor:
    """Forty estimates of the gradient by the weight that model and guide share, and by the guide's own."""
    model = Chain()
    pyro.set_rng_seed(0)
    guide, images = ChainGuide(model, shift), 2 * torch.randn(5000, 1, 1, 1)
    gradients = []
    for _ in range(40):
        with WeighLatents(weight):
            loss = objective.differentiable_loss(model, guide, images)
        gradients.append(torch.stack(torch.autograd.grad(loss, [model.scale, guide.slope])))
    return torch.stack(gradients)


@pytest.mark.thorough
@pytest.mark.parametrize("weight", [1.0, 0.3, 0.05])
@pytest.mark.parametrize("shift", [0.0, 0.3])
def test_both_gradients_agree_at_every_weight_of_the_kl(shift: float, weight: float):
    """Also by weights that both share: nodes follow the prior, or are corrected from it, by the tree's own weights."""
    plain, dreg = (
        chain_gradients(ImportanceWeightedELBO(4, doubly_reparameterized=doubly), shift, weight)
        for doubly in (False, True)
    )
    error = ((plain.var(0) + dreg.var(0)) / len(plain)).sqrt()
    assert ((plain.mean(0) - dreg.mean(0)).abs() < 4 * error).all()
    assert (plain.mean(0).abs() > 8 * error).all(), "too few draws to tell anything"


def test_dreg_refuses_latents_of_different_weights(images: torch.Tensor):
    class Uneven(ChainGuide):
        def forward(self, images: torch.Tensor) -> None:
            with pyro.plate("images", len(images), dim=-1):
                with poutine.scale(scale=0.5):
                    z = pyro.sample("z", Normal(0.0, 1.0))
                pyro.sample("node", Normal(z, 1.0))

    objective = ImportanceWeightedELBO(4, doubly_reparameterized=True)
    with pytest.raises(UserError, match=r"needs one KL weight for all latents, got .*: expected one scale, or --train"):
        objective.differentiable_loss(Chain(), Uneven(Chain(), 0.0), images[..., :1, :1])


@pytest.mark.thorough_after(10)
@pytest.mark.parametrize("weight", [0.3, 1.0])
@pytest.mark.parametrize("particles", [1, 3])
@pytest.mark.parametrize("objective", OBJECTIVES)
def test_the_weight_is_the_kls_in_every_objective(linear: tuple, objective: str, particles: int, weight: float):
    """Each value is made of the recorded terms; the closed KL's only in expectation."""
    *pair, images = linear
    if objective.startswith("iwae") and particles == 1:
        particles = 2
    elbo = build_objective(config(objective, num_particles=particles))
    repeats = images.repeat(200, 1, 1, 1)
    with torch.no_grad(), WeighLatents(weight):
        value = elbo.differentiable_loss(*pair, repeats).item() / len(repeats)
    assert elbo.terms is not None
    each = elbo.terms.reconstruction + weight * elbo.terms.kl
    if objective.startswith("iwae"):
        each = -((-each).logsumexp(0) - log(particles))
    error = 4 * each.std().item() / each.numel() ** 0.5 if objective == "analytic_kl" else 1e-9
    assert value == pytest.approx(each.mean().item(), abs=error)


def test_dreg_vanishes_where_the_guide_is_exact(linear: tuple):
    """All weights are equal there, whatever is drawn: sticking the landing."""
    model, _, images = linear
    guide = LinearGuide(model)
    loss = ImportanceWeightedELBO(8, doubly_reparameterized=True).differentiable_loss(model, guide, images)
    for gradient in torch.autograd.grad(loss, list(guide.parameters())):
        assert torch.allclose(gradient, torch.zeros_like(gradient), atol=1e-8)


@pytest.mark.thorough
def test_the_closed_kl_is_what_sampling_estimates(make_pair: MakePair, images: torch.Tensor):
    pair = make_pair(guide="ladder", part_term_weight=0.0)
    values = {}
    for objective in ("elbo", "analytic_kl"):
        elbo = build_objective(config(objective))
        found = []
        for seed in range(50):
            pyro.set_rng_seed(seed)
            with torch.no_grad(), pyro.validation_enabled(False):
                found.append(elbo.differentiable_loss(*pair, images).item())
        values[objective] = torch.tensor(found)
    error = (sum(value.var() for value in values.values()) / 50).sqrt()
    assert abs(values["elbo"].mean() - values["analytic_kl"].mean()) < 4 * error


def test_a_guide_in_another_order_has_no_closed_kl(make_pair: MakePair, images: torch.Tensor):
    model, _ = make_pair(node_latents="both")

    class Backwards(pyro.nn.PyroModule):
        def forward(self, images: torch.Tensor) -> None:
            with poutine.block():
                sites = poutine.trace(model).get_trace(images).nodes
            with pyro.plate("images", len(images), dim=-1):
                for name in reversed([one for one, site in sites.items() if one[:2] in ("z.", "ac")]):
                    pyro.sample(name, sites[name]["fn"])

    with pytest.raises(UserError, match="model's order"):
        build_objective(config("analytic_kl")).differentiable_loss(model, Backwards(), images)


@pytest.mark.thorough
def test_where_no_group_needs_its_free_bits_it_is_the_bound(make_pair: MakePair, images: torch.Tensor):
    pair = make_pair(guide="ladder", part_term_weight=0.0)
    found = []
    for objective in (FreeBitsELBO(-1e9), build_objective(config("elbo"))):
        pyro.set_rng_seed(0)
        with WeighLatents(0.3):
            value = objective.differentiable_loss(*pair, images)
        found.append((value, torch.autograd.grad(value, list(pair[0].parameters()))))
    (ours, our_gradient), (theirs, their_gradient) = found
    assert ours.item() == pytest.approx(theirs.item(), rel=1e-12)
    assert all(torch.allclose(*both, rtol=1e-8, atol=1e-10) for both in zip(our_gradient, their_gradient, strict=True))


@pytest.mark.thorough
def test_where_every_group_has_bits_left_the_kl_has_no_gradient(make_pair: MakePair, images: torch.Tensor):
    pair = make_pair(guide="ladder", part_term_weight=0.0)
    pyro.set_rng_seed(0)
    loss = build_objective(config("elbo", free_bits=1000.0)).differentiable_loss(*pair, images)
    pyro.set_rng_seed(0)
    drawn = poutine.trace(pair[1]).get_trace(images)
    scored = poutine.trace(poutine.replay(pair[0], trace=drawn)).get_trace(images)
    reconstruction = -scored.nodes["image"]["fn"].log_prob(images).sum()
    groups = 5  # z.2, and states and actions of two levels
    assert loss.item() == pytest.approx(reconstruction.item() + groups * 1000 * len(images), rel=1e-12)
    parameters = list(torch.nn.ModuleList(pair).parameters())
    gradients = (torch.autograd.grad(one, parameters, allow_unused=True) for one in (loss, reconstruction))
    for ours, theirs in zip(*gradients, strict=True):
        expected = torch.zeros_like(ours) if theirs is None else theirs
        assert torch.allclose(ours, expected, rtol=1e-8, atol=1e-10)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"objective": "elb"}, "expected one of elbo, analytic_kl, iwae, iwae_dreg, got elb"),
        ({"num_particles": 0}, "num_particles must be at least 1, got 0"),
        ({"free_bits": -1.0}, "free_bits must be at least 0 nats, got -1"),
        ({"free_bits": float("nan")}, "free_bits must be at least 0 nats, got nan"),
        ({"objective": "iwae", "num_particles": 8, "free_bits": 1.0}, "free bits are for --train.objective elbo"),
        ({"objective": "iwae_dreg"}, "expected --train.num_particles of 2 or more, got 1"),
    ],
)
def test_settings_that_do_not_fit(settings: dict, message: str):
    with pytest.raises(UserError, match=message):
        build_objective(replace(TrainConfig(), **settings))
