"""The training command, end to end on tiny runs: files, resuming, and every kind of bad input."""

import json
import math
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from PIL import Image
from safetensors.torch import load_file

from examples.shared import report
from examples.shared.cli import config_parser, parse_config
from examples.shared.pair import Pair
from inference.training.task import COLUMNS
from rnp_pyro.checkpoint import load_checkpoint, read_metrics
from rnp_pyro.config import Config

FILES = ["checkpoint.pt", "config.yaml", "figures", "metrics.csv", "model.safetensors", "summary.json"]
FIGURES = ["parse.png", "prior_samples.png", "reconstructions.png", "training_curves.png"]
UNDRAWN = [name for name in FILES if name != "figures"]
ASKED = [
    "neg_elbo", "reconstruction", "kl", "mse", "distinct_parts",
    "images_per_second", "seconds", "data", "seed", "versions", "git_commit",
]  # fmt: skip
EXTRA = ["steps", "test_images"]


def summary_of(run: Path) -> dict:
    return json.loads((run / "summary.json").read_text())


def files(run: Path) -> list[str]:
    """Names in a run directory, without what TensorBoard adds where it is installed."""
    return sorted(path.name for path in run.iterdir() if path.name != "tensorboard")


def interesting(picture: Path) -> bool:
    """Whether an image file shows more than one flat colour."""
    pixels = np.asarray(Image.open(picture).convert("L"), dtype=float)
    return min(pixels.shape) > 50 and pixels.std() > 2 and len(np.unique(pixels)) > 10


# A run directory


def test_files(sample_run):
    run, _ = sample_run
    assert files(run) == FILES
    assert sorted(path.name for path in (run / "figures").iterdir()) == FIGURES


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_worth_a_look(sample_run, name):
    assert interesting(sample_run[0] / "figures" / name)


def test_summary(sample_run):
    summary = summary_of(sample_run[0])
    assert sorted(summary) == sorted(ASKED + EXTRA)
    assert summary["neg_elbo"] == pytest.approx(summary["reconstruction"] + summary["kl"])
    assert summary["kl"] > 0
    assert 0 < summary["mse"] < 1
    assert 0 <= summary["distinct_parts"] <= 1
    assert summary["images_per_second"] > 0
    assert summary["seconds"] > 0
    assert (summary["data"], summary["seed"]) == ("mnist-sample", 0)
    assert (summary["steps"], summary["test_images"]) == (4, 2000)
    assert summary["versions"]["torch"] == torch.__version__.split("+")[0]
    assert summary["git_commit"] is None or len(summary["git_commit"].removesuffix("+")) == 40


def test_settings_can_be_read_back(sample_run, tiny):
    run, _ = sample_run
    parser = config_parser("train_svi", "")
    config, _, _ = parse_config(parser, [f"--config={run / 'config.yaml'}"])
    expected, _, _ = parse_config(parser, [*tiny, f"--run={run}", "--train.steps=4", "--data=mnist-sample"])
    assert config == expected
    assert isinstance(config, Config)
    assert set(yaml.safe_load((run / "config.yaml").read_text())) == set(vars(config))


def test_metrics(sample_run):
    rows = read_metrics(sample_run[0] / "metrics.csv")
    assert tuple(rows[0]) == COLUMNS
    trained = [row for row in rows if row["loss"]]
    assert [row["step"] for row in trained] == ["2", "4"]
    assert all(math.isfinite(float(value)) for row in rows for value in row.values() if value)
    assert rows[-1]["validation_neg_elbo"]


def test_the_last_lines_name_run_and_figures(sample_run):
    run, done = sample_run
    *_, test, speed, directory, figures = done.lines
    summary = summary_of(run)
    assert test.startswith(f"test: -ELBO {summary['neg_elbo']:.2f} nats per image")
    assert test.endswith(f"distinct parts {summary['distinct_parts']:.3f}")
    assert speed.startswith("4 steps, ")
    assert directory == f"run directory: {run}"
    named = figures.removeprefix("figures: ").split()
    assert sorted(named) == [str(run / "figures" / name) for name in FIGURES]


