"""Importance-weighted bounds: exact answers, Pyro's own answers, and no dependence on chunks."""

from collections.abc import Callable

import pyro
import pytest
import torch
from linear_gaussian import LinearGaussian, LinearGuide, draw_images, exact_evidence, exact_posterior
from pairs import PAIRS
from pyro.infer import RenyiELBO
from pyro.nn import PyroModule
from torch import nn

from inference import importance
from inference.bounds import elbo_terms
from inference.importance import (
    Sampling,
    bound,
    bound_sizes,
    draw_again,
    effective_sample_size,
    fitted_sampling,
    join,
    judge,
    log_weights,
    particle_terms,
)
from inference.objectives.elbo import Terms, WeighLatents
from inference.particles import DrawNamed
from models import MODELS
from rnp_pyro.errors import UserError
from rnp_pyro.sites import PART_TERM

MakePair = Callable[..., tuple]
Randomise = Callable[[nn.Module], None]


@pytest.fixture
def linear() -> tuple[LinearGaussian, LinearGuide, torch.Tensor]:
    """A model with exact answers, a guide that is a little wrong, and images."""
    model = LinearGaussian()
    return model, LinearGuide(model, shift=0.2, stretch=1.3), draw_images(model, 20)


@pytest.fixture
def pair(make_pair: MakePair, randomise: Randomise) -> tuple:
    """A pair in training mode, with a part term."""
    model, guide = make_pair(part_term_weight=0.1)
    randomise(model)
    randomise(guide)
    return model, guide


# -- exact answers


def test_an_exact_guide_has_equal_weights_that_are_the_evidence():
    model = LinearGaussian()
    images = draw_images(model, 5)
    log_weight = log_weights(model, LinearGuide(model), images, Sampling(50))
    torch.testing.assert_close(log_weight, exact_evidence(model, images).expand(50, -1))
    torch.testing.assert_close(effective_sample_size(log_weight), torch.full((5,), 50.0))


@pytest.mark.thorough
def test_the_estimate_is_the_evidence_within_its_standard_error(linear: tuple):
    """Of each image: the mean weight is unbiased, its standard error is that of a mean."""
    model, guide, images = linear
    log_weight = log_weights(model, guide, images, Sampling(4000))
    ratio = (log_weight - exact_evidence(model, images)).exp()
    error = (ratio.mean(0) - 1) / (ratio.std(0) / 4000**0.5)
    assert error.abs().max() < 3.5
    assert 0.5 < error.std() < 1.5
    assert judge(Terms(-log_weight, torch.zeros_like(log_weight))).smoothed == pytest.approx(
        exact_evidence(model, images), abs=0.05
    )


@pytest.mark.thorough
def test_bounds_rise_with_their_particles_and_stay_below_the_evidence(linear: tuple):
    model, guide, images = linear
    log_weight = log_weights(model, guide, images, Sampling(3000))
    bounds = torch.stack([bound(log_weight, size).mean() for size in (1, 3, 10, 30, 100)])
    assert (bounds.diff() > 0).all()
    assert bounds[-1] < exact_evidence(model, images).mean() + 0.01


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "guide"), PAIRS)
def test_bounds_rise_for_every_pair(make_pair: MakePair, images: torch.Tensor, name: str, guide: str):
    log_weight = log_weights(*make_pair(name, guide), images, Sampling(200))
    bounds = torch.stack([bound(log_weight, size) for size in (1, 10, 100)])
    assert (bounds.diff(dim=0) > 0).all()


@pytest.mark.thorough
def test_the_elbo_is_short_of_the_evidence_by_the_kl_to_the_posterior(linear: tuple):
    """KL(N(m + d, (s t)^2) || N(m, s^2)), dimension by dimension."""
    model, guide, images = linear
    log_weight = log_weights(model, guide, images, Sampling(20_000))
    _, scale = exact_posterior(model, images)
    stretch, shift = torch.tensor(1.3), torch.tensor(0.2)
    kl = (-stretch.log() + (stretch**2 + (shift / scale) ** 2 - 1) / 2).sum()
    gap = exact_evidence(model, images) - bound(log_weight, 1)
    assert gap == pytest.approx(kl.expand(20), abs=0.1)


