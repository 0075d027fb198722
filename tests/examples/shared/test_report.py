"""What a finished run tells: numbers on the test split, figures, and what they were made with."""

import subprocess
from dataclasses import replace
from importlib.metadata import version

import pytest
import torch

from inference.bounds import elbo_terms, reconstruct
from rnp_pyro.api import report
from rnp_pyro.api.opening import open_trained
from rnp_pyro.api.report import draw_figures, draw_parts, git_commit, measure, summary, versions
from rnp_pyro.data import ImageData, to_unit

CPU = torch.device("cpu")


def first_images(data: ImageData, count: int) -> ImageData:
    return replace(data, test=data.test[:count], test_labels=data.test_labels[:count])


@pytest.fixture(scope="module")
def run(digits_run):
    return open_trained(digits_run[0])


@pytest.fixture(scope="module")
def images(run):
    return run.data.test


@pytest.mark.thorough
def test_the_bound_is_honest(run, images):
    """KL weight 1, no part term, the same draw for every caller, and the modules as they were."""
    run.pair.model.train()
    numbers = measure(run.pair, images, CPU)
    assert run.pair.model.training
    assert numbers == measure(run.pair, images, CPU)
    observed = run.pair.prepare_fixed(images)
    terms = elbo_terms(run.pair.model, run.pair.guide, observed, 0)
    assert numbers["neg_elbo"] == pytest.approx(terms.neg_elbo.mean().item())
    assert numbers["neg_elbo"] == pytest.approx(numbers["reconstruction"] + numbers["kl"])


@pytest.mark.thorough
def test_the_squared_error_is_against_the_grey_image(run, images):
    mean = reconstruct(run.pair.model, run.pair.guide, run.pair.prepare_fixed(images))
    expected = (mean - to_unit(images)).square().mean().item()
    assert measure(run.pair, images, CPU)["mse"] == pytest.approx(expected)


@pytest.mark.thorough
def test_distinct_parts_looks_at_the_first_images(run, images, monkeypatch):
    seen = []

    def distinct(grey, parts):
        seen.append((len(grey), parts.shape))
        return torch.tensor([True] * 3 + [False] * (len(grey) - 3))

    monkeypatch.setattr(report, "DISTINCT_IMAGES", 10)
    monkeypatch.setattr(report, "distinct_parts", distinct)
    assert measure(run.pair, images, CPU)["distinct_parts"] == pytest.approx(3 / 10)
    assert seen == [(10, (10, 3, 1, 12, 12))]


@pytest.mark.thorough
def test_a_model_without_parts_has_no_distinct_parts(vae_run):
    run = open_trained(vae_run[0])
    assert measure(run.pair, run.data.test, CPU)["distinct_parts"] is None


def test_drawn_parts(run):
    tree = run.pair.model.tree
    drawn = draw_parts(tree, tree.unfold(torch.randn(5, 4)))
    assert drawn.canvases.shape == (5, 1, 12, 12)
    assert drawn.parts.shape == (5, 3, 1, 12, 12)
    assert drawn.sub_parts.shape == (5, 3, 2, 1, 8, 8)
    assert not drawn.canvases.requires_grad


def test_drawn_parts_of_one_level(make_tree):
    tree = make_tree(num_steps=(2,)).float()
    drawn = draw_parts(tree, tree.unfold(torch.randn(5, 6)))
    assert drawn.parts.shape == (5, 2, 1, 12, 12)
    assert drawn.sub_parts is None


def test_drawn_parts_of_three_levels(make_tree):
    tree = make_tree(num_steps=(2, 3, 2)).float()
    drawn = draw_parts(tree, tree.unfold(torch.randn(5, 6)))
    assert drawn.parts.shape == (5, 2, 1, 12, 12)
    assert drawn.sub_parts.shape[:3] == (5, 2, 3)


@pytest.mark.thorough
def test_figures_are_drawn_anew(run, finished):
    """Figures of few test images, in place of older ones."""
    (finished / "figures/parse.png").write_bytes(b"old")
    data = first_images(run.data, 3)
    paths = draw_figures(finished, run.pair, data, CPU)
    assert len(paths) == 4
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in paths)


@pytest.mark.thorough
def test_the_random_generator_is_left_alone(run, images, finished):
    before = torch.get_rng_state()
    measure(run.pair, images, CPU)
    draw_figures(finished, run.pair, first_images(run.data, 2), CPU)
    assert torch.equal(torch.get_rng_state(), before)


def test_versions():
    assert versions()["pyro-ppl"] == version("pyro-ppl")


def test_summary(run):
    found = summary({"mse": 0.1}, run.data, seed=7)
    assert found["mse"] == 0.1
    assert (found["data"], found["test_images"], found["seed"]) == ("mnist", 12, 7)


def fake_git(monkeypatch, status: str) -> None:
    def run(command, **options):
        out = "0123abcd\n" if "rev-parse" in command else status
        return subprocess.CompletedProcess(command, 0, stdout=out)

    monkeypatch.setattr(subprocess, "run", run)


@pytest.mark.parametrize(("status", "commit"), [("", "0123abcd"), (" M file.py\n", "0123abcd+")])
def test_commit(monkeypatch, status, commit):
    fake_git(monkeypatch, status)
    assert git_commit() == commit


@pytest.mark.parametrize(
    "error", [FileNotFoundError("git"), subprocess.CalledProcessError(128, "git"), subprocess.TimeoutExpired("git", 10)]
)
def test_no_commit_outside_of_a_checkout(monkeypatch, error):
    def run(command, **options):
        raise error

    monkeypatch.setattr(subprocess, "run", run)
    assert git_commit() is None