def test_weights_are_the_checkpoint_s(sample_run):
    run, _ = sample_run
    weights = load_file(run / "model.safetensors")
    checkpoint = load_checkpoint(run / "checkpoint.pt")["weights"]
    assert weights.keys() == checkpoint.keys()
    assert all(torch.equal(weights[name], checkpoint[name]) for name in weights)


def test_flat_baseline(vae_run):
    run, done = vae_run
    summary = summary_of(run)
    assert summary["distinct_parts"] is None
    assert sorted(summary) == sorted(ASKED + EXTRA)
    assert "distinct parts" not in done.out
    drawn = sorted(path.name for path in (run / "figures").iterdir())
    assert drawn == ["reconstructions.png", "training_curves.png"]
    assert all(interesting(run / "figures" / name) for name in drawn)


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


def test_grey_pictures_take_the_bernoulli(grey_run):
    run, _ = grey_run
    assert files(run) == FILES
    assert summary_of(run)["test_images"] == 2
    assert summary_of(run)["neg_elbo"] > 0
    assert load_file(run / "model.safetensors")["guide.encoder.blocks.0.first.weight"].shape[1] == 1
    assert all(interesting(run / "figures" / name) for name in FIGURES)


@pytest.mark.usefixtures("no_figures")
def test_colour_pictures_with_a_bernoulli_on_request(train, tmp_path, colour):
    assert train(f"--data=folder:{colour}", "--model.likelihood=bernoulli").status == 0
    assert summary_of(tmp_path / "run")["neg_elbo"] > 0


def test_one_level(train, tmp_path, grey):
    train(f"--data=folder:{grey}", "--model.tree.num_steps=[3]", "--model.tree.canvas_sizes=[]")
    assert sorted(path.name for path in (tmp_path / "run/figures").iterdir()) == FIGURES


def test_three_levels(train, tmp_path, grey):
    train(f"--data=folder:{grey}", "--model.tree.num_steps=[2,2,2]", "--model.tree.canvas_sizes=[8,6]")
    assert sorted(path.name for path in (tmp_path / "run/figures").iterdir()) == FIGURES


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("precision", ["bf16-mixed", "64-true"])
def test_precisions(train, tmp_path, grey, precision):
    assert train(f"--data=folder:{grey}", f"--fabric.precision={precision}").status == 0
    assert math.isfinite(summary_of(tmp_path / "run")["neg_elbo"])


