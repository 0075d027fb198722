"""Opening a finished run."""

import pytest
import torch
import yaml

from rnp_pyro.api.opening import open_trained, read_settings
from rnp_pyro.api.settings import config_parser, parse_config
from rnp_pyro.checkpoint import load_checkpoint
from rnp_pyro.errors import UserError


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["digits_run", "vae_run", "colour_run"])
def test_a_run_comes_back_as_it_was(request, name):
    path, _ = request.getfixturevalue(name)
    run = open_trained(path)
    assert run.path == path
    assert run.config == parse_config(config_parser("train_svi", ""), [], base=path / "config.yaml")[0]
    assert run.config.run == str(path)
    assert run.data.name == run.config.data
    weights, trained = run.pair.modules.state_dict(), load_checkpoint(path / "checkpoint.pt")["weights"]
    assert weights.keys() == trained.keys()
    assert all(torch.equal(weights[name], trained[name]) for name in weights)
    assert {value.device.type for value in weights.values()} == {"cpu"}


@pytest.mark.thorough
def test_the_generators_are_left_alone(grey_run):
    before = torch.get_rng_state()
    open_trained(grey_run[0])
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.thorough
@pytest.mark.usefixtures("no_figures")
def test_averaged_weights_are_the_run_s(train, tmp_path, grey):
    train(f"--data=folder:{grey}", "--train.ema=0.9", "--train.learning_rate=0.01")
    path = tmp_path / "run"
    weights = open_trained(path).pair.modules.state_dict()
    state = load_checkpoint(path / "checkpoint.pt")
    averaged = {name.removeprefix("module."): value for name, value in state["average"].items()}
    assert all(torch.equal(weights[name], averaged[name]) for name in weights)
    assert any(not torch.equal(weights[name], state["weights"][name]) for name in weights)


def test_no_run(tmp_path, grey):
    for path in (tmp_path, tmp_path / "nowhere", grey, grey / "000.png"):
        with pytest.raises(UserError, match=r"expected a run directory with a config.yaml"):
            open_trained(path)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize(
    "content", [b"", b"\x80\xff", b"a: [", b"nope: 3\n", b"seed: x\n", b"model: 3\n", b"- 1\n", b"preset: mnist\n"]
)
def test_damaged_settings(finished, content):
    (finished / "config.yaml").write_bytes(content)
    with pytest.raises(UserError) as caught:
        read_settings(finished)
    assert str(finished / "config.yaml") in str(caught.value)


@pytest.mark.thorough
def test_settings_of_another_model(finished):
    settings = yaml.safe_load((finished / "config.yaml").read_text())
    settings["model"]["latent_size"] = 5
    (finished / "config.yaml").write_text(yaml.safe_dump(settings))
    with pytest.raises(UserError, match="damaged or of another model"):
        open_trained(finished)


@pytest.mark.thorough
def test_images_that_have_gone(finished, tmp_path):
    settings = yaml.safe_load((finished / "config.yaml").read_text())
    settings["data"] = f"folder:{tmp_path / 'gone'}"
    (finished / "config.yaml").write_text(yaml.safe_dump(settings))
    run = open_trained(finished)
    with pytest.raises(UserError, match=r"expected a folder of images.*say where they are with --data"):
        _ = run.data


def test_no_weights_yet(finished):
    (finished / "model.safetensors").unlink()
    with pytest.raises(UserError, match=f"go on with python -m examples.train_svi --resume {finished}"):
        open_trained(finished)
