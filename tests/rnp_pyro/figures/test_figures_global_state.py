"""A user's matplotlib stays as it is."""

import importlib
import sys
from pathlib import Path
from types import ModuleType

import matplotlib
import numpy as np
import pytest
import torch

import rnp_pyro.figures


def settings() -> dict:
    """All of matplotlib's settings; reading the backend the ordinary way would choose one."""
    return dict(dict.items(matplotlib.rcParams))


@pytest.fixture
def figures_without_pyplot(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The package imported again, where importing pyplot is an error."""
    monkeypatch.setattr(rnp_pyro, "figures", rnp_pyro.figures)
    for name in [name for name in sys.modules if name.startswith("rnp_pyro.figures")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    return importlib.import_module("rnp_pyro.figures")


@pytest.mark.thorough
def test_no_pyplot_no_backend_no_settings(figures_without_pyplot: ModuleType, tmp_path: Path):
    before = settings()
    draw = figures_without_pyplot
    images, parts = torch.rand(2, 1, 6, 5), torch.rand(2, 4, 1, 6, 5)
    figures = [
        draw.reconstructions(images, images),
        draw.parse(images, images, parts, parts[:, :, None]),
        draw.prior_samples(images, parts),
        draw.posterior_intervals(images, *[draw.Moments(torch.rand(2, 3), torch.rand(2, 3))] * 2, ["one", "two"]),
        draw.training_curves([{"step": step, "seconds": step, "neg_elbo": 9 - step} for step in range(3)]),
        draw.khat(np.array([0.3, 0.9, np.inf, np.nan]), num_particles=100),
        draw.posterior_predictive(images.numpy(), images.expand(6, 2, 1, 6, 5).numpy()),
    ]
    for index, figure in enumerate(figures):
        draw.save(figure, tmp_path / f"{index}.png")
    assert len(before) > 100
    assert settings() == before


def test_a_users_settings_do_not_move_the_pictures(glyph: torch.Tensor, printed):
    plain = printed(rnp_pyro.figures.reconstructions(glyph[None], glyph[None]))
    spoilt = {"image.origin": "lower", "image.interpolation": "bilinear", "figure.autolayout": True, "axes.grid": True}
    with matplotlib.rc_context(spoilt):
        assert (printed(rnp_pyro.figures.reconstructions(glyph[None], glyph[None])) == plain).all()
