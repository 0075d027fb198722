"""Noise of a whole batch, of which each part takes its images' rows."""

import pyro
import pytest
import torch
from pyro import poutine
from pyro.distributions import Bernoulli, Distribution, MultivariateNormal, Normal, TransformedDistribution
from torch.distributions.transforms import AffineTransform

from inference.training.union import TakeRows, rows_of_part
from rnp_pyro.errors import UserError


def test_parts_are_the_whole():
    parts = [rows_of_part(12, part, 4) for part in range(4)]
    assert sorted(torch.cat(parts).tolist()) == list(range(12))
    assert {len(part) for part in parts} == {3}


def program(loc: torch.Tensor) -> torch.Tensor:
    """Draw latents of several kinds for images, ``[images]`` of them."""
    with pyro.plate("particles", 3, dim=-2), pyro.plate("images", len(loc), dim=-1):
        one = pyro.sample("one", Normal(loc[:, None].expand(-1, 5), 2).to_event(1))
        factor = torch.eye(5).expand(len(loc), 5, 5) * 3
        two = pyro.sample("two", MultivariateNormal(loc[:, None].expand(-1, 5), scale_tril=factor))
        flow = TransformedDistribution(Normal(loc[:, None, None].expand(-1, 2, 4), 1), [AffineTransform(1.0, 2.0)])
        three = pyro.sample("three", flow.to_event(2))
    return torch.cat([one, two, three.flatten(-2)], dim=-1)


@pytest.mark.parametrize("num_parts", [2, 3])
def test_an_image_has_the_same_noise_in_every_part(num_parts: int):
    loc = torch.arange(12.0)
    torch.manual_seed(5)
    whole = program(loc)
    for part in range(num_parts):
        rows = rows_of_part(12, part, num_parts)
        torch.manual_seed(5)
        with TakeRows(rows, 12):
            found = program(loc[rows])
        torch.testing.assert_close(found, whole[:, rows])


def test_gradients_flow_through_rows():
    loc = torch.zeros(4, requires_grad=True)
    with TakeRows(torch.arange(4), 8), pyro.plate("images", 4, dim=-1):
        pyro.sample("z", Normal(loc, 1)).sum().backward()
    assert torch.equal(loc.grad, torch.ones(4))


def test_what_is_observed_or_replayed_is_left_alone():
    def observed() -> torch.Tensor:
        with pyro.plate("images", 4, dim=-1):
            return pyro.sample("z", Normal(torch.zeros(4), 1), obs=torch.ones(4))

    with TakeRows(torch.arange(4), 8):
        assert torch.equal(poutine.trace(observed).get_trace().nodes["z"]["value"], torch.ones(4))


def draw(fn: Distribution, num_taken: int) -> None:
    """Draw for four images of eight, while ``num_taken`` are expected."""
    with TakeRows(torch.arange(num_taken), 8), pyro.plate("images", 4, dim=-1):
        pyro.sample("z", fn)


def test_noise_that_cannot_be_divided_is_refused():
    with pytest.raises(UserError, match="z draws noise that is not: expected one device"):
        draw(Bernoulli(torch.full((4,), 0.5)), 4)
    with pytest.raises(ValueError, match="expected noise of 3 images at z"):
        draw(Normal(torch.zeros(4), 1), 3)
