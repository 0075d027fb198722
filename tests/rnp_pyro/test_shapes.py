"""Annotated shapes are checked in tests: otherwise they are mere comments."""

import pytest
import torch
from jaxtyping import TypeCheckError

from guides.resnet import ResNetGuide
from guides.roots import DiagonalRoot
from inference.objectives.elbo import Terms
from models.likelihood import bernoulli
from rnp_pyro.affine import compose, invert
from rnp_pyro.canvas import paste
from rnp_pyro.networks import ResNetEncoder
from rnp_pyro.parse import Nodes


def test_the_core_is_checked():
    with pytest.raises(TypeCheckError, match="pose"):
        invert(torch.zeros(6))


def test_arguments_are_checked_together():
    with pytest.raises(TypeCheckError, match="pose"):
        paste(torch.zeros(3, 1, 4, 4), torch.zeros(2, 2, 3), (8, 8))


def test_arguments_that_broadcast_may_differ():
    assert compose(torch.zeros(3, 1, 2, 3), torch.zeros(4, 2, 3)).shape == (3, 4, 2, 3)


def test_fields_of_a_state_are_checked_together():
    with pytest.raises(TypeCheckError, match="pose"):
        Nodes(torch.zeros(2, 5), torch.zeros(2, 6), torch.zeros(3, 2, 3), torch.zeros(2, 1, 4, 4))


def test_types_are_checked_too():
    with pytest.raises(TypeCheckError, match="pose"):
        invert(torch.zeros(2, 3, dtype=torch.long))


def test_models_guides_and_inference_are_checked():
    with pytest.raises(TypeCheckError, match="canvas"):
        bernoulli(torch.zeros(4, 4))
    with pytest.raises(TypeCheckError, match="images"):
        ResNetGuide(ResNetEncoder((1, 8, 8)), DiagonalRoot(128, 2), "z.1")(torch.zeros(8, 8))
    with pytest.raises(TypeCheckError, match="kl"):
        Terms(torch.zeros(3), torch.zeros(4))
