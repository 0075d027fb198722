"""The netCDF file: what is in it, that ArviZ opens it and computes the k-hat that it holds."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from linear_gaussian import LinearGaussian, LinearGuide, draw_images, exact_posterior

from inference import arviz_export
from inference.arviz_export import (
    WeighedImages,
    arviz_groups,
    choose_particles,
    node_levels,
    programs,
    read_netcdf,
    save_netcdf,
)
from inference.diagnostics import import_arviz, is_legacy
from inference.importance import Sampling, particle_terms
from inference.objectives.elbo import Terms
from models import MODELS

MakePair = Callable[..., tuple]
PARTICLES, DRAWS = 60, 8


@pytest.fixture(autouse=True)
def _few_draws(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arviz_export, "NUM_DRAWS", DRAWS)


def weigh(model, guide, images: torch.Tensor, seed: int = 3) -> WeighedImages:
    chunks = [terms for _, terms in particle_terms(model, guide, images, Sampling(PARTICLES, seed))]
    terms = Terms(*(torch.cat([getattr(chunk, name) for chunk in chunks], -1) for name in ("reconstruction", "kl")))
    return WeighedImages(images, terms, seed)


SIZES = {"chain": 1, "draw": DRAWS, "image": 4, "latent": 6, "channel": 1}
NODES = {"rnp": 7, "vae": 1}


@pytest.mark.thorough
@pytest.mark.parametrize("guide", ["resnet", "ladder"])
def test_random_nodes_are_those_that_were_drawn(make_pair: MakePair, images: torch.Tensor, guide: str):
    pair = make_pair(guide=guide, node_latents="both")
    groups = arviz_groups(*pair, weigh(*pair, images))
    names, values = groups["posterior"]["z"]
    assert names == ("chain", "draw", "image", "node", "latent")
    assert values.shape[2:] == (len(images), 1 + 2 + 4, 6)
    proposed = programs(pair[0].decoder, {"z.2": torch.from_numpy(values[:, :, :, 0])})["z"].detach().numpy()
    assert (np.abs(values - proposed)[..., 1:, :] > 1e-9).all()


@pytest.mark.thorough
@pytest.mark.parametrize("name", MODELS)
def test_groups_and_named_dimensions(make_pair: MakePair, images: torch.Tensor, tmp_path: Path, name: str):
    model, guide = make_pair(name)
    groups = arviz_groups(model, guide, weigh(model, guide, images))
    save_netcdf(groups, tmp_path / "run.nc", {"split": "test"})
    assert [path.name for path in tmp_path.iterdir()] == ["run.nc"]
    found = read_netcdf(tmp_path / "run.nc")
    assert set(found) == {
        "posterior", "posterior_predictive", "log_likelihood", "sample_stats", "prior", "prior_predictive",
        "observed_data",
    }  # fmt: skip
    program = SIZES | {"node": NODES[name]}
    poses = {"row": 2, "column": 3} if name == "rnp" else {}
    pixels = {"row": 12, "column": 12}
    assert dict(found["posterior"].sizes.items()) == {
        key: size for key, size in (program | poses).items() if key != "channel"
    }
    assert found["posterior"]["z"].dims == ("chain", "draw", "image", "node", "latent")
    assert found["prior"]["z"].dims == ("chain", "draw", "node", "latent")
    if name == "rnp":
        assert found["posterior"]["pose"].dims == ("chain", "draw", "image", "node", "row", "column")
    assert found["posterior"]["level"].values.tolist() == ([2, 1, 1, 0, 0, 0, 0] if name == "rnp" else [0])
    assert dict(found["posterior_predictive"]["pixels"].sizes) == {
        key: size for key, size in (SIZES | pixels).items() if key != "latent"
    }
    assert found["prior_predictive"]["pixels"].dims == ("chain", "draw", "channel", "row", "column")
    assert found["log_likelihood"]["pixels"].dims == ("chain", "draw", "image")
    assert dict(found["sample_stats"]["log_weight"].sizes) == {"chain": 1, "draw": PARTICLES, "image": 4}
    assert (found["observed_data"]["pixels"].values == images.numpy()).all()
    assert found["observed_data"]["pixels"].dtype == np.uint8


@pytest.mark.thorough
def test_draws_are_what_was_weighed(make_pair: MakePair, images: torch.Tensor):
    """Parts and poses follow from the root, the log likelihood from all of them."""
    model, guide = make_pair()
    groups = arviz_groups(model, guide, weigh(model, guide, images))
    z, pose = (torch.from_numpy(groups["posterior"][name][1][0]) for name in ("z", "pose"))
    parse = model.tree.unfold(z[..., 0, :])
    torch.testing.assert_close(z[..., 1:3, :], parse.at(1).z)
    torch.testing.assert_close(z[..., 3:, :], parse.at(0).z)
    torch.testing.assert_close(pose[..., 3:, :, :], parse.at(0).pose)
    torch.testing.assert_close(pose[..., 0, :, :], torch.eye(2, 3).expand(DRAWS, 4, 2, 3))
    expected = model.likelihood(model.tree.fold(parse)).log_prob(images)
    torch.testing.assert_close(torch.from_numpy(groups["log_likelihood"]["pixels"][1][0]), expected.detach())


@pytest.mark.thorough
def test_arvizs_psis_on_the_file_gives_the_khat_in_the_file(make_pair: MakePair, images: torch.Tensor, tmp_path: Path):
    """With ArviZ alone, whichever version is installed, as docs/evaluation.md shows it."""
    model, guide = make_pair()
    path = tmp_path / "run.nc"
    save_netcdf(arviz_groups(model, guide, weigh(model, guide, images)), path, {})
    arviz = import_arviz()
    data = arviz.from_netcdf(path)
    log_weight, stored = data["sample_stats"]["log_weight"], data["sample_stats"]["khat"]
    if is_legacy():
        reff = data["sample_stats"].attrs["reff_for_arviz_0_23"]
        _, khat = arviz.psislw(log_weight.stack(__sample__=("chain", "draw")), reff=reff)
    else:
        _, khat = (-log_weight).azstats.psislw(dim=["chain", "draw"])
    assert np.isfinite(stored.values).all()
    assert khat.values == pytest.approx(stored.values, abs=1e-12)
    data.close()


@pytest.mark.thorough
def test_resampled_draws_have_the_posteriors_moments(monkeypatch: pytest.MonkeyPatch):
    """Of a guide that is off: the weights put it right."""
    monkeypatch.setattr(arviz_export, "NUM_DRAWS", 3000)
    model = LinearGaussian()
    images = draw_images(model, 3)
    guide = LinearGuide(model, shift=0.2, stretch=1.3)
    terms = next(terms for _, terms in particle_terms(model, guide, images, Sampling(5000, 0, 5000, 3)))
    z = arviz_groups(model, guide, WeighedImages(images, terms, 0))["posterior"]["z"][1][0, :, :, 0]
    loc, scale = (value.numpy() for value in exact_posterior(model, images))
    assert z.mean(0) == pytest.approx(loc, abs=0.05)
    assert z.std(0) == pytest.approx(np.broadcast_to(scale, (3, 3)), rel=0.06)


def test_predictive_draws_come_from_the_likelihood():
    model = LinearGaussian(scale=0.3)
    images = draw_images(model, 3)
    guide = LinearGuide(model)
    groups = arviz_groups(model, guide, weigh(model, guide, images))
    z = torch.from_numpy(groups["posterior"]["z"][1][0, :, :, 0])
    noise = torch.from_numpy(groups["posterior_predictive"]["pixels"][1][0]) - model.decoder(z).detach()
    assert noise.std().item() == pytest.approx(0.3, rel=0.15)
    assert groups["posterior_predictive"]["pixels"][1].dtype == np.float32


def test_particles_are_chosen_by_their_weights():
    log_weight = torch.tensor([[0.0, -1000.0], [-1000.0, 0.0]])
    assert choose_particles(log_weight, 5, seed=0).tolist() == [[0, 1]] * 5


@pytest.mark.thorough
def test_it_is_a_function_of_the_seed(make_pair: MakePair, images: torch.Tensor):
    model, guide = make_pair()
    one, other = (arviz_groups(model, guide, weigh(model, guide, images)) for _ in range(2))
    for group in one:
        for name in one[group]:
            assert (one[group][name][1] == other[group][name][1]).all(), (group, name)


@pytest.mark.thorough
def test_weights_of_more_images_than_pictures(
    make_pair: MakePair, images: torch.Tensor, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(arviz_export, "MOST_PICTURES", 3)
    model, guide = make_pair()
    groups = arviz_groups(model, guide, weigh(model, guide, images))
    assert groups["sample_stats"]["log_weight"][1].shape == (1, PARTICLES, 4)
    assert groups["posterior"]["z"][1].shape[:3] == (1, DRAWS, 3)
    assert groups["observed_data"]["pixels"][1].shape[0] == 3


def test_nodes_of_three_levels(make_tree: Callable[..., torch.nn.Module]):
    tree = make_tree(num_steps=(2, 3, 2))
    levels = node_levels(tree)["level"][1]
    assert levels.tolist() == [3] + [2] * 2 + [1] * 6 + [0] * 12
    found = programs(tree, {tree.root_site: torch.randn(5, 6)})
    assert found["z"].shape == (5, 21, 6)
    assert found["pose"].shape == (5, 21, 2, 3)


@pytest.mark.thorough
def test_a_crash_leaves_nothing(make_pair: MakePair, images: torch.Tensor, tmp_path: Path):
    model, guide = make_pair()
    groups = arviz_groups(model, guide, weigh(model, guide, images))
    with pytest.raises(TypeError):
        save_netcdf(groups, tmp_path / "run.nc", {"bad": object()})
    assert not list(tmp_path.iterdir())
