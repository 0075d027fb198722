"""Affine couplings: they start as the identity, their inverse undoes them, and they need a latent of two dimensions."""

from collections.abc import Callable

import pyro.distributions as dist
import pytest
import torch

from flows.couplings import make_couplings, push, reversal
from rnp_pyro.errors import UserError


def flow(context_size: int, change: Callable[..., None] | None = None) -> dist.TransformedDistribution:
    couplings = make_couplings(3, context_size)
    if change is not None:
        change(couplings, 0.3)
    base = dist.Normal(torch.zeros(5, 3), 1.5).to_event(1)
    return push(base, couplings, reversal(3), torch.randn(5, context_size))


@pytest.mark.parametrize("context_size", [0, 4])
def test_they_start_as_the_identity(context_size: int):
    fn, value = flow(context_size), torch.randn(5, 3)
    torch.testing.assert_close(fn.log_prob(value), fn.base_dist.log_prob(value))


@pytest.mark.parametrize("context_size", [0, 4])
def test_a_density_is_that_of_the_noise_less_the_volume_it_is_stretched_to(
    context_size: int, randomise: Callable[..., None]
):
    fn = flow(context_size, randomise)
    noise = torch.randn(5, 3, requires_grad=True)
    value = noise
    for transform in fn.transforms:
        value = transform(value)
    assert not torch.allclose(value, noise, atol=0.01)
    jacobian = torch.stack([torch.autograd.grad(value[:, i].sum(), noise, retain_graph=True)[0] for i in range(3)], 1)
    expected = fn.base_dist.log_prob(noise) - torch.linalg.slogdet(jacobian).logabsdet
    torch.testing.assert_close(fn.log_prob(value.detach().clone()), expected)


def test_a_latent_of_one_dimension_is_refused():
    with pytest.raises(UserError, match="expected latent_size of 2 or more, got 1"):
        make_couplings(1)
