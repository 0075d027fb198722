"""Refined guides: they reach known answers, do not notice their surroundings, and are guides like any other."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import replace

import pyro
import pytest
import torch
from linear_gaussian import (
    LATENT_SIZE,
    LinearGaussian,
    LinearGuide,
    dense_posterior,
    draw_images,
    exact_evidence,
    rotated,
)
from pairs import PAIRS
from pyro import poutine
from pyro.distributions import MultivariateNormal, Normal
from pyro.infer import SVI, Predictive, Trace_ELBO
from pyro.optim import Adam

from inference.bounds import elbo_terms, latent_means
from inference.importance import Sampling, bound, draw_again, log_weights
from inference.noise import MoveNoise
from inference.objectives.elbo import WeighLatents, random_sites
from inference.particles import DrawNamed
from inference.refinement import UNREFINED, RefinedGuide, Refinement, check_refinement, climb, refined
from rnp_pyro.errors import UserError
from rnp_pyro.fast.recall import remembering
from rnp_pyro.streams import Purpose

MakePair = Callable[..., tuple]
Randomise = Callable[..., None]

FEW = Refinement(steps=3, rate=0.1, num_particles=4)
MANY = Refinement(steps=120, rate=0.05, num_particles=8)


@pytest.fixture
def linear() -> tuple[LinearGaussian, LinearGuide, torch.Tensor]:
    model = LinearGaussian()
    return model, LinearGuide(model, shift=0.4, stretch=2.0), draw_images(model, 10)


def gap(model: pyro.nn.PyroModule, guide: pyro.nn.PyroModule, images: torch.Tensor) -> torch.Tensor:
    return exact_evidence(model, images) - bound(log_weights(model, guide, images, Sampling(1000)), 1)


@pytest.mark.thorough
def test_a_wrong_guide_of_the_right_family_reaches_the_evidence(linear: tuple):
    model, guide, images = linear
    assert (gap(model, guide, images) > 0.5).all()
    found = gap(model, refined(model, guide, MANY), images)
    assert found.abs().max() < 0.05


@pytest.mark.thorough
def test_a_few_steps_are_better_than_none(linear: tuple):
    model, guide, images = linear
    assert (gap(model, refined(model, guide, FEW), images) < gap(model, guide, images)).all()


@pytest.mark.thorough
@pytest.mark.parametrize("guide", ["resnet", "ladder"])
def test_a_trees_bound_becomes_tighter(make_pair: MakePair, images: torch.Tensor, randomise: Randomise, guide: str):
    model, posterior = make_pair(guide=guide, part_term_weight=0.1)
    randomise(model, 0.03)
    randomise(posterior, 0.03)
    better = refined(model, posterior, replace(FEW, steps=15))
    bounds = [bound(log_weights(model, one, images, Sampling(300)), 1) for one in (posterior, better)]
    assert (bounds[1] > bounds[0] + 0.1).all()


def test_no_steps_leave_the_guide_itself(linear: tuple):
    model, guide, _ = linear
    assert refined(model, guide, UNREFINED) is guide


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": -1}, "refine_steps must be at least 0, got -1"),
        ({"rate": 0.0}, "refine_rate must be above 0 and at most 10, got 0"),
        ({"rate": 11.0}, "refine_rate must be above 0 and at most 10, got 11"),
        ({"num_particles": 0}, "refine_particles must be at least 1, got 0"),
    ],
)
def test_settings_out_of_range(changes: dict, message: str):
    with pytest.raises(UserError, match=message):
        check_refinement(replace(FEW, **changes))


def test_a_climb_that_diverges_says_so(linear: tuple):
    model, guide, images = linear
    with pytest.raises(UserError, match="led away from all that can be computed: try a smaller refine_rate"):
        climb(model, guide, images * torch.inf, FEW)


# -- surroundings


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "guide"), PAIRS)
def test_chunks_change_nothing(make_pair: MakePair, images: torch.Tensor, name: str, guide: str):
    model, posterior = make_pair(name, guide)
    better = refined(model, posterior, FEW)
    whole = log_weights(model, better, images, Sampling(6))
    cut = log_weights(model, better, images, Sampling(6, particle_chunk=4, image_chunk=1))
    assert torch.allclose(whole, cut, rtol=1e-8)
    drawn = draw_again(better, images, torch.full((1, len(images)), 2), seed=0)
    scored = poutine.trace(poutine.condition(model.eval(), {name: value[0] for name, value in drawn.items()}))
    with MoveNoise(climb(model, posterior, images, FEW)):
        proposed = poutine.trace(poutine.condition(posterior, {name: value[0] for name, value in drawn.items()}))
        log_q = per_image(proposed.get_trace(images))
    assert torch.allclose(per_image(scored.get_trace(images)) - log_q, whole[2], rtol=1e-8)


def per_image(trace: poutine.Trace) -> torch.Tensor:
    """Add up all log probabilities of each image."""
    trace.compute_log_prob()
    return sum(site["log_prob"] for site in random_sites(trace).values())  # type: ignore[return-value]


@pytest.mark.thorough
def test_handlers_around_it_do_not_reach_the_climb(make_pair: MakePair, images: torch.Tensor):
    model, posterior = make_pair(guide="ladder", part_term_weight=0.1)
    alone = climb(model, posterior, images, FEW)
    with WeighLatents(0.1), poutine.trace() as around, remembering(model.decoder), pyro.plate("particles", 5, dim=-2):
        weighed = climb(model, posterior, images, FEW)
        assert model.decoder.memory is not None
        assert not model.decoder.memory.records
    assert set(around.trace.nodes) <= {"particles"}
    assert all(torch.equal(alone[name].shift, weighed[name].shift) for name in alone)
    assert model.training
    assert all(weight.requires_grad and weight.grad is None for weight in model.parameters())


def test_in_evaluation_a_climb_is_made_once_for_the_same_images_and_weights(linear: tuple):
    model, guide, images = linear
    better = RefinedGuide(model, guide, FEW).eval()
    held = images.clone()
    better(held)
    first = better.cached
    better(images.clone())
    assert better.cached is first
    better(images[:4])
    assert better.cached is not first
    second = better.cached
    with torch.no_grad():
        model.decoder.bias += 1
    better(images[:4])
    assert better.cached is not second


def test_images_that_are_changed_in_place_are_other_images(linear: tuple):
    model, guide, images = linear
    better = RefinedGuide(model, guide, FEW).eval()
    better(images)
    first = better.cached
    images += 1
    better(images)
    assert better.cached is not first


def test_in_training_every_call_climbs(linear: tuple):
    """An optimizer may change weights behind the back of their versions, as fused ones do."""
    model, guide, images = linear
    better = RefinedGuide(model, guide, FEW)
    drawn = []
    for _ in range(2):
        pyro.set_rng_seed(0)
        drawn.append(better(images))
        model.decoder.bias.data += 1
    assert not torch.equal(*drawn)
    assert better.cached is None


def test_switching_to_training_and_back_forgets(linear: tuple):
    model, guide, images = linear
    better = RefinedGuide(model, guide, FEW).eval()
    better(images)
    better.train()
    assert better.cached is None


def test_where_the_guide_is_the_posterior_it_stays(linear: tuple):
    """The gradient's noise vanishes there, whatever is drawn."""
    model, _, images = linear
    moves = climb(model, LinearGuide(model), images, replace(FEW, num_particles=1))["z.0"]
    assert torch.stack([moves.shift, moves.log_stretch]).abs().max() < 1e-10


