"""The training command, end to end on tiny runs: the files that it writes, and what they say."""

import math
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from run_files import FIGURES, FILES, files, summary_of
from safetensors.torch import load_file

from inference.training.task import COLUMNS
from rnp_pyro.api import report
from rnp_pyro.api.pair import Pair
from rnp_pyro.api.settings import config_parser, parse_config
from rnp_pyro.checkpoint import load_checkpoint, read_metrics
from rnp_pyro.config import Config

ASKED = [
    "neg_elbo", "reconstruction", "kl", "mse", "distinct_parts",
    "images_per_second", "seconds", "data", "seed", "versions", "git_commit",
]  # fmt: skip
EXTRA = ["steps", "test_images"]


def interesting(picture: Path) -> bool:
    """Whether an image file shows more than one flat colour."""
    pixels = np.asarray(Image.open(picture).convert("L"), dtype=float)
    return min(pixels.shape) > 50 and pixels.std() > 2 and len(np.unique(pixels)) > 10


# A run directory


def test_files(digits_run):
    run, _ = digits_run
    assert files(run) == FILES
    assert sorted(path.name for path in (run / "figures").iterdir()) == FIGURES


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_worth_a_look(digits_run, name):
    assert interesting(digits_run[0] / "figures" / name)


def test_summary(digits_run):
    summary = summary_of(digits_run[0])
    assert sorted(summary) == sorted(ASKED + EXTRA)
    assert summary["neg_elbo"] == pytest.approx(summary["reconstruction"] + summary["kl"])
    assert summary["kl"] > 0
    assert 0 < summary["mse"] < 1
    assert 0 <= summary["distinct_parts"] <= 1
    assert summary["images_per_second"] > 0
    assert summary["seconds"] > 0
    assert (summary["data"], summary["seed"]) == ("mnist", 0)
    assert (summary["steps"], summary["test_images"]) == (4, 12)
    assert summary["versions"]["torch"] == torch.__version__.split("+")[0]
    assert summary["git_commit"] is None or len(summary["git_commit"].removesuffix("+")) == 40


@pytest.mark.thorough
def test_settings_can_be_read_back(digits_run, mnist, tiny):
    run, _ = digits_run
    parser = config_parser("train_svi", "")
    config, _, _ = parse_config(parser, [f"--config={run / 'config.yaml'}"])
    data = "--model.node_latents=none", "--data=mnist", f"--data_dir={mnist}"
    given = f"--run={run}", "--train.steps=4", "--train.lr_warmup_steps=0", *data
    expected, _, _ = parse_config(parser, [*tiny, *given])
    assert None not in (config.model.tree.ink, config.model.tree.leak), "what is left to the images is filled in"
    tree = replace(expected.model.tree, ink=config.model.tree.ink, leak=config.model.tree.leak)
    assert config == replace(expected, model=replace(expected.model, tree=tree))
    assert isinstance(config, Config)
    assert set(yaml.safe_load((run / "config.yaml").read_text())) == set(vars(config))


def test_metrics(digits_run):
    rows = read_metrics(digits_run[0] / "metrics.csv")
    assert tuple(rows[0]) == COLUMNS
    trained = [row for row in rows if row["loss"]]
    assert [row["step"] for row in trained] == ["2", "4"]
    assert all(math.isfinite(float(value)) for row in rows for value in row.values() if value)
    assert rows[-1]["validation_neg_elbo"]


def test_the_last_lines_name_run_and_figures(digits_run):
    run, done = digits_run
    *_, test, speed, directory, figures = done.lines
    summary = summary_of(run)
    assert test.startswith(f"test: -ELBO {summary['neg_elbo']:.2f} nats per image")
    assert test.endswith(f"distinct parts {summary['distinct_parts']:.3f}")
    assert speed.startswith("4 steps, ")
    assert directory == f"run directory: {run}"
    named = figures.removeprefix("figures: ").split()
    assert sorted(named) == [str(run / "figures" / name) for name in FIGURES]


def test_weights_are_the_checkpoint_s(digits_run):
    run, _ = digits_run
    weights = load_file(run / "model.safetensors")
    checkpoint = load_checkpoint(run / "checkpoint.pt")["weights"]
    # A tree that guide and model share has two names in the checkpoint, and one in the file.
    assert weights.keys() <= checkpoint.keys()
    assert all(torch.equal(weights[name], checkpoint[name]) for name in weights)
    assert all(any(torch.equal(value, one) for one in weights.values()) for value in checkpoint.values())