# -- Pyro's answers


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("name", MODELS)
def test_one_particle_is_the_elbos_terms(make_pair: MakePair, images: torch.Tensor, name: str):
    """The same draw through the evaluator of the ELBO."""
    model, guide = make_pair(name, part_term_weight=0.1)
    ((_, terms),) = particle_terms(model, guide, images, Sampling(1, seed=3, image_chunk=4))
    site, z = next(iter(draw_again(guide, images, torch.zeros(1, 4, dtype=torch.int64), seed=3).items()))

    class Fixed(PyroModule):
        def forward(self, images: torch.Tensor) -> None:
            with Values({site: z[0]}):
                guide(images)

    expected = elbo_terms(model, Fixed(), images, seed=0)
    torch.testing.assert_close(terms.reconstruction[0], expected.reconstruction)
    torch.testing.assert_close(terms.kl[0], expected.kl)


class Values(pyro.poutine.messenger.Messenger):
    """Set sites to these values."""

    def __init__(self, values: dict[str, torch.Tensor]) -> None:
        super().__init__()
        self.values = values

    def _pyro_sample(self, msg) -> None:
        if msg["name"] in self.values:
            msg["value"], msg["done"] = self.values[msg["name"]], True


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("index", range(3))
def test_renyis_bound_agrees_image_by_image(make_pair: MakePair, images: torch.Tensor, name: str, index: int):
    """``RenyiELBO(alpha=0)`` of one image, at the same draws."""
    model, guide = make_pair(name)
    expected = bound(log_weights(model, guide, images, Sampling(7, seed=2)), 7)[index]
    model.eval()
    particles = torch.arange(7)[:, None]
    with DrawNamed(2, particles, torch.tensor([index])):
        elbo = RenyiELBO(alpha=0, num_particles=7, vectorize_particles=True, max_plate_nesting=1)
        loss = elbo.loss(model, guide, images[index : index + 1])
    assert -loss == pytest.approx(expected.item(), rel=1e-10)


# -- chunks and names


@pytest.mark.thorough
@pytest.mark.parametrize(("particle_chunk", "image_chunk"), [(1, 1), (3, 2), (4, 3), (10, 1), (100, 100)])
def test_chunked_equals_unchunked(pair: tuple, images: torch.Tensor, particle_chunk: int, image_chunk: int):
    whole = log_weights(*pair, images, Sampling(10, 5, particle_chunk=10, image_chunk=4))
    assert whole.shape == (10, 4)
    assert whole.unique().numel() == 40
    torch.testing.assert_close(log_weights(*pair, images, Sampling(10, 5, particle_chunk, image_chunk)), whole)


@pytest.mark.thorough
def test_more_particles_and_images_leave_the_first_as_they_are(pair: tuple, images: torch.Tensor):
    whole = log_weights(*pair, images, Sampling(10))
    torch.testing.assert_close(log_weights(*pair, images[:2], Sampling(6)), whole[:6, :2])


@pytest.mark.thorough
def test_seeds(pair: tuple, images: torch.Tensor):
    one, other = (log_weights(*pair, images, Sampling(3, seed)) for seed in (0, 1))
    assert (one != other).all()
    assert torch.equal(log_weights(*pair, images, Sampling(3, 0)), one)


@pytest.mark.parametrize("num_particles", [1, 5, 64, 100, 1000])
def test_chunks_are_bounded(num_particles: int):
    sampling = fitted_sampling(num_particles, 3)
    assert (sampling.num_particles, sampling.seed) == (num_particles, 3)
    assert 1 <= sampling.particle_chunk <= num_particles
    assert sampling.particle_chunk * sampling.image_chunk <= importance.LANES


def test_very_many_particles_are_weighed_image_by_image():
    assert fitted_sampling(10**7, 0).image_chunk == 1


@pytest.mark.thorough
def test_progress_counts_every_particle(pair: tuple, images: torch.Tensor):
    told: list[int] = []
    chosen = [which for which, _ in particle_terms(*pair, images, Sampling(10, 0, 4, 3), told.append)]
    assert chosen == [slice(0, 3), slice(3, 4)]
    assert told == [12, 12, 6, 4, 4, 2]