def test_its_noise_is_not_that_of_weighing(linear: tuple):
    """Or the draws that a posterior was fitted to would weigh it."""
    *_, images = linear
    particles, index = torch.arange(3)[:, None].expand(-1, len(images)), torch.zeros(len(images), dtype=torch.int64)
    drawn = []
    for purpose in (Purpose.PARTICLES, Purpose.REFINEMENT):
        plates = pyro.plate("particles", 3, dim=-2), pyro.plate("images", len(images), dim=-1)
        with DrawNamed(0, particles, index, purpose), plates[0], plates[1]:
            drawn.append(pyro.sample("z.0", Normal(torch.zeros(2), 1.0).to_event(1)))
    assert (drawn[0] - drawn[1]).abs().min() > 1e-6


@pytest.mark.thorough
def test_the_model_goes_along_to_another_type(make_pair: MakePair, images: torch.Tensor):
    model, posterior = make_pair()
    better = deepcopy(refined(model, posterior, FEW)).to(torch.float32)
    assert better(images.float()).dtype == torch.float32


def test_a_guide_that_has_run_and_has_modules_of_pyro_can_be_refined(linear: tuple):
    model, _, images = linear

    class OfPyro(pyro.nn.PyroModule):
        def __init__(self) -> None:
            super().__init__()
            self.layer = pyro.nn.PyroModule[torch.nn.Linear](6, 2 * LATENT_SIZE)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            loc, log_scale = self.layer(images.flatten(-3)).chunk(2, -1)
            with pyro.plate("images", len(images), dim=-1):
                return pyro.sample("z.0", Normal(loc, log_scale.exp()).to_event(1))

    guide = OfPyro()
    loss = Trace_ELBO().differentiable_loss(model, guide, images)
    names = [name for name, _ in guide.named_parameters()]
    for _ in range(2):
        better = refined(model, guide, FEW)
        assert Trace_ELBO().differentiable_loss(model, better, images) < loss
        Trace_ELBO().differentiable_loss(model, guide, images)
    assert [name for name, _ in guide.named_parameters()] == names


