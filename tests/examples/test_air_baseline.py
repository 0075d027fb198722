"""AIR, the baseline of figure 7: its windows, its bound, its runs, and its row in the table."""

from dataclasses import replace
from math import pi

import pyro
import pytest
import torch
from pyro import poutine
from pyro.infer import SVI, Trace_ELBO

from examples.paper import fig7, runs
from examples.paper.baselines import air
from examples.paper.baselines.objects import objects_of
from examples.paper.baselines.pictures import FINER, outlined, window_rows
from examples.paper.measures import ERROR, rand_index
from examples.paper.plan import Context, RunPlan
from examples.paper.runs import code_version, opened, planned, train_all
from examples.paper.scales import scale_of
from rnp_pyro.affine import invert
from rnp_pyro.canvas import crop, paste
from rnp_pyro.config import Config, ModelConfig
from rnp_pyro.data.digit_pairs import inverse_pose
from rnp_pyro.figures.colour import part_colour

CONFIG = Config(model=ModelConfig(name="air", latent_size=6))


def weights(pair) -> dict[str, torch.Tensor]:
    return pair.modules.state_dict()


def same(first, second) -> bool:
    return all(torch.equal(one, second[name]) for name, one in first.items())


def test_a_window_can_be_where_any_digit_is():
    """Of the average size, with the map that digit-pairs places its digits by."""
    draws = 2 * torch.rand(5, 2, 4) - 1
    ranges = torch.tensor([pi / air.TURN, 1 / air.SHEAR, 0.8 / air.SHIFT, 0.8 / air.SHIFT])
    where = torch.cat([torch.zeros(5, 2, 1), draws * ranges], -1)
    torch.testing.assert_close(invert(air.pose_of(where)), inverse_pose(draws))


def test_what_is_pasted_is_cropped_again():
    y, x = torch.meshgrid(torch.linspace(-1, 1, 20), torch.linspace(-1, 1, 20), indexing="ij")
    patch = torch.exp(-6 * ((x - 0.2) ** 2 + 2 * (y + 0.1) ** 2))[None]
    pose = air.pose_of(torch.tensor([0.5, 0.4, -0.3, 0.2, -0.1]))
    pasted = paste(patch, pose, (200, 200))
    torch.testing.assert_close(crop(pasted, pose, (20, 20)), patch, atol=0.02, rtol=0)


def test_objects_are_laid_over_each_other_within_ink():
    windows = air.Windows(6, (1, 12, 12))
    objects = windows(3 * torch.randn(4, 2, 5), 3 * torch.randn(4, 2, 6))
    canvas = windows.compose(objects)
    assert (canvas >= objects.amax(-4) - 1e-9).all()
    assert (canvas > 0).all()
    assert (canvas < 1).all()


@pytest.mark.thorough
def test_the_index_asks_for_two_exclusive_masks():
    masks = torch.zeros(1, 2, 6, 6)
    masks[:, 0, :, :3] = masks[:, 1, :, 3:] = 1
    assert rand_index(masks[:, :, None], masks) == 1
    assert rand_index(masks.flip(1)[:, :, None], masks) == 1
    together = torch.stack([masks.amax(1), torch.zeros(1, 6, 6)], 1)
    assert rand_index(together[:, :, None], masks) == 0


def test_a_pixel_has_one_owner(images):
    pair = air.build(CONFIG, (1, 12, 12))
    drawn = objects_of(pair, (255 * images).byte())
    owner = drawn.objects.amax(-3).argmax(-3)
    assert owner.shape == (4, 12, 12)
    assert set(owner.unique().tolist()) <= {0, 1}


@pytest.mark.thorough
def test_the_bound_is_finite_and_rises(images):
    pair = air.build(CONFIG, (1, 12, 12))
    images = images.float()
    inference = SVI(pair.model, pair.guide, pyro.optim.Adam({"lr": 3e-3}), Trace_ELBO())  # type: ignore[arg-type]
    losses = torch.tensor([inference.step(images) for _ in range(30)])
    assert losses.isfinite().all()
    assert losses[-5:].mean() < losses[:5].mean()


def test_all_sites_are_drawn_in_the_plate_and_reparameterised(images):
    pair = air.build(CONFIG, (1, 12, 12))
    trace = poutine.trace(pair.guide).get_trace(images.float())
    sites = {name: site for name, site in trace.nodes.items() if site["type"] == "sample" and name != "images"}
    assert set(sites) == {f"{kind}.{step}" for kind in ("where", "what") for step in range(air.OBJECTS)}
    assert all(site["fn"].has_rsample and site["fn"].batch_shape == (4,) for site in sites.values())


def test_weights_are_the_seeds():
    first, again = (air.build(CONFIG, (1, 12, 12)) for _ in range(2))
    other = air.build(replace(CONFIG, seed=1), (1, 12, 12))
    assert same(weights(first), weights(again))
    assert not same(weights(first), weights(other))


def test_a_frame_is_where_the_window_ends():
    pose = air.pose_of(torch.zeros(1, 1, 5))
    framed = outlined(torch.zeros(1, 1, 12, 12), pose)[0]
    assert framed.shape == (3, 12 * FINER, 12 * FINER)
    middle, edge = 6 * FINER, round(6 * FINER * (1 + air.SIZE))
    torch.testing.assert_close(framed[:, middle, edge], torch.tensor(part_colour(0)))
    assert (framed[:, middle, middle] == 1).all()


@pytest.mark.thorough
def test_its_own_code_tells_its_runs_apart():
    assert code_version("air") != code_version()


@pytest.mark.thorough
def test_its_runs_are_runs_like_any_other(tmp_path, monkeypatch):
    """One that stands is not trained again, it is opened, measured and drawn, and its weights are the seed's."""
    scale = scale_of("smoke", tmp_path)
    plans = [RunPlan("pairs-air", scale.options("pairs", "long", *fig7.AIR))]
    assert plans[0] in fig7.plan(scale)
    there, elsewhere = (planned(plans, [0, 1], tmp_path / folder, None) for folder in ("runs", "again"))
    train_all(there, jobs=1)
    train_all(elsewhere[:1], jobs=1)
    assert all(one.stands for one in there)
    monkeypatch.setattr(runs, "train_one", None)
    train_all(planned(plans, [0, 1], tmp_path / "runs", None), jobs=1)

    first, second = opened(there, ["pairs-air"])["pairs-air"]
    (again,) = opened(elsewhere[:1], ["pairs-air"])["pairs-air"]
    assert same(weights(first.pair), weights(again.pair))
    assert not same(weights(first.pair), weights(second.pair))
    row = fig7.pairs_row("a. AIR, two objects", [first, second], Context(scale, tmp_path, (0, 1)))
    assert len(row.values[ERROR]) == len(row.values["adjusted Rand index"]) == 2
    assert all(-1 <= one <= 1 for one in row.values["adjusted Rand index"])
    drawn = window_rows(first, 3, "AIR")
    assert [len(one.panels) for one in drawn] == [5, 5, 5]