def test_what_was_weighed_can_be_drawn_again(linear: tuple):
    """The weights follow from the draws."""
    model, guide, images = linear
    log_weight = log_weights(model, guide, images, Sampling(5, seed=4))
    chosen = torch.randint(0, 5, (8, 20))
    z = draw_again(guide, images, chosen, seed=4)["z.0"]
    log_joint = torch.distributions.Normal(model.decoder(z), model.scale).log_prob(images).sum(
        (-3, -2, -1)
    ) + torch.distributions.Normal(0.0, 1.0).log_prob(z).sum(-1)
    loc, scale = images.flatten(-3) @ guide.slope + guide.offset, guide.scale
    log_q = torch.distributions.Normal(loc, scale).log_prob(z).sum(-1)
    torch.testing.assert_close((log_joint - log_q).detach(), log_weight.gather(0, chosen))
    some = draw_again(guide, images[3:5], chosen[:, 3:5], 4, torch.tensor([3, 4]))["z.0"]
    torch.testing.assert_close(some, z[:, 3:5])


# -- the sums


def test_all_particles_serve_in_groups():
    log_weight = torch.randn(7, 2)
    expected = torch.stack([log_weight[:3].exp().mean(0).log(), log_weight[3:6].exp().mean(0).log()]).mean(0)
    torch.testing.assert_close(bound(log_weight, 3), expected)
    torch.testing.assert_close(bound(log_weight, 1), log_weight.mean(0))
    torch.testing.assert_close(bound(log_weight, 7), log_weight.exp().mean(0).log())


@pytest.mark.parametrize(
    ("particles", "sizes"),
    [(1, [1]), (9, [1, 9]), (10, [1, 10]), (500, [1, 10, 100, 500]), (1000, [1, 10, 100, 1000])],
)
def test_bounds_that_are_reported(particles: int, sizes: list[int]):
    assert bound_sizes(particles) == sizes


def test_effective_sample_size():
    log_weight = torch.tensor([[0.0, 0.0], [0.0, -1000.0], [0.0, -1000.0]]) - 5000
    torch.testing.assert_close(effective_sample_size(log_weight), torch.tensor([3.0, 1.0]))


@pytest.mark.thorough
def test_evidence_of_chunks_is_evidence_of_all(linear: tuple):
    model, guide, images = linear
    chunks = list(particle_terms(model, guide, images, Sampling(100, 0, 30, 6)))
    joined = join([judge(terms) for _, terms in chunks])
    whole = judge(Terms(*(torch.cat([getattr(t, n) for _, t in chunks], -1) for n in ("reconstruction", "kl"))))
    assert list(joined.bounds) == [1, 10, 100]
    for size in joined.bounds:
        torch.testing.assert_close(joined.bounds[size], whole.bounds[size])
    for name in ("kl", "smoothed", "khat", "ess"):
        assert getattr(whole, name).shape == (20,)
        torch.testing.assert_close(getattr(joined, name), getattr(whole, name))
    assert (whole.khat < 0.7).all()


# -- only honest weights


def test_the_weight_of_the_kl_must_be_one(pair: tuple, images: torch.Tensor):
    with WeighLatents(0.5), pytest.raises(AssertionError, match=r"expected KL weight 1, got 0.5 at site z.2"):
        log_weights(*pair, images, Sampling(2))


def test_the_part_term_must_be_absent(pair: tuple, images: torch.Tensor):
    model, guide = pair
    model.eval = lambda: model  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match="the part term is for training only"):
        log_weights(model, guide, images, Sampling(2))


@pytest.mark.thorough
def test_the_part_term_is_left_out(pair: tuple, images: torch.Tensor):
    model, guide = pair
    log_weight = log_weights(model, guide, images, Sampling(2))
    assert model.training
    assert PART_TERM == "part_term"
    model.part_term = None
    assert torch.equal(log_weights(model, guide, images, Sampling(2)), log_weight)


def test_a_guide_must_draw_what_the_model_draws(linear: tuple):
    model, guide, images = linear

    class More(PyroModule):
        def forward(self, images: torch.Tensor) -> None:
            guide(images)
            with pyro.plate("more", len(images), dim=-1):
                pyro.sample("extra", pyro.distributions.Normal(0.0, 1.0))

    with pytest.raises(UserError, match="just the model's latents: the model has no extra"):
        log_weights(model, More(), images, Sampling(2))


def test_nothing_is_left_behind(pair: tuple, images: torch.Tensor):
    before = torch.get_rng_state()
    log_weights(*pair, images, Sampling(4))
    assert torch.equal(torch.get_rng_state(), before)
    assert [program.training for program in pair] == [True, True]
    assert pyro.settings.get("validate_distributions_pyro")