def test_its_weights_are_the_guides(make_pair: MakePair):
    model, posterior = make_pair()
    better = refined(model, posterior, FEW)
    assert {id(weight) for weight in better.parameters()} == {id(weight) for weight in posterior.parameters()}


@pytest.mark.thorough
def test_means_are_those_of_the_refined_posterior(linear: tuple):
    model, guide, images = linear
    better = refined(model, guide, MANY)
    exact = latent_means(LinearGuide(model), images)["z.0"]
    off = [(latent_means(one, images)["z.0"] - exact).abs().mean() for one in (guide, better)]
    assert off[1] < 0.2 * off[0]


# -- training


@pytest.mark.thorough
def test_the_gradient_takes_moves_for_constants(make_pair: MakePair, images: torch.Tensor):
    model, posterior = make_pair(guide="ladder")
    better = RefinedGuide(model, posterior, FEW)
    found = []
    moves = climb(model, posterior, images, FEW)

    def by_hand(images: torch.Tensor) -> None:
        with MoveNoise(moves):
            posterior(images)

    for guide in (better, by_hand):
        pyro.set_rng_seed(1)
        loss = Trace_ELBO(max_plate_nesting=1).differentiable_loss(model, guide, images)
        weights = [*model.parameters(), *posterior.parameters()]
        found.append((loss.detach(), torch.autograd.grad(loss, weights)))
    assert torch.equal(found[0][0], found[1][0])
    assert all(torch.equal(*both) for both in zip(found[0][1], found[1][1], strict=True))


@pytest.mark.thorough
def test_training_refined_learns_a_better_bound_than_its_start(make_pair: MakePair, images: torch.Tensor):
    model, posterior = make_pair()
    better = refined(model, posterior, replace(FEW, steps=2))
    svi = SVI(model, better, Adam({"lr": 3e-3}), Trace_ELBO())
    losses = [svi.step(images) for _ in range(40)]
    assert sum(losses[-5:]) < 0.93 * sum(losses[:5])
    assert Predictive(model, guide=better, num_samples=3)(images)["z.2"].shape == (3, len(images), 6)


@pytest.mark.thorough
def test_it_is_a_function_of_images_and_weights(linear: tuple):
    model, guide, images = linear
    shifts = []
    for seed in range(2):
        pyro.set_rng_seed(seed)
        shifts.append(climb(model, guide, images, FEW)["z.0"].shift)
        terms = elbo_terms(model, refined(model, guide, FEW), images, seed=0).neg_elbo
    assert torch.equal(*shifts)
    assert shifts[0].shape == (len(images), LATENT_SIZE)
    assert torch.equal(terms, elbo_terms(model, refined(model, guide, FEW), images, seed=0).neg_elbo)


class DenseGuide(pyro.nn.PyroModule):
    """The exact posterior, dense, its mean shifted and its factor widened along its own noise."""

    def __init__(self, model: LinearGaussian) -> None:
        super().__init__()
        self.model_kept_apart = (model,)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        loc, covariance = dense_posterior(self.model_kept_apart[0], images)
        factor = torch.linalg.cholesky(covariance) * torch.tensor([0.5, 2.0, 1.5])
        with pyro.plate("images", len(images), dim=-1):
            return pyro.sample("z.0", MultivariateNormal(loc + 0.3, scale_tril=factor))


@pytest.mark.thorough
def test_a_dense_normal_is_moved_along_its_factor_to_a_correlated_posterior():
    model = rotated(LinearGaussian())
    images = draw_images(model, 6)
    assert (gap(model, DenseGuide(model), images) > 0.3).all()
    better = refined(model, DenseGuide(model), replace(MANY, steps=240))
    assert gap(model, better, images).abs().max() < 0.05


@pytest.mark.thorough
def test_independent_normals_stay_independent():
    """Moves cannot correlate latents: what is left is the gap of the family."""
    model = rotated(LinearGaussian())
    images = draw_images(model, 6)
    wrong = LinearGuide(LinearGaussian())
    better = refined(model, wrong, MANY)
    assert (gap(model, better, images) < gap(model, wrong, images)).all()
    assert (gap(model, better, images) > 0.05).any()
