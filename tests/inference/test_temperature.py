"""Tempered draws: their noise is multiplied, wherever it comes from."""

import pyro.distributions as dist
import pytest
import torch
from pyro.distributions import Normal
from torch.distributions import AffineTransform, ExpTransform

from inference.temperature import tempered


def test_a_normals_draw_moves_towards_its_mean():
    fn = Normal(torch.tensor([1.0, -2.0]), 3.0).to_event(1)
    assert torch.equal(tempered(fn, torch.tensor([4.0, -2.0]), 0.5), torch.tensor([2.5, -2.0]))


@pytest.mark.parametrize("temperature", [0.0, 0.5, 1.0, 2.0])
def test_a_flow_pushes_the_tempered_noise(temperature: float):
    transforms = [AffineTransform(0.5, 2.0, event_dim=1), ExpTransform()]
    fn = dist.TransformedDistribution(Normal(torch.zeros(4, 3), 1).to_event(1), transforms)
    noise = torch.randn(4, 3)
    torch.testing.assert_close(
        tempered(fn, (0.5 + 2 * noise).exp(), temperature), (0.5 + 2 * temperature * noise).exp()
    )


def mixture(apart: float) -> dist.MixtureSameFamily:
    loc = apart * torch.tensor([[0.0, 1.0], [1.0, 0.0], [-1.0, -1.0]])
    return dist.MixtureSameFamily(dist.Categorical(torch.tensor([0.5, 0.3, 0.2])), Normal(loc, 1.0).to_event(1))


@pytest.mark.parametrize("batch", [(), (6,), (2, 3)])
def test_a_draw_of_a_mixture_moves_towards_the_mean_of_its_component(batch: tuple[int, ...]):
    fn = mixture(apart=100.0)
    chosen = torch.randint(3, batch)
    loc, noise = fn.component_distribution.mean[chosen], torch.randn(*batch, 2)
    torch.testing.assert_close(tempered(fn.expand(batch), loc + noise, 0.5), loc + 0.5 * noise)


def test_at_temperature_zero_a_mixtures_means_are_drawn_by_their_weights():
    """Also where components overlap, so that a draw does not tell which is its own."""
    fn = mixture(apart=0.5)
    drawn = tempered(fn, fn.sample((20_000,)), 0.0)
    share = (drawn[:, None] == fn.component_distribution.mean).all(-1).double().mean(0)
    expected = fn.mixture_distribution.probs
    assert ((share - expected).abs() < 4 * (expected * (1 - expected) / 20_000).sqrt()).all()
