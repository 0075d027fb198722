"""Refined guides: they reach known answers, do not notice their surroundings, and are guides like any other."""

from collections.abc import Callable

import pyro
import pytest
import torch
from linear_gaussian import LATENT_SIZE, LinearGaussian, LinearGuide, draw_images, exact_evidence, rotated
from pairs import PAIRS
from pyro import poutine
from pyro.distributions import Gamma, MultivariateNormal, Normal, TransformedDistribution
from pyro.distributions.transforms import AffineTransform
from pyro.infer import SVI, Predictive, Trace_ELBO
from pyro.optim import Adam

from inference.elbo import WeighLatents
from inference.evaluate import elbo_terms, latent_means
from inference.importance import Sampling, bound, draw_again, log_weights
from inference.objectives import OBJECTIVES, build_objective
from inference.refinement import Moved, RefinedGuide, Refinement, climb, moved, refined
from rnp_pyro.config import TrainConfig
from rnp_pyro.errors import UserError
from rnp_pyro.tree import remembering

MakePair = Callable[..., tuple]
Randomise = Callable[..., None]

FEW = Refinement(steps=3)


@pytest.fixture
def linear() -> tuple[LinearGaussian, LinearGuide, torch.Tensor]:
    model = LinearGaussian()
    return model, LinearGuide(model, shift=0.4, stretch=2.0), draw_images(model, 10)


def gap(model: pyro.nn.PyroModule, guide: pyro.nn.PyroModule, images: torch.Tensor) -> torch.Tensor:
    return exact_evidence(model, images) - bound(log_weights(model, guide, images, Sampling(1000)), 1)


def test_a_wrong_guide_of_the_right_family_reaches_the_evidence(linear: tuple):
    model, guide, images = linear
    assert (gap(model, guide, images) > 0.5).all()
    found = gap(model, refined(model, guide, Refinement(steps=120, rate=0.05, num_particles=8)), images)
    assert found.abs().max() < 0.05


def test_a_few_steps_are_better_than_none(linear: tuple):
    model, guide, images = linear
    assert (gap(model, refined(model, guide, FEW), images) < gap(model, guide, images)).all()


@pytest.mark.parametrize("guide", ["resnet", "ladder"])
def test_a_trees_bound_becomes_tighter(make_pair: MakePair, images: torch.Tensor, randomise: Randomise, guide: str):
    model, posterior = make_pair(guide=guide, part_term_weight=0.1)
    randomise(model)
    randomise(posterior)
    better = refined(model, posterior, Refinement(steps=15))
    bounds = [bound(log_weights(model, one, images, Sampling(300)), 1) for one in (posterior, better)]
    assert (bounds[1] > bounds[0] + 0.1).all()


def test_what_is_moved_is_the_noise():
    """In a normal, in a dense one, and before a flow; as distributions, by their densities."""
    shift, log_stretch = torch.randn(2, 3), 0.3 * torch.randn(2, 3)
    loc, scale = torch.randn(2, 3), torch.rand(2, 3) + 0.5
    value = torch.randn(2, 3)
    one = moved(Normal(loc, scale).to_event(1), shift, log_stretch)
    noise = Normal(shift, log_stretch.exp())
    expected = (noise.log_prob((value - loc) / scale) - scale.log()).sum(-1)
    assert torch.allclose(one.log_prob(value), expected)
    dense = moved(MultivariateNormal(loc, scale_tril=scale.diag_embed()), shift, log_stretch)
    assert torch.allclose(dense.log_prob(value), expected)
    flow = TransformedDistribution(Normal(loc, scale).to_event(1), [AffineTransform(1.0, 2.0, event_dim=1)])
    inner = (value - 1) / 2
    expected = (noise.log_prob((inner - loc) / scale) - scale.log()).sum(-1) - 3 * torch.tensor(2.0).log()
    assert torch.allclose(moved(flow, shift, log_stretch).log_prob(value), expected)


def test_a_dense_factor_is_stretched_along_its_own_noise():
    factor = torch.tensor([[1.0, 0.0], [0.5, 2.0]])
    found = moved(MultivariateNormal(torch.zeros(2), scale_tril=factor), torch.ones(2), torch.tensor([0.0, 1.0]))
    assert torch.allclose(found.loc, factor.sum(-1))
    assert torch.allclose(found.scale_tril, factor @ torch.tensor([1.0, torch.e]).diag())


def test_no_steps_leave_the_guide_itself(linear: tuple):
    model, guide, _ = linear
    assert refined(model, guide, Refinement()) is guide


def test_other_distributions_are_refused():
    with pytest.raises(UserError, match="got a guide that draws Gamma"):
        moved(Gamma(torch.ones(2), 1.0).to_event(1), torch.zeros(2), torch.zeros(2))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (Refinement(steps=-1), "refine_steps must be at least 0, got -1"),
        (Refinement(rate=0.0), "refine_rate must be above 0, got 0"),
        (Refinement(num_particles=0), "refine_particles must be at least 1, got 0"),
    ],
)
def test_settings_out_of_range(linear: tuple, settings: Refinement, message: str):
    with pytest.raises(UserError, match=message):
        refined(*linear[:2], settings)


# -- surroundings


@pytest.mark.parametrize(("name", "guide"), PAIRS)
def test_chunks_change_nothing(make_pair: MakePair, images: torch.Tensor, name: str, guide: str):
    model, posterior = make_pair(name, guide)
    better = refined(model, posterior, FEW)
    whole = log_weights(model, better, images, Sampling(6))
    cut = log_weights(model, better, images, Sampling(6, particle_chunk=4, image_chunk=1))
    assert torch.allclose(whole, cut, rtol=1e-8)
    again = draw_again(better, images, torch.full((1, len(images)), 2), seed=0)
    assert set(again) == set(draw_again(posterior, images, torch.zeros(1, len(images), dtype=torch.int64), seed=0))


