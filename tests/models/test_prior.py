"""Priors of the root's latent: they begin as N(0, I), are densities, and find the prior that images were drawn from."""

from collections.abc import Callable

import pyro
import pytest
import torch
from linear_gaussian import LATENT_SIZE, LinearGaussian, LinearGuide, draw_images, exact_evidence
from pyro import poutine
from torch import nn

from inference.importance import Sampling, log_weights
from inference.objectives import build_objective
from inference.posterior.log_joint import log_joint
from models import MODELS
from models.prior import PRIORS, FlowPrior, MixturePrior
from rnp_pyro.config import ModelConfig, TrainConfig
from rnp_pyro.errors import UserError

MakePair = Callable[..., tuple]
LEARNED = ("flow", "mixture")

LOC, SCALE = torch.tensor([1.0, -0.5, 0.3]).double(), torch.tensor([0.5, 1.5, 0.8]).double()
"""Mean and standard deviation of the latents that images are drawn from."""


def density(fn: torch.distributions.Distribution) -> torch.Tensor:
    """The integral of a density of two dimensions over a square that holds nearly all of it."""
    axis = torch.linspace(-9, 9, 361)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), dim=-1)
    return fn.log_prob(grid).exp().sum() * (axis[1] - axis[0]) ** 2


@pytest.mark.parametrize("name", PRIORS)
def test_a_prior_is_a_density(name: str, randomise: Callable[..., None]):
    prior = PRIORS[name](2)
    randomise(prior, 0.1)
    assert density(prior(torch.zeros(1))).item() == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize("name", PRIORS)
def test_it_starts_as_a_standard_normal(name: str):
    """The flow to rounding; the mixture nearly, with components that differ."""
    fn, standard = PRIORS[name](6)(torch.zeros(1)), torch.distributions.Normal(0, 1)
    z = torch.randn(2000, 6)
    difference = standard.log_prob(z).sum(-1) - fn.log_prob(z)
    if name != "mixture":
        assert difference.abs().max() < 1e-12
    else:
        assert 0 < difference.mean() < 0.03  # the divergence of one from the other, nats
        assert fn.component_distribution.mean.std(0).min() > 0.05
    assert fn.event_shape == (6,)
    assert fn.batch_shape == ()


def test_the_papers_prior_adds_nothing_to_the_weights(make_pair: MakePair):
    model, _ = make_pair()
    assert not [name for name in model.state_dict() if "prior" in name]
    for name in LEARNED:
        pyro.set_rng_seed(0)
        ours = make_pair(prior=name)[0].state_dict()
        pyro.set_rng_seed(0)
        paper = make_pair()[0].state_dict()
        assert all(torch.equal(ours[name], weight) for name, weight in paper.items()), "equal decoders for a seed"


def as_normal(prior: nn.Module) -> nn.Module:
    """Set a prior's weights so that it is N(LOC, SCALE^2), whatever else it could be."""
    with torch.no_grad():
        if isinstance(prior, MixturePrior):
            prior.loc.copy_(LOC.expand_as(prior.loc))
            prior.log_scale.copy_(SCALE.log().expand_as(prior.log_scale))
            return prior
        # The first coupling moves all but the first number, the second, turned round, all but the last.
        first, second = prior.couplings[0].nn.layers[-1], prior.couplings[1].nn.layers[-1]
        first.bias.copy_(torch.cat([LOC[1:], SCALE[1:].log()]))
        second.bias.copy_(torch.stack([torch.tensor(0.0), LOC[0], torch.tensor(0.0), SCALE[0].log()]))
    return prior


def shifted(model: LinearGaussian) -> LinearGaussian:
    """The model of the same images whose latent is standard normal: z = LOC + SCALE e."""
    other = LinearGaussian(model.scale)
    with torch.no_grad():
        other.decoder.bias.copy_(model.decoder.bias + model.decoder.weight @ LOC)
        other.decoder.weight.copy_(model.decoder.weight * SCALE)
    return other


class ShiftedGuide(LinearGuide):
    """The exact posterior of ``shifted``, moved to the latents of the model itself."""

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        posterior = pyro.distributions.Normal(
            LOC + SCALE * (images.flatten(-3) @ self.slope + self.offset), SCALE * self.scale
        )
        with pyro.plate("images", images.shape[-4], dim=-1):
            return pyro.sample("z.0", posterior.to_event(1))


