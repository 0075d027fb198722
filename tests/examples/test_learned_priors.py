"""A run with each learned prior, from training to the commands that open it."""

from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from test_commands import COMMANDS

from rnp_pyro.api.opening import open_trained

OBJECTIVES = {
    "flow": (),
    "mixture": ("--train.objective=iwae_dreg", "--train.num_particles=2"),
}
"""The prior with the commands' default objective, and with another."""


@pytest.fixture(scope="module", params=OBJECTIVES)
def run(train_run, mnist: Path, request: pytest.FixtureRequest) -> Path:
    """A program with the root alone random, as the reference posterior wants it."""
    prior = request.param
    options = (f"--model.prior={prior}", "--guide.name=resnet", "--data=mnist", f"--data_dir={mnist}")
    return train_run(f"prior_{prior}", *options, *OBJECTIVES[prior])[0]


@pytest.mark.thorough
def test_training_moved_it_and_it_opens_as_it_was(run):
    config = yaml.safe_load((run / "config.yaml").read_text())
    assert config["model"]["prior"] in run.name
    assert config["train"]["objective"] == ("analytic_kl" if config["model"]["prior"] == "flow" else "iwae_dreg")
    pair = open_trained(run).pair
    z = torch.randn(5, 4)
    found = pair.model.prior(z).log_prob(z)
    assert found.isfinite().all()
    assert not torch.allclose(found, torch.distributions.Normal(0, 1).log_prob(z).sum(-1), atol=1e-5)


@pytest.mark.thorough
def test_samples_at_temperature_zero_are_the_priors_middle(run, call, tmp_path):
    assert call("sample", run, "--num=9", "--temperature=0", "--out", tmp_path / "out").status == 0
    with np.load(tmp_path / "out" / "samples.npz") as file:
        z = torch.from_numpy(file["z.2"])
    prior = open_trained(run).pair.model.prior(z)
    if "flow" in run.name:
        middle = prior.base_dist.mean
        for transform in prior.transforms:
            middle = transform(middle)
        torch.testing.assert_close(z, middle.detach().expand_as(z))
    else:
        nearest = (z[:, None] - prior.component_distribution.mean).abs().amax(-1).amin(-1)
        assert nearest.max() < 1e-5


@pytest.mark.parametrize(
    "command", ["evaluate", "parse", "edit", "encode", "compare_completions", "reference_posterior"]
)
@pytest.mark.thorough
def test_commands_take_it(run, call, tmp_path, command):
    options = [one.format(run=run, folder=tmp_path) for one in COMMANDS[command]]
    assert call(command, *options).status == 0


@pytest.mark.thorough
def test_a_run_starts_from_another_prior(run, train, mnist):
    """What both have is taken; the other's own is named as left, and here as new."""
    other = "normal" if "flow" in run.name else "flow"
    done = train("--init", run, f"--model.prior={other}", "--guide.name=resnet", "--data=mnist", f"--data_dir={mnist}")
    told = [line for line in (*done.lines, *done.err.splitlines()) if line.startswith("init: ")]
    assert any(line.startswith("init: left in") and "model.prior" in line for line in told)
    assert any(line.startswith("init: new, not there") and "model.prior" in line for line in told) == (other == "flow")


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--model.prior=vamp"], "--model.prior: expected normal, flow or mixture, got vamp"),
        (["--guide.name=flow", "--guide.root=diagonal"], "expected --guide.name resnet --guide.root diagonal"),
    ],
)
def test_what_does_not_fit_is_refused(refused, tmp_path, options, expected):
    assert expected in refused("train_svi", "--run", tmp_path / "run", *options)