def test_handlers_around_it_do_not_reach_the_climb(make_pair: MakePair, images: torch.Tensor):
    model, posterior = make_pair(guide="ladder", part_term_weight=0.1)
    alone = climb(model, posterior, images, FEW, seed=1)
    with WeighLatents(0.1), poutine.trace() as around, remembering(model.decoder), pyro.plate("particles", 5, dim=-2):
        weighed = climb(model, posterior, images, FEW, seed=1)
        assert model.decoder.memory == {}
    assert set(around.trace.nodes) <= {"particles"}
    assert all(torch.equal(alone[name].shift, weighed[name].shift) for name in alone)
    assert model.training
    assert all(weight.requires_grad and weight.grad is None for weight in model.parameters())


def test_a_climb_is_made_once_for_the_same_images_and_weights(linear: tuple):
    model, guide, images = linear
    better = RefinedGuide(model, guide, FEW)
    better(images)
    first = better.known
    better(images.clone())
    assert better.known is first
    better(images[:4])
    assert better.known is not first
    second = better.known
    with torch.no_grad():
        model.decoder.bias += 1
    better(images[:4])
    assert better.known is not second


def test_its_weights_are_the_guides(make_pair: MakePair):
    model, posterior = make_pair()
    better = refined(model, posterior, FEW)
    assert {id(weight) for weight in better.parameters()} == {id(weight) for weight in posterior.parameters()}


def test_means_are_those_of_the_refined_posterior(linear: tuple):
    model, guide, images = linear
    better = refined(model, guide, Refinement(steps=100, rate=0.05, num_particles=16))
    exact = latent_means(LinearGuide(model), images)["z.0"]
    off = [(latent_means(one, images)["z.0"] - exact).abs().mean() for one in (guide, better)]
    assert off[1] < 0.2 * off[0]


# -- training


def test_the_gradient_takes_moves_for_constants(make_pair: MakePair, images: torch.Tensor):
    model, posterior = make_pair(guide="ladder")
    better = RefinedGuide(model, posterior, FEW)
    found = []
    for guide in (better, None):
        if guide is None:
            assert better.known is not None
            moves = better.known[2]

            def guide(images: torch.Tensor, moves=moves) -> None:
                with Moved(moves):
                    posterior(images)

        torch.manual_seed(1)
        if guide is better:
            guide(images)  # climbs, and so draws
            torch.manual_seed(1)
        loss = Trace_ELBO(max_plate_nesting=1).differentiable_loss(model, guide, images)
        weights = [*model.parameters(), *posterior.parameters()]
        found.append((loss.detach(), torch.autograd.grad(loss, weights)))
    assert torch.equal(found[0][0], found[1][0])
    assert all(torch.equal(*both) for both in zip(found[0][1], found[1][1], strict=True))


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize(("name", "guide"), PAIRS)
def test_every_pair_takes_a_step_refined(
    make_pair: MakePair, images: torch.Tensor, name: str, guide: str, objective: str
):
    if guide in ("full_rank", "flow") and objective == "analytic_kl":
        pytest.skip("their KL has no closed form")
    model, posterior = make_pair(name, guide)
    particles = 3 if objective.startswith("iwae") else 1
    elbo = build_objective(TrainConfig(objective=objective, num_particles=particles))
    loss = elbo(model, refined(model, posterior, Refinement(steps=1)))
    with pyro.get_param_store().scope(), WeighLatents(0.5), remembering(model.decoder if elbo.one_walk else None):
        value = loss(images)
        value.backward()
    assert value.isfinite()
    assert all(weight.grad is not None and weight.grad.isfinite().all() for weight in loss.parameters())


def test_training_refined_learns_a_better_bound_than_its_start(make_pair: MakePair, images: torch.Tensor):
    model, posterior = make_pair()
    better = refined(model, posterior, Refinement(steps=2))
    svi = SVI(model, better, Adam({"lr": 1e-2}), Trace_ELBO())
    losses = [svi.step(images) for _ in range(40)]
    assert sum(losses[-5:]) < 0.93 * sum(losses[:5])
    assert Predictive(model, guide=better, num_samples=3)(images)["z.2"].shape == (3, len(images), 6)


def test_a_climb_in_training_has_noise_of_its_own_each_time(linear: tuple):
    model, guide, images = linear
    better = RefinedGuide(model, guide, FEW)
    shifts = []
    for _ in range(2):
        better.known = None
        better(images)
        assert better.known is not None
        shifts.append(better.known[2]["z.0"].shift)
    assert not torch.equal(*shifts)
    assert shifts[0].shape == (len(images), LATENT_SIZE)
    better.eval()
    terms = [elbo_terms(model, better, images, seed=0).neg_elbo for _ in range(2)]
    assert torch.equal(*terms)


def test_a_correlated_posterior_is_found_along_a_dense_factor(make_pair: MakePair):
    """Moves cannot correlate latents; a guide that does keeps its correlation while it is moved."""
    model = rotated(LinearGaussian())
    images = draw_images(model, 6)
    wrong = LinearGuide(LinearGaussian(), stretch=1.0)
    better = refined(model, wrong, Refinement(steps=120, rate=0.05, num_particles=8))
    assert (gap(model, better, images) < gap(model, wrong, images)).all()
    assert (gap(model, better, images) > 0.02).any()