@pytest.mark.thorough
def test_flat_baseline(vae_run):
    run, done = vae_run
    summary = summary_of(run)
    assert summary["distinct_parts"] is None
    assert sorted(summary) == sorted(ASKED + EXTRA)
    assert "distinct parts" not in done.out
    drawn = sorted(path.name for path in (run / "figures").iterdir())
    assert drawn == ["reconstructions.png", "training_curves.png"]
    assert all(interesting(run / "figures" / name) for name in drawn)


@pytest.mark.thorough
def test_colour_pictures_take_the_normal_likelihood(colour_run, colour):
    run, _ = colour_run
    assert files(run) == FILES
    assert summary_of(run)["data"] == f"folder:{colour}"
    weights = load_file(run / "model.safetensors")
    assert weights["guide.encoder.blocks.0.first.weight"].shape[1] == 3
    # At standard deviation 0.3162 a pixel costs at most 0.9 nats below its best; 432 of them never reach a Bernoulli's.
    assert summary_of(run)["neg_elbo"] < 0
    assert all(interesting(run / "figures" / name) for name in FIGURES)
    parse = np.asarray(Image.open(run / "figures" / "reconstructions.png").convert("RGB"), dtype=int)
    assert np.abs(parse[..., 0] - parse[..., 2]).max() > 30


@pytest.mark.thorough
def test_grey_pictures_take_the_bernoulli(grey_run):
    run, _ = grey_run
    assert files(run) == FILES
    assert summary_of(run)["test_images"] == 2
    assert summary_of(run)["neg_elbo"] > 0
    assert load_file(run / "model.safetensors")["guide.encoder.blocks.0.first.weight"].shape[1] == 1
    assert all(interesting(run / "figures" / name) for name in FIGURES)


@pytest.mark.thorough
@pytest.mark.usefixtures("no_figures")
def test_colour_pictures_with_a_bernoulli_on_request(train, tmp_path, colour):
    assert train(f"--data=folder:{colour}", "--model.likelihood=bernoulli").status == 0
    assert summary_of(tmp_path / "run")["neg_elbo"] > 0


@pytest.mark.thorough
def test_one_level(train, tmp_path, grey):
    train(f"--data=folder:{grey}", "--model.tree.num_steps=[3]", "--model.tree.canvas_sizes=[]")
    assert sorted(path.name for path in (tmp_path / "run/figures").iterdir()) == FIGURES


@pytest.mark.thorough
def test_three_levels(train, tmp_path, grey):
    train(f"--data=folder:{grey}", "--model.tree.num_steps=[2,2,2]", "--model.tree.canvas_sizes=[8,6]")
    assert sorted(path.name for path in (tmp_path / "run/figures").iterdir()) == FIGURES


@pytest.mark.thorough
@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_precisions(train, tmp_path, grey, precision):
    assert train(f"--data=folder:{grey}", f"--fabric.precision={precision}").status == 0
    assert math.isfinite(summary_of(tmp_path / "run")["neg_elbo"])


@pytest.mark.thorough
@pytest.mark.usefixtures("no_figures")
def test_the_run_is_named_after_preset_and_time(call, tiny, tmp_path, grey, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call("train_svi", *tiny, "--train.steps=1", f"--data=folder:{grey}")
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.startswith("quickstart-20")
    assert done.lines[-2] == f"run directory: runs/{run.name}"
    assert yaml.safe_load((run / "config.yaml").read_text())["run"] == f"runs/{run.name}"


def test_no_temporary_files_are_left(digits_run):
    assert not list(digits_run[0].rglob(".*"))


@pytest.mark.thorough
@pytest.mark.usefixtures("no_figures")
def test_evaluation_is_the_same_for_every_seed_of_training(train, tmp_path, grey, monkeypatch):
    """Two runs are compared on the same binary pixels."""
    seen = []
    fixed = Pair.prepare_fixed

    def watch(pair, images, seed=0):
        seen.append(fixed(pair, images, seed))
        return seen[-1]

    monkeypatch.setattr(Pair, "prepare_fixed", watch)
    train(f"--data=folder:{grey}", "--seed=1")
    first, seen[:] = list(seen), []
    shutil.rmtree(tmp_path / "run")
    train(f"--data=folder:{grey}", "--seed=2")
    assert len(first) == len(seen) > 1
    assert all(torch.equal(one, other) for one, other in zip(first, seen, strict=True))


# As users start it


@pytest.mark.thorough
def test_as_a_process_of_its_own(tmp_path):
    """One line on standard error, exit status 2, no traceback, nothing written; from any directory."""
    (tmp_path / "empty").mkdir()
    command = [sys.executable, "-m", "examples.train_svi", "--data", "folder:empty"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: expected at least 4 images")
    assert done.stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]


def test_packages_are_the_installed_ones():
    assert set(report.versions()) == set(report.PACKAGES)
