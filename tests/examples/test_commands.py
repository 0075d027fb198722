"""Every command and every preset runs, at least for a moment."""

import json
from pathlib import Path

import pytest
import yaml

import examples
from rnp_pyro.api.settings import preset_names

COMMANDS = {
    "tiny_rnp": ["--steps=2", "--out={folder}/tiny.png"],
    "train_svi": ["--help"],  # trained for real below and in test_train_svi.py
    "prepare_data": ["--help"],  # called for real in test_prepare_data.py
    "benchmark": ["--batch_size=2", "--rounds=2", "--growth=false", "--json={folder}/benchmark.json"],
    "compare_runs": ["--first", "{run}", "{other}", "--second", "{twin}", "{other_twin}"],
    "cost_model": ["--batch_size=1", "--rounds=3"],
    "evaluate": ["{run}", "--particles=3", "--images=2", "--json={folder}/numbers.json"],
    "ablate_guides": [
        *("--out={folder}/ablation", "--minutes=0.005", "--guides=[resnet,ladder]", "--seeds=[0]"),
        *("--particles=2", "--images=2"),
        "--set=['image_size=8','model.latent_size=4','model.tree.hypernet_size=8','model.tree.hidden_size=8']",
    ],
    "score_samples": ["{run}", "--num=12", "--steps=3"],
    "topography": ["{run}", "--images=12", "--clusters=3", "--out={folder}/out"],
    "interpolate": [
        *("{run}", "--images=12", "--clusters=3", "--pairs=1", "--steps=3", "--particles=2", "--out={folder}/out"),
    ],
    "transfer": ["{run}", "--new=mnist-sample", "--counts", "2", "--steps=2", "--images=4", "--out={folder}/out"],
    "encode": ["{run}", "--out={folder}/codes.npz", "--limit=2"],
    "play": ["--help"],  # served for real in test_play.py
    "parse": ["{run}", "--index", "0", "--out={folder}/out"],
    "sample": ["{run}", "--num=4", "--out={folder}/out"],
    "edit": ["{run}", "truncate", "--index", "0", "--out={folder}/out"],
    "compare_completions": ["{run}", "{run}", "--images=1", "--particles=8", "--rounds=1"],
    "reference_posterior": [
        *("{run}", "--images", "1", "--chains=2", "--warmup=2", "--draws=4", "--population=2", "--particles=30"),
        *("--climb=1", "--bound_draws=2", "--processes=1"),
    ],
}
"""Arguments of a short call of each command; a new command needs a line here."""


def test_every_command_is_here():
    files = Path(examples.__file__).parent.glob("*.py")
    assert {file.stem for file in files if "__main__" in file.read_text()} == set(COMMANDS)


def with_seed(run: Path, seed: int, path: Path) -> Path:
    """Pretend that a run was trained with another seed."""
    path.mkdir()
    for file in ("config.yaml", "summary.json"):
        settings = yaml.safe_load((run / file).read_text()) | {"seed": seed}
        (path / file).write_text(json.dumps(settings))  # JSON is YAML
    return path


@pytest.mark.thorough
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_runs(call, digits_run, tmp_path, name):
    seeds = {"other": 7, "twin": 0, "other_twin": 7}
    runs = {copy: with_seed(digits_run[0], seed, tmp_path / copy) for copy, seed in seeds.items()}
    arguments = [argument.format(run=digits_run[0], folder=tmp_path, **runs) for argument in COMMANDS[name]]
    done = call(name, *arguments)
    assert done.status == 0, done
    assert not [line for line in done.err.splitlines() if "the posterior has collapsed" not in line]  # in two steps
    assert done.out


@pytest.mark.thorough_after(10)
@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_has_help(call, name):
    assert call(name, "--help").out.startswith(f"usage: python -m examples.{name}")


@pytest.mark.thorough
@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("name", preset_names())
def test_every_preset_takes_two_steps(call, mnist, tmp_path, name):
    """At full size, on a few real digits."""
    data = "--data=mnist", f"--data_dir={mnist}", "--train.validation_images=3"
    done = call("train_svi", "--preset", name, *data, "--train.steps=2", "--run", tmp_path / "run")
    assert done.status == 0, done
    summary = json.loads((tmp_path / "run/summary.json").read_text())
    assert summary["steps"] == 2
    assert summary["data"] == "mnist"
    assert 0 < summary["mse"] < 10
