"""The objective: Pyro's own bound, its terms, and the weight of the KL."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isfinite, sqrt

import pyro
import pytest
import torch
from pairs import PAIRS
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO

from inference.objectives.elbo import RecordingELBO, Terms, WeighLatents, bound_terms, random_sites
from models import MODELS
from rnp_pyro.sites import PART_TERM

MakePair = Callable[..., tuple]


@contextmanager
def fixed(seed: int) -> Iterator[None]:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        yield


def loss_of(elbo: Trace_ELBO, pair: tuple, images: torch.Tensor, weight: float | None = None) -> torch.Tensor:
    """The differentiable loss of one seed's draw."""
    with fixed(5):
        if weight is None:
            return elbo.differentiable_loss(*pair, images)
        with WeighLatents(weight):
            return elbo.differentiable_loss(*pair, images)


def part_term_of(pair: tuple, images: torch.Tensor) -> torch.Tensor:
    """The part term of the same draw."""
    with fixed(5):
        trace = poutine.trace(pair[1]).get_trace(images)
        replayed = poutine.trace(poutine.replay(pair[0], trace=trace)).get_trace(images)
    replayed.compute_log_prob()
    return replayed.nodes[PART_TERM]["log_prob"].sum()


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("name", MODELS)
def test_it_is_pyros_bound(make_pair: MakePair, images: torch.Tensor, name: str):
    pair = make_pair(name)
    parameters = [parameter for program in pair for parameter in program.parameters()]
    losses = [loss_of(kind(max_plate_nesting=1), pair, images) for kind in (RecordingELBO, Trace_ELBO)]
    assert torch.equal(*losses)
    gradients = [torch.autograd.grad(loss, parameters) for loss in losses]
    assert all(torch.equal(one, other) for one, other in zip(*gradients, strict=True))
    with fixed(5):
        assert RecordingELBO(max_plate_nesting=1).loss(*pair, images) == pytest.approx(losses[1].item())


@pytest.mark.parametrize("name", MODELS)
def test_its_terms_add_up_to_the_loss(make_pair: MakePair, images: torch.Tensor, name: str):
    pair, elbo = make_pair(name, part_term_weight=0.0), RecordingELBO(max_plate_nesting=1)
    loss = loss_of(elbo, pair, images)
    assert elbo.terms is not None
    assert elbo.terms.reconstruction.shape == elbo.terms.kl.shape == (4,)
    torch.testing.assert_close(elbo.terms.neg_elbo.sum(), loss.detach())
    assert not elbo.terms.neg_elbo.requires_grad


def test_its_terms_leave_the_part_term_out(make_pair: MakePair, images: torch.Tensor):
    pair, elbo = make_pair(part_term_weight=0.1), RecordingELBO(max_plate_nesting=1)
    loss, part_term = loss_of(elbo, pair, images), part_term_of(pair, images)
    assert elbo.terms is not None
    assert part_term < -1
    torch.testing.assert_close(elbo.terms.neg_elbo.sum() - part_term, loss)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("weight", [0.05, 0.5, 1.0, 3.0])
def test_a_weight_is_the_kls_alone(make_pair: MakePair, images: torch.Tensor, weight: float):
    """Loss = reconstruction + weight x KL - part term; what is recorded is the honest bound all the same."""
    pair, elbo = make_pair(part_term_weight=0.1), RecordingELBO(max_plate_nesting=1)
    honest = RecordingELBO(max_plate_nesting=1)
    loss_of(honest, pair, images)
    loss = loss_of(elbo, pair, images, weight)
    assert elbo.terms is not None
    assert honest.terms is not None
    assert torch.equal(elbo.terms.kl, honest.terms.kl)
    assert torch.equal(elbo.terms.reconstruction, honest.terms.reconstruction)
    expected = elbo.terms.reconstruction.sum() + weight * elbo.terms.kl.sum() - part_term_of(pair, images)
    torch.testing.assert_close(loss, expected)


@pytest.mark.thorough
def test_a_weight_reaches_the_gradient_of_the_kl_only(make_pair: MakePair, images: torch.Tensor):
    """The loss is linear in the weight, and so is its gradient."""
    pair = make_pair()
    parameters = list(pair[1].parameters())
    gradients = [
        torch.autograd.grad(loss_of(RecordingELBO(max_plate_nesting=1), pair, images, weight), parameters)
        for weight in (0.5, 1.0, 1.5)
    ]
    for low, middle, high in zip(*gradients, strict=True):
        torch.testing.assert_close((low + high) / 2, middle)
    assert any((low - high).abs().max() > 1e-6 for low, _, high in zip(*gradients, strict=True))


