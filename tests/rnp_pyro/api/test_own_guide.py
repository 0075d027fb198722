"""A run with a guide of one's own, and a run's model and guide called directly."""

from typing import Any

import numpy as np
import pyro
import pytest
import torch
from pyro.distributions import Normal
from pyro.nn import PyroModule
from pyro.poutine import trace

import rnp_pyro
from guides import GUIDES
from inference.refinement import UNREFINED
from rnp_pyro.api.pair import Pair
from rnp_pyro.errors import UserError
from rnp_pyro.sites import PART_TERM


class Broad(PyroModule):
    """A posterior that has not seen the image: N(loc, 0.5) with one loc for all."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.loc = torch.nn.Parameter(torch.zeros(size))

    def forward(self, images: torch.Tensor) -> None:
        """Draw the root's latent of images ``[N C H W]``."""
        with pyro.plate("images", len(images), dim=-1):
            pyro.sample("z.2", Normal(self.loc, 0.5).expand([len(images), len(self.loc)]).to_event(1))


class Deaf(PyroModule):
    """Draws no latent."""

    def forward(self, images: torch.Tensor) -> None:
        """Look away from images ``[N C H W]``."""


@pytest.fixture
def alone(fit: Any, images: np.ndarray) -> rnp_pyro.Run:
    """A run whose root alone is random."""
    return fit(images, steps=2, **{"model.node_latents": "none"})


def test_a_pair_of_settings_can_be_written_and_another_cannot(make_pair):
    pair = Pair(*make_pair("rnp", "resnet"), UNREFINED, binary=True, seed=0)
    pair.check_nameable()
    with pytest.raises(UserError, match="a guide of your own"):
        pair.with_guide(make_pair("rnp", "resnet")[1]).check_nameable()


@pytest.mark.thorough
def test_another_guide_explains_the_same_model(alone, images):
    own = alone.with_guide(Broad(4))
    assert own.model is alone.model
    latents = own.encode(images[:3])["z.2"]
    assert np.array_equal(latents, np.zeros((3, 4)))
    assert own.evaluate(images[:4], particles=3, progress=False).nll > 0
    assert own.complete(images[:2], num=2, particles=4, rounds=1).images.shape == (2, 1, 12, 12)
    assert not torch.equal(torch.as_tensor(alone.encode(images[:3])["z.2"]), torch.zeros(3, 4)), "the run has its own"


@pytest.mark.thorough
def test_a_guide_that_does_not_fit_is_refused(alone):
    with pytest.raises(UserError, match=r"expected another --guide\.name"):
        alone.with_guide(Deaf())


@pytest.mark.thorough
def test_settings_cannot_name_it_so_that_nothing_is_written(alone, tmp_path):
    with pytest.raises(UserError, match=r"a guide of your own, .* or register it, from guides import GUIDES"):
        alone.with_guide(Broad(4)).save(tmp_path / "run")
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
@pytest.mark.parametrize("opened", [False, True])
def test_model_and_guide_are_as_they_are_evaluated(run, images, opened, tmp_path):
    """Without the part term, which belongs to training, and posterior draws come of the images that methods see."""
    one = rnp_pyro.load(run.save(tmp_path / "run")) if opened else run
    given = one.given(images[:3])
    assert PART_TERM not in trace(one.model).get_trace(given.observed)
    drawn = trace(one.guide).get_trace(given.observed)
    assert drawn.nodes["z.2"]["value"].shape == (3, 4)
    assert given.pixels.dtype == torch.uint8
    assert set(given.observed.unique().tolist()) <= {0.0, 1.0}
    assert torch.equal(given.unit * 255, given.pixels.float())


def build(config: Any, decoder: Any) -> Broad:
    """Build the guide as the entries of ``GUIDES`` do."""
    return Broad(decoder.latent_size)


@pytest.mark.thorough
def test_fit_trains_a_guide_of_ones_own(fit, images, tmp_path):
    run = fit(images, guide=build, **{"model.node_latents": "none"})
    assert isinstance(run.guide, Broad)
    assert run.guide.loc.abs().sum() > 0, "it was trained"
    assert "with guide Broad" in repr(run)
    with pytest.raises(UserError, match="a guide of your own"):
        run.save(tmp_path / "run")


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"guide": Deaf()}, r"got a Deaf that is built: give a function build\(config, decoder\)"),
        (
            {"guide": 3},
            r"a name or a dictionary of settings, or a function build\(config, decoder\) as guide=, got int",
        ),
        ({"model": 3}, "a name or a dictionary of settings as model=, got int"),
        ({"guide": Broad}, r"got Broad, which fails: .*; wrap what takes other arguments, such as guide=lambda"),
        ({"guide": build, "out": "run", "model.node_latents": "none"}, "which its settings cannot name"),
        ({"guide": build}, r"expected another --guide\.name or --model\.node_latents"),
    ],
)
def test_what_is_no_builder_is_refused_before_training(fit, images, settings, said, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=said) as caught:
        fit(images, **settings)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
def test_a_registered_guide_is_saved_and_opens_where_it_is_registered(fit, images, tmp_path, monkeypatch):
    monkeypatch.setitem(GUIDES, "broad", build)
    folder = fit(images, guide="broad", **{"model.node_latents": "none"}).save(tmp_path / "run")
    assert isinstance(rnp_pyro.load(folder).guide, Broad)
    monkeypatch.delitem(GUIDES, "broad")
    with pytest.raises(
        UserError, match=r"^the run's guide is broad, which is not registered: .*GUIDES\[\"broad\"\] = "
    ):
        rnp_pyro.load(folder)
