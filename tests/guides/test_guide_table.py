"""Every model with every guide."""

from collections.abc import Callable

import pyro
import pytest
import torch
from pairs import PAIRS
from pyro import poutine
from pyro.infer import Trace_ELBO

MakePair = Callable[..., tuple]

pytestmark = pytest.mark.parametrize(("name", "guide"), PAIRS)


@pytest.mark.thorough_after(1)
def test_a_pair_takes_a_step(
    make_pair: MakePair, images: torch.Tensor, randomise: Callable[..., None], name: str, guide: str
):
    """As in training: every parameter of both has a finite gradient, and moves."""
    pair = make_pair(name, guide)
    for program in pair:
        randomise(program, 0.05)  # at the start a block's second convolution is 0, and so its first one's gradient
    with pyro.get_param_store().scope():
        loss = Trace_ELBO(max_plate_nesting=1)(*pair)
        optimizer = torch.optim.Adam(loss.parameters(), lr=1e-3)
        before = {key: parameter.clone() for key, parameter in loss.named_parameters()}
        loss(images).backward()
        for key, parameter in loss.named_parameters():
            assert parameter.grad is not None, key
            assert parameter.grad.isfinite().all(), key
        optimizer.step()
        still = [key for key, parameter in loss.named_parameters() if torch.equal(before[key], parameter)]
    assert not still
    assert {key.split(".")[0] for key in before} == {"model", "guide"}
    assert len(pyro.get_param_store()) == 0


@pytest.mark.thorough_after(2)
def test_model_and_guide_take_the_same_arguments(make_pair: MakePair, images: torch.Tensor, name: str, guide: str):
    pair = make_pair(name, guide)
    for program in pair:
        assert isinstance(program, pyro.nn.PyroModule)
        poutine.trace(program).get_trace(images)


def test_networks_have_names_of_their_own(make_pair: MakePair, name: str, guide: str):
    """Two networks of one name, one in the model and one in the guide, collide in the stock SVI's parameter store.

    What both have, the tree that a guide walks, must have one name in both.
    """
    model, posterior = (dict(program.named_parameters()) for program in make_pair(name, guide))
    for key in {key.split(".")[0] for key in model} & {key.split(".")[0] for key in posterior}:
        ours, theirs = ({at: one for at, one in part.items() if at.split(".")[0] == key} for part in (model, posterior))
        assert ours.keys() == theirs.keys()
        assert all(ours[at] is theirs[at] for at in ours)
    own = [{id(one) for at, one in part.items()} for part in (model, posterior)]
    both = own[0] & own[1]
    assert all(at in posterior for at, one in model.items() if id(one) in both)


@pytest.mark.thorough_after(2)
def test_every_latent_of_the_model_is_the_guides(make_pair: MakePair, images: torch.Tensor, name: str, guide: str):
    model, posterior = make_pair(name, guide)
    latents = [set(poutine.trace(program).get_trace(images).stochastic_nodes) for program in (model, posterior)]
    assert latents[0] == latents[1]
