"""The paper's figures: what is planned, what stands, what is written, and all of them on made images."""

import json
from dataclasses import replace
from importlib import import_module

import numpy as np
import pytest
import torch
from matplotlib.figure import Figure

from examples.paper.appendix import authors_kl, honest_kl
from examples.paper.config import FIGURES, PaperConfig, check
from examples.paper.made_data import make_data
from examples.paper.plan import Made, Row, RunPlan
from examples.paper.runs import code_version, planned
from examples.paper.scales import scale_of
from examples.paper.table import markdown, summary
from rnp_pyro.errors import UserError


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with the made images."""
    path = tmp_path_factory.mktemp("figures")
    make_data(path / "made")
    return path


def plans_of(scale) -> dict[str, RunPlan]:
    figures = [import_module(f"examples.paper.{name}").EXPERIMENT.plan(scale) for name in FIGURES]
    found: dict[str, RunPlan] = {}
    for plan in (one for some in figures for one in some):
        assert found.setdefault(plan.name, plan) == plan, "figures share runs by name"
    return found


@pytest.mark.parametrize("name", ["cpu", "paper"])
def test_every_run_starts_from_one_before_it(name, folder):
    plans = plans_of(scale_of(name, folder))
    seen = set[str]()
    for plan in plans.values():
        assert not plan.init or plan.init in seen
        seen.add(plan.name)
    assert len(plans) > 20


def test_baselines_get_the_same_time(folder):
    """Of each run and its flat baseline, all options but those that make it flat are the same."""
    plans = plans_of(scale_of("cpu", folder))
    pairs = [(plan, plans[f"{name}-vae"]) for name, plan in plans.items() if f"{name}-vae" in plans]
    assert len(pairs) >= 6
    for plan, flat in pairs:
        budget = [one for one in plan.options if one.startswith("--train.minutes")]
        assert budget == [one for one in flat.options if one.startswith("--train.minutes")]
        assert "--model.name=vae" in flat.options


@pytest.mark.thorough
def test_a_run_is_another_with_other_settings_seed_or_source(folder, tmp_path):
    scale = scale_of("smoke", folder)
    plans = [RunPlan("a", scale.options("mnist", "main")), RunPlan("b", scale.options("mnist", "main"), "a", "model")]
    first = planned(plans, [0, 1], tmp_path, None)
    again = planned(plans, [0, 1], tmp_path, None)
    assert [one.path for one in first] == [one.path for one in again]
    assert len({one.path for one in first}) == 4
    assert [one.config.init for one in first[2:]] == [str(one.path) for one in first[:2]]
    assert first[2].config.init_parts == "model"
    longer = planned([replace(plans[0], options=(*plans[0].options, "--train.steps=4"))], [0], tmp_path, None)
    assert longer[0].path not in {one.path for one in first}
    assert not any(one.stands for one in first)


def test_the_code_is_known_by_what_it_does():
    assert len(code_version()) == 64


def test_tables_have_mean_spread_and_number():
    assert summary([1.0, 3.0]) == {"mean": 2.0, "sd": pytest.approx(2**0.5), "n": 2, "values": [1.0, 3.0]}
    assert summary([1.0])["sd"] is None
    made = Made(
        [Row("ours", {"error": [1.0, 3.0], "nats": [80.0, 82.0]}), Row("flat", {"error": [4.0]}, "x")], Figure()
    )
    page = markdown("T", made, "cpu")
    assert "| ours | 2 +- 1.4 (2) | 81 +- 1.4 (2) |" in page
    assert "| flat (x) | 4 |  |" in page


def test_the_authors_kl_is_another():
    loc, scale = torch.zeros(1, 3), torch.ones(1, 3)
    assert float(honest_kl(loc, scale)) == float(authors_kl(loc, scale)) == 0
    loc, scale = torch.randn(2, 3), torch.rand(2, 3) + 0.1
    prior, posterior = torch.distributions.Normal(0.0, 1.0), torch.distributions.Normal(loc, scale)
    torch.testing.assert_close(honest_kl(loc, scale), torch.distributions.kl_divergence(posterior, prior).sum(-1))
    assert (authors_kl(loc, scale) > honest_kl(loc, scale)).all()


def test_made_images(folder):
    names = make_data(folder / "made")
    assert set(names) == {"mnist", "omniglot", "objects", "clothes", "pairs"}
    with np.load(names["pairs"].removeprefix("array:")) as pairs:
        assert (pairs["x_test"] == pairs["masks_test"].max(1)).all()
        assert all((pairs["masks_test"][:, one] > 127).any((1, 2)).all() for one in range(2))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"figure": "fig2"}, "expected a figure, one of fig1"),
        ({"figure": None}, "got none"),
        ({"figure": "fig1", "scale": "huge"}, "--scale: expected one of smoke, cpu, paper"),
        ({"figure": "fig1", "seeds": [1, 1]}, "expected different seeds"),
        ({"figure": "fig1", "jobs": 0}, "--jobs must be within"),
    ],
)
def test_what_does_not_fit(changes, expected):
    with pytest.raises(UserError, match=expected):
        check(PaperConfig(out="x", **changes))


def test_folders_of_others_are_left_alone(refused, tmp_path):
    (tmp_path / "mine.txt").write_text("x")
    assert "expected a new folder" in refused("paper", "fig1", "--scale=smoke", "--out", tmp_path)


@pytest.mark.slow
def test_every_figure_at_the_scale_smoke(call, tmp_path):
    """Within five minutes; and nothing is trained again."""
    out = tmp_path / "out"
    done = call("paper", "all", "--scale=smoke", "--out", out)
    assert done.status == 0, done
    for name in FIGURES:
        assert all((out / f"{name}.{suffix}").stat().st_size > 0 for suffix in ("png", "pdf", "md"))
        results = json.loads((out / name / "results.json").read_text())
        assert results["rows"]
        assert all(value["n"] == 1 for row in results["rows"] for value in row.values() if isinstance(value, dict))
    assert "| a. AIR, two objects |" in (out / "fig7.md").read_text()
    again = call("paper", "fig1", "--scale=smoke", "--out", out)
    assert again.status == 0
    assert "trained" not in again.out
    assert "holds figures of --scale smoke" in call("paper", "fig1", "--scale=cpu", "--out", out).error
