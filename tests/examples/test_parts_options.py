"""Options of train_svi for parts and for another run's weights, as a user meets them."""

import json
from functools import partial

import pytest
import torch
from safetensors.torch import load_file

from rnp_pyro.api.opening import open_trained


@pytest.mark.thorough
@pytest.mark.usefixtures("no_figures")
def test_a_guide_is_adapted_to_a_model_that_stays_as_it_is(train, digits_run, mnist, tmp_path):
    given = ("--data=mnist", f"--data_dir={mnist}", "--model.node_latents=none")
    done = train(*given, "--init", digits_run[0], "--train.only=guide", "--train.steps=6", "--train.ema=0.5")
    assert done.status == 0
    assert f"taken from {digits_run[0]}: model.*, guide.*" in done.err
    before, after = (load_file(path / "model.safetensors") for path in (digits_run[0], tmp_path / "run"))
    changed = {name for name in before if not torch.equal(before[name], after[name])}
    assert {name.split(".")[0] for name in changed} == {"guide"}
    assert set(json.loads((tmp_path / "run/init.json").read_text())["taken"]) == set(before)


@pytest.mark.thorough
@pytest.mark.usefixtures("no_figures")
@pytest.mark.parametrize("steps", ["[2]", "[3,2,2]"])
def test_a_tree_of_another_depth_starts_from_a_run(train, digits_run, mnist, tmp_path, steps):
    sizes = {"[2]": "[]", "[3,2,2]": "[10,8]"}
    given = ("--data=mnist", f"--data_dir={mnist}", f"--model.tree.num_steps={steps}")
    done = train(*given, f"--model.tree.canvas_sizes={sizes[steps]}", "--init", digits_run[0])
    assert done.status == 0, done
    assert "model.tree.hypernets" in done.err or "model.*" in done.err
    assert open_trained(tmp_path / "run").tree.num_levels == len(json.loads(steps))


@pytest.mark.thorough
@pytest.mark.usefixtures("no_figures")
def test_a_run_with_kept_parts_goes_on_bit_for_bit(train, call, digits_run, mnist, tmp_path):
    given = ("--data=mnist", f"--data_dir={mnist}", "--train.freeze=patch_decoder", "--train.optimizer=adamw")
    whole = train(*given, "--run", tmp_path / "whole", "--train.lr_decay=constant", "--train.kl_warmup=0")
    first = train(
        *given, "--train.steps=2", "--train.lr_decay=constant", "--train.kl_warmup=0", "--train.lr_warmup=0.04"
    )
    assert whole.status == first.status == 0
    gone_on = call("train_svi", "--resume", tmp_path / "run", "--train.steps=4", "--train.lr_warmup=0.02")
    assert gone_on.status == 0, gone_on
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "run"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_what_is_refused(refused, tmp_path, tiny, mnist, finished):
    refuse = partial(refused, "train_svi")
    given = (*tiny, "--data=mnist", f"--data_dir={mnist}", "--run", tmp_path / "new", "--train.steps=2")
    assert "expected one or more of guide, model" in refuse(*given, "--train.only=head")
    assert "leave nothing to train" in refuse(*given, "--train.freeze=guide,model")
    assert "this model has no leak" in refuse(*given, "--train.only=leak", "--model.name=vae")
    assert "expected a run directory" in refuse(*given, "--init", tmp_path / "nowhere")
    assert "name it with --init RUN" in refuse(*given, "--init_parts=guide")
    assert "--init_parts: expected" in refuse(*given, "--init", finished, "--init_parts=x")
    assert "nothing of" in refuse(*given, "--init", finished, "--init_parts=leak", "--model.name=vae")
    goes_on = ("--resume", finished, "--train.steps=9")
    assert "--train.only differs from its own" in refuse(*goes_on, "--train.only=guide")
    assert "--init differs from its own" in refuse(*goes_on, "--init", finished)
