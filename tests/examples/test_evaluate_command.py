"""The evaluation of a run: what it prints and writes, and every kind of bad input."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from examples.evaluation import evaluate, shares
from examples.evaluation.config import EvaluateConfig
from examples.evaluation.evaluate import main
from inference.arviz_export import read_netcdf
from inference.importance import Sampling, bound, log_weights
from rnp_pyro.api.opening import open_trained
from rnp_pyro.api.report import EVALUATION_SEED

KEYS = [
    "neg_elbo", "nll", "nll_standard_error", "nll_psis", "nll_psis_standard_error", "kl", "kl_standard_error",
    "squared_error", "mse", "khat", "khat_above_0.7", "khat_undefined", "ess", "active_dimensions", "seconds",
    "nll_by_image", "particles", "images", "split", "data", "fingerprint", "image_shape", "likelihood", "refine_steps",
    "refine_rate", "refine_num_particles", "run", "versions", "git_commit", "seed", "classes",
]  # fmt: skip


@pytest.fixture
def refuse(refused):
    """Expect one line of error, and every file as it was; return the line."""
    return partial(refused, "evaluate")


def timeless(text: str) -> str:
    return "\n".join(line for line in text.splitlines() if not line.endswith("seconds"))


@pytest.mark.thorough
def test_what_it_prints_and_writes(call, digits_run, tmp_path: Path):
    file = tmp_path / "numbers.json"
    done = call("evaluate", digits_run[0], "--particles=40", "--images=5", "--json", file)
    numbers = json.loads(file.read_text())
    assert list(numbers) == KEYS
    assert list(numbers["nll"]) == list(numbers["nll_standard_error"]) == ["1", "10", "40"]
    assert list(numbers["khat"]) == ["0.05", "0.25", "0.5", "0.75", "0.95"]
    assert numbers["nll"]["1"] == numbers["neg_elbo"] > numbers["nll"]["10"] > numbers["nll"]["40"]
    assert numbers["mse"] * 144 == pytest.approx(numbers["squared_error"])
    assert (numbers["images"], numbers["particles"], numbers["data"]) == (5, 40, "mnist")
    assert 0 <= numbers["active_dimensions"] <= 4
    assert done.err == ""
    for said in (
        "5 test images of mnist, 40 particles each, seed 0",
        f"-ELBO {numbers['neg_elbo']:.2f} +-",
        f"K = 40  {numbers['nll']['40']:.2f} +-",
        f"KL {numbers['kl']:.2f} +-",
        f"squared error {numbers['squared_error']:.3f} per image, {numbers['mse']:.5f} per pixel",
        "Pareto k-hat: 5% ",
        "above 0.7 in ",
        f"active latent dimensions: {numbers['active_dimensions']} of 4",
        " seconds\n",
        f"wrote {file}\n",
    ):
        assert said in done.out
    assert "to be trusted" in done.out or "can be trusted" in done.out


@pytest.mark.thorough
def test_bounds_are_those_of_the_run(digits_run):
    """On the very pixels that the summary was measured on, whatever the seed of the particles."""
    numbers = main(EvaluateConfig(str(digits_run[0]), particles=20, images=4, seed=9))
    pair, data = (run := open_trained(digits_run[0])).pair, run.data
    images = pair.prepare_fixed(data.test[:4], EVALUATION_SEED)
    expected = -bound(log_weights(pair.model, pair.guide, images, Sampling(20, 9)), 10).mean()
    assert numbers["nll"]["10"] == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.thorough
def test_refined_posteriors_have_tighter_bounds(call, digits_run, tmp_path: Path):
    bounds = []
    for steps in (0, 20):
        done = call(
            "evaluate",
            digits_run[0],
            "--particles=64",
            "--images=4",
            f"--refine_steps={steps}",
            f"--json={tmp_path / str(steps)}",
        )
        assert ("each posterior refined by 20 gradient steps" in done.out) == (steps == 20)
        numbers = json.loads((tmp_path / str(steps)).read_text())
        assert numbers["refine_steps"] == steps
        bounds.append(numbers["neg_elbo"])
    assert bounds[1] < bounds[0] - 1


@pytest.mark.thorough
def test_a_baseline_is_compared_image_by_image(call, digits_run, tmp_path: Path):
    files = [tmp_path / f"{steps}.json" for steps in (0, 10)]
    given = [digits_run[0], "--particles=40", "--images=4"]
    call("evaluate", *given, f"--json={files[0]}")
    done = call("evaluate", *given, "--refine_steps=10", f"--json={files[1]}", f"--baseline={files[0]}")
    before, after = (json.loads(file.read_text()) for file in files)
    difference = torch.tensor(after["nll_by_image"]) - torch.tensor(before["nll_by_image"])
    assert after["difference_to_baseline"] == pytest.approx(difference.mean().item(), abs=1e-4)
    assert after["difference_to_baseline"] == pytest.approx(after["nll"]["40"] - before["nll"]["40"], abs=1e-4)
    assert after["difference_to_baseline_standard_error"] == pytest.approx(difference.std().item() / 2, abs=1e-4)
    assert f"K = 40 less that of {files[0]}: {difference.mean():.2f} +- " in done.out


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--images": 3}, "--baseline: expected one with images 3, as here, got 4"),
        ({"--particles": 41}, "--baseline: expected one with particles 41, as here, got 40"),
        ({"--split": "train"}, "--baseline: expected one with split train, fingerprint "),
        ({"likelihood": "normal"}, "--baseline: expected one with likelihood bernoulli, as here, got normal"),
        (
            {"image_shape": [1, 16, 16]},
            "--baseline: expected one with image_shape [1, 12, 12], as here, got [1, 16, 16]",
        ),
        ({"nll_by_image": [1.0, 2.0]}, "expected a finite bound for each image in nll_by_image"),
        ({"nll_by_image": [1.0, 2.0, None, 3.0]}, "expected a finite bound for each image in nll_by_image"),
        ({"nll_by_image": "1234"}, "expected a finite bound for each image in nll_by_image"),
        ({"fingerprint": "other"}, "as here, got other: evaluate both runs with the same options, on the same data"),
        ({"--baseline": "none.json"}, "cannot read none.json: No such file"),
        ({"--baseline": "config.json"}, "expected a JSON file that evaluate wrote, got "),
    ],
)
def test_a_baseline_that_does_not_fit(call, digits_run, tmp_path: Path, changes: dict, message: str):
    file, other = tmp_path / "baseline.json", tmp_path / "config.json"
    other.write_text("{}")
    call("evaluate", digits_run[0], "--particles=40", "--images=4", f"--json={file}")
    options = {"--particles": 40, "--images": 4, "--baseline": file}
    for key, value in changes.items():
        if key.startswith("--"):
            options[key] = other if value == "config.json" else value
        else:
            file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    assert message in call("evaluate", digits_run[0], *(f"{key}={value}" for key, value in options.items())).error


@pytest.mark.thorough
def test_a_run_trained_refined_is_used_refined(call, digits_run, tmp_path: Path):
    run = tmp_path / "run"
    settings = ["--config", digits_run[0] / "config.yaml", "--run", run, "--guide.refine_steps=1", "--train.steps=2"]
    call("train_svi", *settings)
    assert "refined by 1 gradient steps" in call("evaluate", run, "--particles=4", "--images=4").out
    assert "refined by" not in call("evaluate", run, "--particles=4", "--images=4", "--refine_steps=0").out
    call("train_svi", "--resume", run, "--train.steps=3")
    call("parse", run, "--index", "0", "--out", tmp_path / "parse")
    assert (tmp_path / "parse").is_dir()


@pytest.mark.thorough
def test_run_twice_it_prints_the_same(call, digits_run):
    arguments = digits_run[0], "--particles=30", "--images=4"
    one, other = (call("evaluate", *arguments) for _ in range(2))
    assert timeless(one.out) == timeless(other.out)
    assert timeless(call("evaluate", *arguments, "--seed=1").out) != timeless(one.out)


@pytest.mark.thorough
@pytest.mark.parametrize("split", ["test", "train", "validation"])
def test_splits_that_are_shorter_than_asked_for(call, grey_run, split: str):
    done = call("evaluate", grey_run[0], "--particles=2", f"--split={split}")
    number = {"test": 2, "train": 21, "validation": 1}[split]
    assert done.lines[0].startswith(f"{number} {split} images of folder:")
    assert "k-hat needs at least 30 particles" in done.out


@pytest.mark.thorough
def test_flat_baseline_and_colour(call, vae_run, colour_run):
    for run in (vae_run, colour_run):
        done = call("evaluate", run[0], "--particles=30", "--images=2")
        assert "-ELBO" in done.lines[1]
        assert "  K = 30  " in done.out


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["digits_run", "vae_run", "colour_run"])
def test_arviz(call, request, tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("inference.arviz_export.NUM_DRAWS", 6)
    run, file = request.getfixturevalue(name)[0], tmp_path / "run.nc"
    done = call("evaluate", run, "--particles=40", "--images=3", "--arviz", file)
    written = ["run.nc", "run_khat.png", "run_posterior_predictive.png"]
    assert sorted(path.name for path in tmp_path.iterdir()) == written
    assert done.lines[-1] == "wrote " + " ".join(str(tmp_path / name) for name in written)
    groups = read_netcdf(file)
    assert groups["sample_stats"].sizes["draw"] == 40
    assert {"posterior", "posterior_predictive", "prior", "prior_predictive", "log_likelihood"} < set(groups)
    for figure in written[1:]:
        with Image.open(tmp_path / figure) as picture:
            assert min(picture.size) > 300


@pytest.mark.thorough
def test_weights_of_the_first_images_are_saved(digits_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(evaluate, "MOST_SAVED", 100)
    monkeypatch.setattr("inference.arviz_export.NUM_DRAWS", 2)
    main(EvaluateConfig(str(digits_run[0]), particles=40, images=5, arviz=str(tmp_path / "run.nc")))
    assert read_netcdf(tmp_path / "run.nc")["sample_stats"].sizes["image"] == 2


# -- bad input


@pytest.mark.thorough
def test_weights_that_are_not_finite(refuse, finished):
    run = open_trained(finished)
    with torch.no_grad():
        for parameter in run.pair.model.parameters():
            parameter.fill_(np.nan)
    from rnp_pyro.checkpoint import save_weights

    save_weights(run.pair.modules, finished / "model.safetensors")
    assert "is not finite; the run diverged or was changed" in refuse(finished, "--particles=2")


def numbers(digits_run, tmp_path: Path, **options: object) -> dict:
    found = main(EvaluateConfig(str(digits_run[0]), particles=40, images=11, arviz=str(tmp_path / "x.nc"), **options))
    for path in tmp_path.iterdir():
        path.unlink()
    return {name: value for name, value in found.items() if "second" not in name}


@pytest.mark.thorough
def test_shares_of_the_images_are_weighed_as_all_of_them(digits_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """An image's draws are named by its place in the split, wherever it is weighed."""

    def here(work, pieces, processes, advance):
        assert len(pieces) > 2
        return [work(piece, advance) for piece in reversed(pieces)]

    monkeypatch.setattr(shares, "run_pieces", here)
    assert numbers(digits_run, tmp_path, processes=3) == numbers(digits_run, tmp_path)


