"""Noise that is moved: densities of what comes out, in a normal, in a dense one, and before a flow."""

import pytest
import torch
from pyro.distributions import Gamma, LogNormal, MultivariateNormal, Normal, TransformedDistribution
from pyro.distributions.transforms import AffineTransform

from inference.noise import with_moved_noise
from rnp_pyro.errors import UserError


def test_what_is_moved_is_the_noise():
    """In a normal, in a dense one, and before a flow; as distributions, by their densities."""
    shift, log_stretch = torch.randn(2, 3), 0.3 * torch.randn(2, 3)
    loc, scale = torch.randn(2, 3), torch.rand(2, 3) + 0.5
    value = torch.randn(2, 3)
    one = with_moved_noise(Normal(loc, scale).to_event(1), shift, log_stretch)
    noise = Normal(shift, log_stretch.exp())
    expected = (noise.log_prob((value - loc) / scale) - scale.log()).sum(-1)
    assert torch.allclose(one.log_prob(value), expected)
    dense = with_moved_noise(MultivariateNormal(loc, scale_tril=scale.diag_embed()), shift, log_stretch)
    assert torch.allclose(dense.log_prob(value), expected)
    flow = TransformedDistribution(Normal(loc, scale).to_event(1), [AffineTransform(1.0, 2.0, event_dim=1)])
    inner = (value - 1) / 2
    expected = (noise.log_prob((inner - loc) / scale) - scale.log()).sum(-1) - 3 * torch.tensor(2.0).log()
    assert torch.allclose(with_moved_noise(flow, shift, log_stretch).log_prob(value), expected)


def test_a_kind_of_flow_with_a_constructor_of_its_own():
    loc, scale, shift, log_stretch = torch.randn(3), torch.rand(3) + 0.5, torch.randn(3), 0.3 * torch.randn(3)
    value = torch.rand(3) + 0.1
    found = with_moved_noise(LogNormal(loc, scale).to_event(1), shift, log_stretch)
    expected = LogNormal(loc + scale * shift, scale * log_stretch.exp()).to_event(1)
    assert torch.allclose(found.log_prob(value), expected.log_prob(value))


def test_a_dense_factor_is_stretched_along_its_own_noise():
    factor = torch.tensor([[1.0, 0.0], [0.5, 2.0]])
    found = with_moved_noise(
        MultivariateNormal(torch.zeros(2), scale_tril=factor), torch.ones(2), torch.tensor([0.0, 1.0])
    )
    assert torch.allclose(found.loc, factor.sum(-1))
    assert torch.allclose(found.scale_tril, factor @ torch.tensor([1.0, torch.e]).diag())


def test_other_distributions_are_refused():
    with pytest.raises(UserError, match="got a guide that draws Gamma"):
        with_moved_noise(Gamma(torch.ones(2), 1.0).to_event(1), torch.zeros(2), torch.zeros(2))