@pytest.mark.usefixtures("no_figures")
def test_the_run_is_named_after_preset_and_time(call, tiny, tmp_path, grey, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = call("train_svi", *tiny, "--train.steps=1", f"--data=folder:{grey}")
    (run,) = (tmp_path / "runs").iterdir()
    assert run.name.startswith("quickstart-20")
    assert done.lines[-2] == f"run directory: runs/{run.name}"
    assert yaml.safe_load((run / "config.yaml").read_text())["run"] == f"runs/{run.name}"


def test_no_temporary_files_are_left(sample_run):
    assert not list(sample_run[0].rglob(".*"))


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


# Replaying and resuming


def weights_of(run: Path) -> dict[str, torch.Tensor]:
    return load_file(run / "model.safetensors")


def same(first: Path, second: Path) -> bool:
    one, other = weights_of(first), weights_of(second)
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


@pytest.mark.usefixtures("no_figures")
def test_a_minutes_run_is_replayed(train, tmp_path, grey):
    data = f"--data=folder:{grey}"
    assert train(data, "--train.steps=null", "--train.minutes=0.003").status == 0
    recorded = json.loads((tmp_path / "run/schedule.json").read_text())["progress"]
    assert len(recorded) == summary_of(tmp_path / "run")["steps"] >= 1
    done = train(
        data, f"--run={tmp_path / 'replay'}", "--train.steps=null", f"--train.schedule={tmp_path}/run/schedule.json"
    )
    assert done.status == 0
    assert same(tmp_path / "run", tmp_path / "replay")
    assert not (tmp_path / "replay/schedule.json").exists()


@pytest.fixture
def interrupts(monkeypatch) -> dict[int, int]:
    """Signals for this process by step: each is sent once, in the middle of that step, as Ctrl-C does."""
    plan: dict[int, int] = {}
    prepare = Pair.prepare

    def interrupted(pair, images, step):
        if step in plan:
            signal.raise_signal(plan.pop(step))
        return prepare(pair, images, step)

    monkeypatch.setattr(Pair, "prepare", interrupted)
    return plan


@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize(("number", "ema"), [(signal.SIGINT, 0.0), (signal.SIGTERM, 0.5)])
def test_an_interrupted_run_goes_on(train, call, interrupts, tmp_path, grey, number, ema):
    options = f"--data=folder:{grey}", f"--train.ema={ema}"
    run = tmp_path / "run"
    handler = signal.getsignal(number)
    interrupts[1] = number
    done = train(*options)
    assert done.lines[-1] == f"stopped at step 2; go on with: python -m examples.train_svi --resume {run}"
    assert signal.getsignal(number) == handler
    assert files(run) == ["checkpoint.pt", "config.yaml", "metrics.csv"]
    assert f"run directory: {run}" in call("train_svi", "--resume", run).lines
    assert files(run) == UNDRAWN
    train(*options, f"--run={tmp_path / 'whole'}")
    assert same(run, tmp_path / "whole")
    assert summary_of(run)["neg_elbo"] == summary_of(tmp_path / "whole")["neg_elbo"]
    steps = [row["step"] for row in read_metrics(run / "metrics.csv") if row["loss"]]
    assert steps == ["2", "4"]


def test_a_finished_run_is_not_resumed(call, finished):
    before = {path: path.stat().st_mtime_ns for path in finished.rglob("*")}
    message = call("train_svi", "--resume", finished).error
    assert message == f"the run {finished} has used its budget up: give a larger one, such as --train.minutes 10"
    assert {path: path.stat().st_mtime_ns for path in finished.rglob("*")} == before


@pytest.mark.usefixtures("no_figures")
def test_a_finished_run_goes_on_with_a_larger_budget(call, finished):
    assert call("train_svi", "--resume", finished, "--train.steps=6").status == 0
    assert summary_of(finished)["steps"] == 6
    config = yaml.safe_load((finished / "config.yaml").read_text())
    assert config["train"]["steps"] == 6


@pytest.mark.usefixtures("no_figures")
def test_a_finished_run_goes_on_with_another_kind_of_budget(call, finished):
    assert call("train_svi", "--resume", finished, "--train.epochs=3").status == 0
    assert summary_of(finished)["steps"] == math.ceil(3 * 21 / 8)


@pytest.mark.usefixtures("no_figures")
def test_a_run_that_was_cut_off_before_its_summary_is_reported(call, train, tmp_path, grey, monkeypatch):
    def cut_off(*arguments):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("examples.train_svi.draw_figures", cut_off)
        assert train(f"--data=folder:{grey}").status == 130
    run = tmp_path / "run"
    assert "summary.json" not in files(run)
    assert call("train_svi", "--resume", run).status == 0
    assert files(run) == UNDRAWN
    assert summary_of(run)["steps"] == 4


def unchanged(run: Path, call, *arguments: object) -> str:
    """Expect one line of error and the run as it was; give the line."""
    before = {path: path.read_bytes() for path in run.rglob("*") if path.is_file()}
    message = call("train_svi", "--resume", run, *arguments).error
    assert {path: path.read_bytes() for path in run.rglob("*") if path.is_file()} == before
    return message


@pytest.mark.parametrize("change", ["--model.latent_size=5", "--model.name=vae"])
def test_resuming_with_another_model(call, finished, change):
    message = unchanged(finished, call, "--train.steps=6", change)
    assert message.startswith(f"the checkpoint in {finished} is damaged or of another model")


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_resuming_from_a_damaged_checkpoint(call, finished, content):
    checkpoint = finished / "checkpoint.pt"
    checkpoint.write_bytes(checkpoint.read_bytes()[:1000] if content is None else content)
    assert unchanged(finished, call, "--train.steps=6").startswith(f"cannot load the checkpoint {checkpoint}")


def test_resuming_from_a_checkpoint_of_something_else(call, finished):
    torch.save({"something": torch.ones(2)}, finished / "checkpoint.pt")
    assert "is damaged or of another model" in unchanged(finished, call, "--train.steps=6")


@pytest.mark.parametrize("option", ["--preset=mnist", "--run=elsewhere"])
def test_resuming_with_another_start(call, finished, option):
    message = unchanged(finished, call, "--train.steps=6", option)
    assert message.startswith(f"--resume goes on in {finished} with its own settings")


def test_resuming_without_a_checkpoint(call, finished):
    (finished / "checkpoint.pt").unlink()
    assert "found none" in unchanged(finished, call, "--train.steps=6")


@pytest.mark.parametrize("content", [b"\x80\xff", b"a: [", b"seed: x\n", b"nope: 3\n", b""])
def test_resuming_with_damaged_settings(call, finished, content):
    (finished / "config.yaml").write_bytes(content)
    unchanged(finished, call)


def test_resuming_what_is_no_run(call, tmp_path, grey):
    for path in (tmp_path / "nothing", grey):
        message = call("train_svi", "--resume", path).error
        assert message == f"expected a run directory with a config.yaml, got {path}: name one that train_svi wrote"


# Bad input


def test_the_run_directory_exists(refuse, tmp_path, grey):
    (tmp_path / "run").mkdir()
    message = refuse(f"--data=folder:{grey}")
    assert message == (
        f"run directory {tmp_path / 'run'} exists: expected a new one; "
        f"choose another with --run, or go on with --resume {tmp_path / 'run'}"
    )


def test_the_run_directory_cannot_be_made(refuse, tmp_path, grey):
    (tmp_path / "file").touch()
    assert "cannot make the run directory" in refuse(f"--data=folder:{grey}", f"--run={tmp_path}/file/run")


@pytest.fixture
def pictures(save_images, tmp_path) -> Path:
    """A folder to spoil."""
    return save_images(tmp_path / "pictures", count=6)


def test_an_empty_folder(refuse, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "at least 4 images" in refuse(f"--data=folder:{tmp_path / 'empty'}")


def test_a_missing_folder(refuse, tmp_path):
    assert "does not exist" in refuse(f"--data=folder:{tmp_path / 'nowhere'}")


def test_a_text_file_among_the_images(train, pictures):
    (pictures / "notes.txt").write_text("not an image")
    done = train(f"--data=folder:{pictures}")
    assert done.status == 0
    assert "note: passed over 1 file that is no image: 1 .txt" in done.err


def test_a_text_file_that_is_named_as_an_image(refuse, pictures):
    (pictures / "notes.png").write_text("not an image")
    assert "notes.png" in refuse(f"--data=folder:{pictures}")


def test_an_image_of_0_bytes(refuse, pictures):
    (pictures / "zero.png").touch()
    assert "empty (0 bytes)" in refuse(f"--data=folder:{pictures}")


def test_a_truncated_image(refuse, pictures):
    content = (pictures / "000.png").read_bytes()
    (pictures / "000.png").write_bytes(content[: len(content) // 2])
    assert "truncated or damaged" in refuse(f"--data=folder:{pictures}")


@pytest.mark.usefixtures("no_figures")
def test_images_of_mixed_sizes(refuse, train, pictures, save_images):
    save_images(pictures / "more", count=6, size=(12, 20))
    assert "--mixed_sizes true" in refuse(f"--data=folder:{pictures}")
    assert train(f"--data=folder:{pictures}", "--mixed_sizes=true").status == 0


def test_a_truncated_archive(refuse, tmp_path, mnist):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mnist.npz").write_bytes((mnist / "mnist.npz").read_bytes()[:3000])
    message = refuse("--data=mnist", f"--data_dir={tmp_path / 'data'}")
    assert "mnist.npz" in message
    assert "cannot be read" in message


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--model.tree.canvas_sizes=[8,8]"], "canvas_sizes must give 1 sizes"),
        (["--model.tree.num_steps=[3]", "--model.tree.canvas_sizes=[8]"], "canvas_sizes must give 0 sizes"),
        (["--model.tree.num_steps=[]"], "num_steps must give at least 1 step"),
        (["--model.tree.num_steps=[3,0]"], "num_steps must give at least 1 step"),
        (["--model.tree.canvas_sizes=[0]"], "canvas_sizes must be at least 1"),
        (["--model.tree.patch_size=0"], "patch_size must be at least 1"),
        (["--model.latent_size=0"], "latent_size must be at least 1"),
        (["--model.tree.scale_limits=[[0.1,0.3],[0.1,0.3],[0.1,0.3]]"], "scale_limits must be 1 or 2 pairs"),
        (["--model.tree.scale_limits=[[0.2,2]]"], "a part must fit into its parent"),
        (["--image_size=2"], "at least 4 pixels"),
        (["--model.tree.composition=sum"], "a sum of parts may exceed 1, which the bernoulli likelihood cannot take"),
        (
            ["--model.tree.composition=sum", "--model.likelihood=continuous_bernoulli"],
            "a sum of parts may exceed 1, which the continuous_bernoulli likelihood cannot take",
        ),
        (["--model.tree.patch_activation=relu6"], "expected patch_activation sigmoid, got relu6"),
        (["--model.name=nope"], "--model.name: expected one of rnp, vae, got nope"),
        (["--guide.name=nope"], "--guide.name: expected one of resnet, full_rank, flow, ladder, got nope"),
        (["--seed=-1"], "--seed must be within [0, 2^63), got -1"),
        (["--seed=99999999999999999999"], "--seed must be within"),
        (["--train.kl_floor=0"], "--train.kl_floor must be above 0"),
        (["--train.ema=1"], "--train.ema must be at least 0 and below 1"),
        (["--train.batch_size=0"], "--train.batch_size must be at least 1"),
        (["--train.steps=0"], "--train.steps must be above 0"),
        (["--train.steps=null"], "expected one budget"),
        (["--train.minutes=1"], "expected one budget"),
        (["--fabric.accelerator=nope"], "--fabric: You selected an invalid accelerator name"),
        (["--fabric.devices=nope"], "--fabric: `devices`"),
        (["--fabric.precision=bf16-true"], "--fabric.precision: expected one of 32-true, bf16-mixed"),
    ],
)
def test_settings_that_do_not_fit(refuse, grey, arguments, expected):
    assert expected in refuse(f"--data=folder:{grey}", *arguments)


@pytest.mark.parametrize("data", ["nope", "folder", "folder:", "mnist:3", ""])
def test_unknown_data(refuse, data):
    assert refuse(f"--data={data}").startswith("expected a data set, one of mnist-sample")


@pytest.mark.parametrize("content", ["{}", "[0.5]", '{"progress": []}', '{"progress": ["a"]}', '"x"', "no json"])
def test_a_schedule_that_is_none(refuse, tmp_path, grey, content):
    (tmp_path / "schedule.json").write_text(content)
    options = f"--data=folder:{grey}", "--train.steps=null", f"--train.schedule={tmp_path / 'schedule.json'}"
    assert refuse(*options).startswith("expected ")
    assert refuse(*options[:2], f"--train.schedule={tmp_path / 'nowhere.json'}").startswith("cannot read ")
    assert refuse(*options, "--train.minutes=1") == "--train.schedule is a budget itself: leave --train.minutes out"


def test_a_loss_that_is_not_finite_leaves_a_checkpoint(train, tmp_path, grey):
    done = train(f"--data=folder:{grey}", "--train.steps=50", "--train.learning_rate=1e30", "--train.lr_warmup=0")
    assert done.status == 2
    assert "is not finite" in done.err
    assert done.err.count("\n") == 1
    state = load_checkpoint(tmp_path / "run/checkpoint.pt")
    assert 0 < state["step"] < 50
    assert "model.safetensors" not in files(tmp_path / "run")


# As users start it


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
