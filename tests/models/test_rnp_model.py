"""The generative program: its sites, its canvases, and when the part term is there."""

from collections.abc import Callable

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import Predictive, Trace_ELBO

from models import MODELS
from rnp_pyro.config import ModelConfig
from rnp_pyro.errors import UserError

MakePair = Callable[..., tuple]
CheckShapes = Callable[..., None]
LIKELIHOODS = ("normal", "bernoulli", "continuous_bernoulli")


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("particles", [(), (3,)], ids=["plain", "particles"])
def test_sites_have_the_shapes_that_the_source_states(
    make_pair: MakePair, images: torch.Tensor, check_shapes: CheckShapes, particles: tuple[int, ...]
):
    model, _ = make_pair(part_term_weight=0.1)
    check_shapes(model, images, particles)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("num_steps", [(3,), (2, 2), (2, 1, 2)])
def test_the_root_is_a_standard_normal_named_after_its_level(
    make_pair: MakePair, images: torch.Tensor, num_steps: tuple[int, ...]
):
    model, _ = make_pair(tree={"num_steps": num_steps})
    trace = poutine.trace(model).get_trace(images)
    site = trace.nodes[f"z.{len(num_steps)}"]
    assert torch.equal(site["fn"].base_dist.loc.expand(4, 6), torch.zeros(4, 6))
    assert torch.equal(site["fn"].base_dist.scale.expand(4, 6), torch.ones(4, 6))
    trace.compute_log_prob()
    expected = torch.distributions.Normal(0, 1).log_prob(site["value"]).sum(-1)
    torch.testing.assert_close(site["log_prob"], expected)


@pytest.mark.thorough_after(2)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
def test_the_image_is_observed_around_the_folded_canvas(make_pair: MakePair, images: torch.Tensor, likelihood: str):
    model, _ = make_pair(likelihood=likelihood)
    trace = poutine.trace(model).get_trace(images)
    canvas = model.tree.fold(model.tree.unfold(trace.nodes["z.2"]["value"]))
    assert torch.equal(trace.nodes["_RETURN"]["value"], canvas)
    site = trace.nodes["image"]
    assert site["is_observed"]
    assert torch.equal(site["value"], images)
    assert torch.equal(site["fn"].log_prob(images), model.likelihood(canvas).log_prob(images))


def test_the_model_has_no_other_sites(make_pair: MakePair, images: torch.Tensor):
    model, _ = make_pair(part_term_weight=0.1)
    trace = poutine.trace(model).get_trace(images)
    assert {name for name, site in trace.nodes.items() if site["type"] == "sample"} == {
        "images", "z.2", "part_term", "image"
    }  # fmt: skip


def has_part_term(model: torch.nn.Module, images: torch.Tensor) -> bool:
    return "part_term" in poutine.trace(model).get_trace(images).nodes


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("target", ["zoomed", "pasted"])
def test_the_part_term_is_for_training_only(make_pair: MakePair, images: torch.Tensor, target: str):
    model, _ = make_pair(part_term_weight=0.1, part_term_target=target)
    assert has_part_term(model.train(), images)
    assert not has_part_term(model.eval(), images)
    assert has_part_term(model.train(), images)


def test_without_weight_or_parts_there_is_no_part_term(make_pair: MakePair, images: torch.Tensor):
    assert not has_part_term(make_pair(part_term_weight=0.0)[0], images)
    assert not has_part_term(make_pair(part_term_weight=0.1, tree={"num_steps": (3,)})[0], images)


@pytest.mark.thorough
@pytest.mark.parametrize("name", MODELS)
def test_particles_agree_with_single_draws(make_pair: MakePair, images: torch.Tensor, name: str):
    """The loss of three particles in one call is the mean of three losses, within standard errors."""
    model, guide = make_pair(name, likelihood="normal", part_term_weight=0.1)
    single = Trace_ELBO(max_plate_nesting=1)
    several = Trace_ELBO(num_particles=3, vectorize_particles=True, max_plate_nesting=1)
    with torch.no_grad():
        ones = torch.tensor([single.loss(model, guide, images) for _ in range(90)])
        threes = torch.tensor([several.loss(model, guide, images) for _ in range(30)])
    error = (ones.var() / 90 + threes.var() / 30).sqrt()
    assert (ones.mean() - threes.mean()).abs() <= 4 * error
    assert error < 0.05 * ones.mean().abs()
    # An average over three, not a sum, has a third of the variance.
    assert 0.1 < threes.var() / ones.var() < 0.9


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("likelihood", LIKELIHOODS)
@pytest.mark.parametrize("target", ["zoomed", "pasted"])
def test_the_traced_model_runs_on_the_meta_device(
    make_pair: MakePair, images: torch.Tensor, name: str, likelihood: str, target: str
):
    """Shapes without numbers; validation looks at numbers, and so is off."""
    model, _ = make_pair(name, likelihood=likelihood, part_term_weight=0.1, part_term_target=target)
    with pyro.validation_enabled(False):
        trace = poutine.trace(model.to("meta")).get_trace(images.to("meta"))
        trace.compute_log_prob()
    assert trace.nodes["_RETURN"]["value"].shape == images.shape
    for site in trace.nodes.values():
        if site["type"] == "sample" and site["name"] != "images":
            assert site["log_prob"].shape == (4,)
            assert site["log_prob"].device.type == "meta"


@pytest.mark.thorough
@pytest.mark.parametrize("feedback", [False, True])
def test_a_tree_built_on_the_meta_device_runs_there(make_pair: MakePair, feedback: bool):
    with torch.device("meta"), pyro.validation_enabled(False):
        model, _ = make_pair(tree={"num_steps": (2, 1, 2), "feedback": feedback}, image_shape=(3, 12, 12))
        assert poutine.trace(model).get_trace(torch.zeros(4, 3, 12, 12)).nodes["image"]["value"].shape[0] == 4
    assert {parameter.device.type for parameter in model.parameters()} == {"meta"}


@pytest.mark.thorough
def test_images_can_be_predicted_from_the_prior(make_pair: MakePair, images: torch.Tensor):
    """Uncondition the image, and Pyro's Predictive draws it."""
    model, _ = make_pair()
    drawn = Predictive(poutine.uncondition(model), num_samples=3, return_sites=("image", "z.2"))(images)
    assert drawn["image"].shape == (3, 4, 1, 12, 12)
    assert set(drawn["image"].unique().tolist()) <= {0.0, 1.0}
    assert not torch.equal(drawn["z.2"][0], drawn["z.2"][1])


def test_a_batch_may_have_one_image(make_pair: MakePair, images: torch.Tensor):
    model, guide = make_pair()
    assert model(images[:1]).shape == (1, 1, 12, 12)
    assert Trace_ELBO().loss(model, guide, images[:1]) > 0


@pytest.mark.parametrize("weight", [-1.0, float("nan")])
def test_a_negative_part_term_is_refused(weight):
    with pytest.raises(UserError, match="part_term_weight must be at least 0"):
        MODELS["rnp"](ModelConfig(part_term_weight=weight), (1, 12, 12))
