"""Honest numbers: the bound as Pyro has it, means for reconstructions, and nothing left behind."""

from collections.abc import Callable

import pytest
import torch
from pyro import poutine
from pyro.infer import Trace_ELBO

from inference import bounds
from inference.bounds import TakeMeans, elbo_terms, latent_means, reconstruct
from inference.contexts import evaluating, seeded
from models import MODELS

MakePair = Callable[..., tuple]
CPU = torch.device("cpu")


@pytest.fixture
def pair(make_pair: MakePair) -> tuple:
    """A pair in training mode, with a part term."""
    return make_pair(part_term_weight=0.1)


# -- the bound


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("name", MODELS)
def test_one_draw_is_pyros_bound_of_one_particle(make_pair: MakePair, images: torch.Tensor, name: str):
    """Per image, summed: in evaluation mode, that is without the part term, and at KL weight 1."""
    model, guide = make_pair(name, part_term_weight=0.1)
    terms = elbo_terms(model, guide, images, seed=7)
    assert terms.reconstruction.shape == terms.kl.shape == (4,)
    model.eval()
    torch.manual_seed(7)
    expected = Trace_ELBO(max_plate_nesting=1).loss(model, guide, images)
    assert terms.neg_elbo.sum().item() == pytest.approx(expected, rel=1e-12)


@pytest.mark.thorough
def test_the_bound_is_a_function_of_the_seed(pair: tuple, images: torch.Tensor):
    terms = [elbo_terms(*pair, images, seed=seed).neg_elbo for seed in (1, 1, 2)]
    assert torch.equal(terms[0], terms[1])
    assert (terms[0] != terms[2]).all()


def test_a_guide_that_is_the_prior_has_no_kl(make_pair: MakePair, images: torch.Tensor):
    model, guide = make_pair()
    with torch.no_grad():
        guide.root.loc_and_scale.weight.zero_()
        guide.root.loc_and_scale.bias.zero_()
        # softplus(log(e - 1)) = 1, except for the smallest scale.
        guide.root.loc_and_scale.bias[6:] = torch.tensor(1 - 1e-4).expm1().log()
    assert elbo_terms(model, guide, images, seed=0).kl.abs().max() < 1e-12


def test_the_part_term_is_never_counted(make_pair: MakePair, images: torch.Tensor):
    torch.manual_seed(3)
    with_term = make_pair(part_term_weight=0.5)
    torch.manual_seed(3)
    without = make_pair(part_term_weight=0.0)
    terms = [elbo_terms(*pair, images, seed=0).neg_elbo for pair in (with_term, without)]
    assert torch.equal(*terms)


def test_a_model_that_keeps_its_part_term_is_caught(pair: tuple, images: torch.Tensor):
    model, guide = pair
    model.eval = lambda: model  # type: ignore[method-assign]
    with pytest.raises(AssertionError, match="the part term is for training only"):
        elbo_terms(model, guide, images, seed=0)


# -- means


@pytest.mark.parametrize("name", MODELS)
def test_codes_are_the_guides_means(make_pair: MakePair, images: torch.Tensor, name: str):
    model, guide = make_pair(name)
    site = model.decoder.root_site
    expected = poutine.trace(guide).get_trace(images).nodes[site]["fn"].mean
    assert torch.equal(latent_means(guide, images)[site], expected)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("likelihood", ["normal", "bernoulli", "continuous_bernoulli"])
def test_a_reconstruction_is_the_likelihoods_mean_at_the_guides_mean(
    make_pair: MakePair, images: torch.Tensor, name: str, likelihood: str
):
    model, guide = make_pair(name, likelihood=likelihood)
    z = latent_means(guide, images)[model.decoder.root_site]
    canvas = poutine.condition(model, {model.decoder.root_site: z})(images)
    found = reconstruct(model, guide, images)
    assert torch.equal(found, model.likelihood(canvas).mean)
    assert not found.requires_grad


def test_means_replace_draws_of_latents_only(pair: tuple, images: torch.Tensor):
    with TakeMeans():
        trace = poutine.trace(pair[0]).get_trace(images)
    assert torch.equal(trace.nodes["z.2"]["value"], torch.zeros(4, 6))
    assert torch.equal(trace.nodes["image"]["value"], images)
    trace.compute_log_prob()
    torch.testing.assert_close(trace.nodes["z.2"]["log_prob"], trace.nodes["z.2"]["fn"].log_prob(torch.zeros(4, 6)))


def test_means_leave_replayed_values_alone(pair: tuple, images: torch.Tensor):
    model, guide = pair
    drawn = poutine.trace(guide).get_trace(images)
    z = drawn.nodes["z.2"]["value"]
    with TakeMeans():
        for program in (poutine.replay(model, trace=drawn), poutine.condition(model, {"z.2": z})):
            assert torch.equal(poutine.trace(program).get_trace(images).nodes["z.2"]["value"], z)


@pytest.mark.thorough
def test_chunks_change_nothing_that_is_not_drawn(pair: tuple, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch):
    whole = reconstruct(*pair, images), latent_means(pair[1], images)["z.2"]
    monkeypatch.setattr(bounds, "CHUNK", 3)
    chunked = reconstruct(*pair, images), latent_means(pair[1], images)["z.2"]
    for one, other in zip(chunked, whole, strict=True):
        torch.testing.assert_close(one, other)
    terms = elbo_terms(*pair, images, seed=0)
    assert terms.reconstruction.shape == terms.kl.shape == (4,)


# -- nothing is left behind


def generator() -> list[int]:
    """State of PyTorch's generator, the only one that is drawn from."""
    return torch.get_rng_state().tolist()


def test_seeding_puts_the_generator_back():
    before = generator()
    with seeded(3, CPU):
        one = torch.randn(5)
    assert generator() == before
    with seeded(3, CPU):
        assert torch.equal(torch.randn(5), one)
    with seeded(4, CPU):
        assert not torch.equal(torch.randn(5), one)


def test_seeding_puts_the_generator_back_after_an_error():
    before = generator()
    with pytest.raises(ZeroDivisionError), seeded(3, CPU):
        torch.randn(5 // int(torch.zeros(())))
    assert generator() == before


def test_seeding_is_nested_without_harm():
    with seeded(3, CPU):
        torch.randn(1)
        expected = torch.randn(5)
    with seeded(3, CPU):
        torch.randn(1)
        with seeded(9, CPU):
            torch.randn(7)
        assert torch.equal(torch.randn(5), expected)


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_seeding_serves_devices_without_a_generator_of_their_own(device: str):
    before = generator()
    with seeded(3, torch.device(device)):
        torch.randn(5, device=device)
    assert generator() == before


def test_evaluation_draws_from_no_global_generator(pair: tuple, images: torch.Tensor):
    before = generator()
    elbo_terms(*pair, images, seed=0)
    reconstruct(*pair, images)
    latent_means(pair[1], images)["z.2"]
    assert generator() == before


def test_evaluation_puts_modes_back(pair: tuple, images: torch.Tensor):
    model, guide = pair
    guide.eval()
    elbo_terms(model, guide, images, seed=0)
    reconstruct(model, guide, images)
    assert (model.training, model.tree.training, guide.training) == (True, True, False)


def modes(pair: tuple) -> list[bool]:
    return [program.training for program in pair] + [torch.is_grad_enabled()]


def test_evaluating_switches_modes_and_gradients_off_and_back(pair: tuple):
    with evaluating(*pair):
        assert modes(pair) == [False, False, False]
    assert modes(pair) == [True, True, True]
    with pytest.raises(ZeroDivisionError), evaluating(*pair):
        _ = 1 / 0
    assert modes(pair) == [True, True, True]
