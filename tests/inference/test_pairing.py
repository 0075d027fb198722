"""Guides that do not fit, as users write them: each is refused in one line that says what to do."""

from collections.abc import Callable
from typing import Any

import pyro
import pytest
import torch
from pairs import PAIRS
from pyro.distributions import Normal
from pyro.nn import PyroModule
from torch import nn

from inference.pairing import check_pair
from rnp_pyro.errors import UserError

MakePair = Callable[..., tuple]
SHAPE = (1, 12, 12)


class Guide(PyroModule):
    """A sound guide for the root's latent; the others below each do one thing wrong."""

    def __init__(self, model: PyroModule) -> None:
        super().__init__()
        self.size, self.site = model.decoder.latent_size, model.decoder.root_site
        self.encode = nn.Linear(144, self.size)

    def forward(self, images: torch.Tensor) -> None:
        with pyro.plate("images", images.shape[-4], dim=-1):
            pyro.sample(self.site, Normal(self.encode(images.flatten(-3)), 1.0).to_event(1))


class Foreign(Guide):
    def forward(self, images: torch.Tensor) -> None:
        super().forward(images)
        with pyro.plate("more_images", images.shape[-4], dim=-1):
            pyro.sample("style", Normal(torch.zeros(len(images)), 1.0))


class Nothing(Guide):
    def forward(self, images: torch.Tensor) -> None:
        pass


class NoPlate(Guide):
    def forward(self, images: torch.Tensor) -> None:
        pyro.sample(self.site, Normal(self.encode(images.flatten(-3)), 1.0).to_event(1))


class OneForAll(Guide):
    def forward(self, images: torch.Tensor) -> None:
        pyro.sample(self.site, Normal(torch.zeros(self.size), 1.0).to_event(1))


class WholeBatch(Guide):
    def forward(self, images: torch.Tensor) -> None:
        pyro.sample(self.site, Normal(self.encode(images.flatten(-3)), 1.0).to_event(2))


class TooSmall(Guide):
    def forward(self, images: torch.Tensor) -> None:
        with pyro.plate("images", images.shape[-4], dim=-1):
            pyro.sample(self.site, Normal(self.encode(images.flatten(-3))[:, :2], 1.0).to_event(1))


class NoEvent(Guide):
    def forward(self, images: torch.Tensor) -> None:
        with pyro.plate("images", images.shape[-4], dim=-1):
            pyro.sample(self.site, Normal(self.encode(images.flatten(-3)), 1.0))


class TwoArguments(Guide):
    def forward(self, images: torch.Tensor, labels: torch.Tensor) -> None:
        super().forward(images)


class OtherSize(Guide):
    def forward(self, images: torch.Tensor) -> None:
        super().forward(images[..., :8, :8])


class NotInParticles(Guide):
    """Its plate is the second from the right, where particles are."""

    def forward(self, images: torch.Tensor) -> None:
        with pyro.plate("images", images.shape[-4]):
            loc = self.encode(images.flatten(-3))
            assert loc.dim() == 2
            site = pyro.sample(self.site, Normal(loc, 1.0).to_event(1))
            site.view(len(images), self.size)


class Plain(nn.Module):
    def __init__(self, model: PyroModule) -> None:
        super().__init__()
        self.guide = Guide(model)

    def forward(self, images: torch.Tensor) -> None:
        self.guide(images)


class OtherName(Guide):
    def __init__(self, model: PyroModule) -> None:
        super().__init__(model)
        self.walked = model.tree


class TwoNames(Guide):
    def __init__(self, model: PyroModule) -> None:
        super().__init__(model)
        self.tree, self.also = model.tree, model.tree.hypernets


class SameNameOtherTree(Guide):
    def __init__(self, model: PyroModule, make_pair: MakePair) -> None:
        super().__init__(model)
        self.tree = make_pair()[0].tree


MISFITS: dict[type, str] = {
    Foreign: r"just the model's latents: the model has no style; expected another --guide\.name",
    Nothing: r"just the model's latents: it does not draw z\.2; expected another --guide\.name",
    NoPlate: r"must draw z\.2 once per image, got it outside the plate: draw in pyro\.plate\(",
    OneForAll: r"must draw z\.2 once per image, got it outside the plate",
    WholeBatch: r"event shape \(6,\), got \(3, 6\): make its dimensions the event by \.to_event\(1\)",
    TooSmall: r"z\.2 with the model's event shape \(6,\), got \(2,\)",
    NoEvent: r"guide NoEvent fails on 3 images of shape \(1, 12, 12\): Shape mismatch inside plate.*\.to_event\)$",
    TwoArguments: r"TwoArguments fails on 3 images .*: .*missing 1 required positional argument: 'labels' \(a guide",
    OtherSize: r"guide OtherSize fails on 3 images of shape \(1, 12, 12\): mat1 and mat2 shapes cannot be multiplied",
    NotInParticles: r"NotInParticles fails on 3 images and 2 particles of shape \(1, 12, 12\): shape '\[3, 6\]' is",
    Plain: r"must be a pyro\.nn\.PyroModule, .* got Plain, a plain torch\.nn\.Module; derive its class from",
    OtherName: r"share a parameter under two names, tree\.\S+ and walked\.\S+, .*: call the guide's attribute tree,",
    TwoNames: r"share a parameter under two names, tree\.hypernets\.\S+ and also\.\S+, which Pyro takes for two",
}


@pytest.mark.thorough_after(2)
@pytest.mark.parametrize("kind", MISFITS, ids=lambda kind: kind.__name__)
def test_guides_that_do_not_fit(make_pair: MakePair, kind: Any):
    model, _ = make_pair()
    with pytest.raises(UserError, match=MISFITS[kind]) as caught:
        check_pair(model, kind(model), SHAPE)
    assert "\n" not in str(caught.value)


def test_a_function_is_no_guide(make_pair: MakePair):
    with pytest.raises(UserError, match=r"must be a pyro\.nn\.PyroModule, .*: got a function; derive"):
        check_pair(make_pair()[0], lambda images: None, SHAPE)


def test_one_name_for_two_networks(make_pair: MakePair):
    """Pyro's store would train the first that it meets, and run the second with the first's weights."""
    model, _ = make_pair()
    with pytest.raises(UserError, match=r"different parameters of one name, tree\.\S+, .*: rename the guide's"):
        check_pair(model, SameNameOtherTree(model, make_pair), SHAPE)


def test_a_sound_guide_fits(make_pair: MakePair):
    model, _ = make_pair()
    before = torch.get_default_dtype(), list(pyro.get_param_store().keys())
    check_pair(model, Guide(model), SHAPE)
    assert (torch.get_default_dtype(), list(pyro.get_param_store().keys())) == before


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "guide"), PAIRS)
def test_our_pairs_fit(make_pair: MakePair, name: str, guide: str):
    check_pair(*make_pair(name, guide), SHAPE)
    if name == "rnp":
        check_pair(*make_pair(name, guide, node_latents="both", tree={"feedback": True}), SHAPE)