@pytest.mark.distributed
@pytest.mark.slow
def test_processes_share_the_images(digits_run, tmp_path: Path):
    assert numbers(digits_run, tmp_path, processes=2) == numbers(digits_run, tmp_path)


@pytest.mark.thorough_after(2)
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--particles=0"], "--particles must be within 1 to 10,000,000, got 0"),
        (["--particles=1000000000000"], "--particles must be within 1 to 10,000,000, got 1,000,000,000,000"),
        (["--refine_rate=0.1"], "--refine_rate is for refined posteriors: ask for them with --refine_steps"),
        (["--refine_steps=0", "--refine_particles=2"], "--refine_particles is for refined posteriors"),
        (["--processes=0"], "--processes must be within 1 to 1024, got 0"),
        (["--images=0"], "--images must be at least 1, got 0"),
        (["--images=-1"], "--images must be at least 1, got -1"),
    ],
)
def test_options_that_do_not_fit(refuse, digits_run, options, expected):
    assert expected in refuse(digits_run[0], *options)


@pytest.mark.thorough
def test_more_particles_than_are_decoded_side_by_side(call, digits_run):
    """Chunked: memory does not grow with them."""
    assert "  K = 700  " in call("evaluate", digits_run[0], "--particles=700", "--images=1").out


def test_too_many_particles_to_save(refuse, digits_run, tmp_path: Path):
    message = refuse(digits_run[0], "--particles=100001", "--arviz", tmp_path / "run.nc")
    assert message == "--arviz takes at most 100,000 --particles, got 100,001"


