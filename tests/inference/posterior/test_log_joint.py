"""The log joint as a function of the latent: Pyro's own terms, in float64, and nothing left behind."""

from collections.abc import Callable

import pyro
import pytest
import torch
from linear_gaussian import IMAGE_SHAPE, LATENT_SIZE, LinearGaussian, draw_images, exact_evidence, rotated
from pyro import poutine
from pyro.distributions import MultivariateNormal, Normal

from inference.posterior.log_joint import LogJoint, frozen, log_joint
from models import MODELS

MakePair = Callable[..., tuple]


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("name", MODELS)
def test_terms_are_those_of_the_models_trace(make_pair: MakePair, images: torch.Tensor, name: str):
    """For each latent alone, in evaluation mode: so without the part term."""
    model, _ = make_pair(name, part_term_weight=0.5)
    target = log_joint(model, images[1])
    z = torch.randn(3, 2, 6)
    terms = target.terms(z)
    model.eval()
    for index in ((0, 0), (2, 1)):
        trace = poutine.trace(poutine.condition(model, {target.site: z[index][None]})).get_trace(images[1:2])
        trace.compute_log_prob()
        torch.testing.assert_close(terms.prior[index], trace.nodes[target.site]["log_prob"][0])
        torch.testing.assert_close(terms.likelihood[index], trace.nodes["image"]["log_prob"][0])
    torch.testing.assert_close(terms.joint, target(z))
    assert target(z[0, 0]).shape == ()


def test_the_gradient_is_bayes_rule():
    """Of log p(x, z) in z it is that of the posterior's log density: here of a normal."""
    model = rotated(LinearGaussian())
    image = draw_images(model, 1)[0]
    weight, variance = model.decoder.weight.detach(), model.scale**2
    z = torch.randn(5, LATENT_SIZE, requires_grad=True)
    (gradient,) = torch.autograd.grad(log_joint(model, image)(z).sum(), z)
    error = image.flatten() - model.decoder(z).detach().flatten(-3)
    torch.testing.assert_close(gradient, error @ weight / variance - z.detach())


def test_it_integrates_to_the_evidence():
    """By importance sampling from the prior, within the standard error."""
    model = LinearGaussian(scale=2.0)
    image = draw_images(model, 1)
    target = log_joint(model, image[0])
    weight = (target.terms(target.draw_prior(20_000)).likelihood - exact_evidence(model, image)).exp()
    assert abs(weight.mean() - 1) < 3.5 * weight.std() / 20_000**0.5


def test_draws_of_the_prior_are_the_priors():
    target = log_joint(LinearGaussian(), torch.zeros(IMAGE_SHAPE))
    z = target.draw_prior(4000)
    assert z.shape == (4000, LATENT_SIZE)
    torch.testing.assert_close(target.terms(z).prior, MultivariateNormal(torch.zeros(3), torch.eye(3)).log_prob(z))
    assert z.mean(0).abs().max() < 0.06
    assert (z.mT.cov() - torch.eye(3)).abs().max() < 0.1


def test_it_is_float64_and_the_program_stays_as_it_was(make_pair: MakePair, images: torch.Tensor):
    model, guide = make_pair()
    model.to(torch.float32)
    target = log_joint(model, images[0].float())
    assert target.image.dtype == torch.float64
    assert target(torch.randn(6)).dtype == torch.float64
    for program in (model, guide):
        assert program.training
        assert all(parameter.requires_grad for parameter in program.parameters())
        copy = frozen(program)
        assert not copy.training
        assert not any(parameter.requires_grad for parameter in copy.parameters())
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_nothing_is_left_in_the_parameter_store(make_pair: MakePair, images: torch.Tensor):
    target = log_joint(make_pair()[0], images[0])
    target(torch.randn(6))
    target.draw_prior(2)
    assert not list(pyro.get_param_store().keys())


def test_other_latents_are_refused(make_pair: MakePair, images: torch.Tensor):
    class Two(LinearGaussian):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            pyro.sample("other", Normal(0.0, 1.0))
            return super().forward(images)

    target = log_joint(Two(), torch.zeros(IMAGE_SHAPE))
    assert isinstance(target, LogJoint)
    with pytest.raises(AssertionError, match=r"expected the sites z\.0 and image, got .*other"):
        target(torch.zeros(LATENT_SIZE))