def test_the_weight_multiplies_scales_that_are_there(make_pair: MakePair, images: torch.Tensor):
    model, _ = make_pair()
    with WeighLatents(0.5), poutine.scale(scale=3.0):
        trace = poutine.trace(model).get_trace(images)
    assert trace.nodes["z.2"]["scale"] == 1.5
    assert trace.nodes["image"]["scale"] == 3
    assert trace.nodes[PART_TERM]["scale"] == 3


def test_terms_are_those_of_the_two_traces(make_pair: MakePair, images: torch.Tensor):
    model, guide = make_pair(likelihood="normal")
    guide_trace = poutine.trace(guide).get_trace(images)
    model_trace = poutine.trace(poutine.replay(model, trace=guide_trace)).get_trace(images)
    guide_trace.compute_log_prob()
    model_trace.compute_log_prob()
    terms = bound_terms(model_trace, guide_trace)
    z, q = guide_trace.nodes["z.2"]["value"], guide_trace.nodes["z.2"]["fn"]
    prior = torch.distributions.Normal(0, 1).log_prob(z).sum(-1)
    torch.testing.assert_close(terms.kl, (q.log_prob(z) - prior).detach())
    expected = -model.likelihood(model.tree.fold(model.tree.unfold(z))).log_prob(images)
    torch.testing.assert_close(terms.reconstruction, expected.detach())


def test_terms_of_particles_have_a_row_for_each(make_pair: MakePair, images: torch.Tensor):
    elbo = RecordingELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=1)
    loss = loss_of(elbo, make_pair(part_term_weight=0.0), images)
    assert elbo.terms is not None
    assert elbo.terms.neg_elbo.shape == (3, 4)
    torch.testing.assert_close(elbo.terms.neg_elbo.mean(0).sum(), loss.detach())


def test_the_bound_is_the_sum_of_its_terms():
    terms = Terms(torch.tensor([1.0, 2.0]), torch.tensor([0.5, 0.25]))
    assert terms.neg_elbo.tolist() == [1.5, 2.25]


def test_random_sites_are_without_plates(make_pair: MakePair, images: torch.Tensor):
    model, _ = make_pair()
    assert list(random_sites(poutine.trace(model).get_trace(images))) == ["z.2", PART_TERM, "image"]


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "guide"), PAIRS)
def test_a_pair_trains_under_the_stock_svi(make_pair: MakePair, images: torch.Tensor, name: str, guide: str):
    """As a user of Pyro would: its SVI, its Adam, its parameter store, which is empty when it starts."""
    model, posterior = make_pair(name, guide)
    before = [parameter.clone() for program in (model, posterior) for parameter in program.parameters()]
    svi = SVI(model, posterior, pyro.optim.Adam({"lr": 3e-3}), Trace_ELBO())

    def losses() -> torch.Tensor:
        """Of the same ten draws of noise each time."""
        found = []
        for seed in range(10):
            with fixed(seed):
                found.append(svi.evaluate_loss(images))
        return torch.tensor(found)

    first = losses()
    assert all(isfinite(svi.step(images)) for _ in range(60))
    fall = first - losses()
    assert fall.mean() > 4 * fall.std() / sqrt(10)
    assert fall.mean() > 0.05 * first.mean()
    after = [parameter for program in (model, posterior) for parameter in program.parameters()]
    assert all((one != other).any() for one, other in zip(before, after, strict=True))
    # A tree that the guide walks stands in the store under both names, and is trained once.
    stored = {id(pyro.get_param_store()._params[name]) for name in pyro.get_param_store()}
    assert stored == {id(parameter) for parameter in after}


@pytest.mark.thorough
def test_a_second_pair_trains_in_a_fresh_store(make_pair: MakePair, images: torch.Tensor):
    """In a scope of the store of its own; in the first one's it would take over the first one's parameters."""
    for _ in range(2):
        model, guide = make_pair()
        before = [parameter.clone() for parameter in model.parameters()]
        with pyro.get_param_store().scope():
            SVI(model, guide, pyro.optim.Adam({"lr": 3e-3}), Trace_ELBO()).step(images)
        assert len(pyro.get_param_store()) == 0
        assert all((one != other).any() for one, other in zip(before, model.parameters(), strict=True))