@pytest.mark.parametrize("name", [".", "/", ""])
def test_an_arviz_file_without_a_name(refuse, digits_run, name: str):
    assert "expected a file to write with --arviz" in refuse(digits_run[0], f"--arviz={name}")


def test_figures_beside_the_netcdf_file_are_not_overwritten_either(refuse, digits_run, tmp_path: Path):
    (tmp_path / "run_khat.png").write_bytes(b"precious")
    assert "run_khat.png exists" in refuse(digits_run[0], "--arviz", tmp_path / "run.nc")


def test_one_file_for_both(refuse, digits_run, tmp_path: Path):
    file = tmp_path / "file"
    assert "must be different files" in refuse(digits_run[0], "--json", file, "--arviz", file)


@pytest.mark.thorough
def test_files_are_replaced_if_asked_for(call, digits_run, tmp_path: Path):
    file = tmp_path / "numbers.json"
    file.write_text("old")
    call("evaluate", digits_run[0], "--particles=1", "--images=1", "--json", file, "--overwrite=true")
    assert json.loads(file.read_text())["particles"] == 1


@pytest.mark.thorough
def test_a_disk_that_is_full(call, digits_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """The numbers are on the screen all the same."""

    def full(path, value):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(evaluate, "write_json", full)
    file = tmp_path / "numbers.json"
    done = call("evaluate", digits_run[0], "--particles=1", "--images=1", "--json", file)
    assert done.status == 2
    assert done.err == f"error: cannot write to {file}: No space left on device\n"
    assert "-ELBO" in done.out
    assert not list(tmp_path.iterdir())


def test_help_names_every_option(call):
    text = call("evaluate", "--help").out
    for option in ("RUN", "--particles", "--images", "--split", "--seed", "--json", "--arviz", "--accelerator"):
        assert option in text