@pytest.mark.parametrize("name", LEARNED)
def test_where_it_is_the_true_one_every_weight_is_the_evidence(name: str):
    model = LinearGaussian(prior=as_normal(PRIORS[name](LATENT_SIZE)))
    standard = shifted(model)
    images = draw_images(standard, 20)
    found = log_weights(model, ShiftedGuide(standard), images, Sampling(5))
    torch.testing.assert_close(found, exact_evidence(standard, images).detach().expand_as(found))


@pytest.mark.thorough
@pytest.mark.parametrize("objective", ["analytic_kl", "iwae_dreg"])
@pytest.mark.parametrize("name", LEARNED)
def test_training_finds_the_prior_that_images_were_drawn_from(name: str, objective: str):
    """The decoder stays: then the best prior is the true one, and its bound the evidence."""
    model = LinearGaussian(prior=PRIORS[name](LATENT_SIZE))
    standard = shifted(model)
    guide = LinearGuide(model)
    loss = build_objective(TrainConfig(objective=objective, num_particles=4 if "iwae" in objective else 1))
    optimizer = torch.optim.Adam([*model.prior.parameters(), *guide.parameters()], lr=0.02)
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 100)
    images = draw_images(standard, 1000)
    before = gap(model, guide, standard, images)
    with pyro.get_param_store().scope(), pyro.validation_enabled(False):
        for _ in range(100):
            optimizer.zero_grad()
            (loss.differentiable_loss(model, guide, images) / len(images)).backward()
            optimizer.step()
            schedule.step()
        drawn = model.prior(images).sample((20_000,))
    assert before > 0.3
    assert abs(gap(model, guide, standard, images)) < 0.05
    assert (drawn.mean(0) - LOC).abs().max() < 0.3


def gap(model: LinearGaussian, guide: LinearGuide, standard: LinearGaussian, images: torch.Tensor) -> float:
    """How far the bound is below the evidence under the true prior, nats per image."""
    found = log_weights(model, guide, images, Sampling(20))
    return float((exact_evidence(standard, images) - found).mean())


@pytest.mark.parametrize("name", LEARNED)
def test_the_log_joint_of_one_image_has_its_density_and_its_draws(
    make_pair: MakePair, images: torch.Tensor, randomise: Callable[..., None], name: str
):
    """What NUTS and annealing climb; the model may have been run and scored before."""
    model, _ = make_pair(prior=name)
    randomise(model.prior)
    with poutine.trace() as tracer:
        model(images)
    tracer.trace.compute_log_prob()
    target, z = log_joint(model, images[0]), torch.randn(3, 6, requires_grad=True)
    expected = model.prior(images).log_prob(z)
    torch.testing.assert_close(target.terms(z).prior, expected)
    torch.testing.assert_close(*(torch.autograd.grad(one.sum(), z)[0] for one in (target.terms(z).prior, expected)))
    assert target.draw_prior(7).shape == (7, 6)


@pytest.mark.parametrize("name", PRIORS)
def test_its_density_is_not_narrowed(name: str, randomise: Callable[..., None]):
    prior = PRIORS[name](6).float()
    randomise(prior)
    z = torch.randn(5, 6, dtype=torch.float32)
    exact = prior(z).log_prob(z)
    with torch.autocast("cpu", torch.bfloat16):
        found = prior(z).log_prob(z)
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, exact)


@pytest.mark.parametrize("name", LEARNED)
@pytest.mark.parametrize("model_name", MODELS)
def test_a_learned_prior_starts_with_the_papers_bound(
    make_pair: MakePair, images: torch.Tensor, model_name: str, name: str
):
    values = []
    _, guide = make_pair(model_name)
    for prior in ("normal", name):
        pyro.set_rng_seed(0)
        model, _ = make_pair(model_name, prior=prior)
        pyro.set_rng_seed(1)
        drawn = poutine.trace(guide).get_trace(images)
        values.append(poutine.trace(poutine.replay(model, drawn)).get_trace(images).log_prob_sum())
    torch.testing.assert_close(*values, rtol=0, atol=1e-9 if name == "flow" else 2.0)


def test_a_flow_needs_two_dimensions():
    with pytest.raises(UserError, match="expected latent_size of 2 or more, got 1"):
        MODELS["vae"](ModelConfig("vae", latent_size=1, prior="flow"), (1, 12, 12))
    assert isinstance(PRIORS["flow"](2), FlowPrior)
