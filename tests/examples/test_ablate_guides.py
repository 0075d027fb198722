"""The ablation: combinations, what is left out, going on, and its table."""

import json
from math import inf
from pathlib import Path
from typing import Any

import pytest

from examples.ablation.ablate import main
from examples.ablation.plan import AblateConfig, make_plan
from examples.ablation.table import table
from guides import GUIDES
from inference.training.loop import train
from inference.training.task import Outcome
from rnp_pyro.data import load_images
from rnp_pyro.errors import UserError

SMALL = (
    *("image_size=12", "model.latent_size=4", "model.tree.num_steps=[3,2]", "model.tree.canvas_sizes=[8]"),
    *("model.tree.patch_size=4", "model.tree.hidden_size=8", "model.tree.hypernet_size=8", "train.batch_size=8"),
)


@pytest.fixture(scope="module")
def quick(save_images, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options of a short ablation of one variant and one seed on a few small pictures."""
    pictures = save_images(tmp_path_factory.mktemp("pictures"), count=48)
    one = ["--guides=[resnet]", "--node_latents=[none]", "--seeds=[0]"]
    return [*one, f"--data=folder:{pictures}", f"--set={list(SMALL)}", "--minutes=0.002", "--particles=2", "--images=2"]


def plan(**settings: object):
    return make_plan(AblateConfig(out="unused", **settings), load_images("mnist-sample"))


@pytest.mark.thorough
def test_the_quick_preset_is_five_variants_and_says_what_it_leaves_out():
    found = plan()
    assert [one.name for one in found.variants] == [
        "resnet_elbo_none",
        "resnet_elbo_both",
        "full_rank_elbo_none",
        "flow_elbo_none",
        "ladder_elbo_both",
    ]
    assert [reason.partition(":")[0] for reason in found.left_out] == [
        "full_rank_elbo_both",
        "flow_elbo_both",
        "ladder_elbo_none",
    ]
    assert "its nodes follow the prior" in found.left_out[0]
    assert "the ladder guide infers latents at nodes" in found.left_out[2]


@pytest.mark.thorough
def test_any_setting_can_be_varied():
    found = plan(
        guides=["resnet"],
        node_latents=["none"],
        vary=["model.latent_size=8,16", "model.tree.num_steps=[2,2],[3]"],
        set=["model.tree.canvas_sizes=[16]"],
    )
    # A depth that does not fit the canvas sizes is left out, with the reason.
    assert [one.choices["model.latent_size"] for one in found.variants] == ["8", "16"]
    assert all(one.choices["model.tree.num_steps"] == "[2,2]" for one in found.variants)
    assert len(found.left_out) == 2


@pytest.mark.thorough_after(2)
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"preset": "slow"}, r"--preset: expected one of quick, guides, got slow"),
        ({"minutes": 0.0}, r"--minutes must be above 0 and finite, got 0"),
        ({"minutes": inf}, r"--minutes must be above 0 and finite, got inf"),
        ({"set": ["train.batch_size=0"]}, r"none of the combinations fits: .*--train.batch_size must be at least 1"),
        ({"set": ["fabric.precision=8"]}, r"none of the combinations fits: .*--fabric.precision: expected one of"),
        ({"seeds": [1, 1]}, r"--seeds must name one or more, each once, got \[1, 1\]"),
        ({"vary": ["model.latent_size"]}, r"expected FIELD=VALUE with --vary or --set"),
        ({"guides": ["ladr"]}, f"--guides: expected some of {', '.join(GUIDES)}, got ladr"),
        ({"seeds": [-1]}, r"--seeds must be within \[0, 2\^63\), got -1"),
        ({"set": ["train.steps=3"]}, r"train.steps is not for --vary or --set: expected --minutes"),
        ({"vary": ["model.latent_size=8,8"]}, r"--vary must name each value once, got model.latent_size=8,8"),
        ({"vary": ["model.leak=0.1,0.2"], "set": ["model.leak=0.1"]}, r"model.leak is given twice"),
        ({"vary": ["guide.name=flow"]}, r"guide.name is not for --vary or --set: expected --guides"),
        ({"guides": ["ladder"], "node_latents": ["none"]}, r"none of the combinations fits: ladder_elbo_none"),
    ],
)
def test_choices_that_do_not_fit(settings: dict, message: str):
    with pytest.raises(UserError, match=message):
        plan(**settings)


@pytest.mark.thorough
@pytest.mark.usefixtures("no_figures")
def test_it_goes_on_where_it_was(call, quick: list[str], tmp_path: Path):
    out = tmp_path / "ablation"
    first = call("ablate_guides", f"--out={out}", *quick)
    run = out / "resnet_elbo_none_seed0"
    trained = (run / "model.safetensors").read_bytes()
    (run / "evaluation.json").unlink()
    (out / "ablation.json").unlink()
    again = call("ablate_guides", f"--out={out}", *quick)
    assert (run / "model.safetensors").read_bytes() == trained
    assert first.lines[:-1] == again.lines[:-1]
    (result,) = json.loads((out / "ablation.json").read_text())["results"]
    assert result["name"] == "resnet_elbo_none"
    assert (out / "ablation.png").stat().st_size > 1000
    assert (out / "ablation.md").read_text().startswith("| guide | objective | node latents | seeds | -ELBO |")


@pytest.mark.thorough
@pytest.mark.usefixtures("no_figures")
def test_a_run_that_fails_leaves_the_others(call, quick: list[str], tmp_path: Path):
    out = tmp_path / "ablation"
    options = f"--out={out}", *quick
    begun = out / "resnet_elbo_none_1e30_seed0"
    done = call("ablate_guides", *options, "--vary=['train.learning_rate=1e30,1e-3']")
    assert done.status == 0
    assert done.lines[0].startswith("1/2 failed: resnet_elbo_none_1e30, seed 0: the ")
    written = json.loads((out / "ablation.json").read_text())
    assert [one["name"] for one in written["results"]] == ["resnet_elbo_none_1e-3"]
    assert written["failed"] == [done.lines[0].removeprefix("1/2 failed: ")]
    assert begun.is_dir()
    # The same command goes on: what had no checkpoint begins again.
    again = call("ablate_guides", *options, "--vary=['train.learning_rate=1e30,1e-3']")
    assert again.lines[:-1] == done.lines[:-1]


@pytest.mark.thorough
@pytest.mark.usefixtures("no_figures")
def test_an_interrupt_in_a_runs_last_step_stops_the_ablation(call, quick: list[str], tmp_path: Path, monkeypatch):
    out = tmp_path / "ablation"
    options = f"--out={out}", *quick, "--seeds=[0,1]"

    def interrupted(*arguments: Any) -> Outcome:
        outcome = train(*arguments)
        arguments[4].stopped = True  # as the handler of Ctrl-C does: no step is left to see it
        return outcome

    with monkeypatch.context() as patch:
        patch.setattr("rnp_pyro.api.training.train", interrupted)
        assert call("ablate_guides", *options).status == 130
    assert (out / "resnet_elbo_none_seed0" / "summary.json").is_file()
    assert not (out / "resnet_elbo_none_seed1").exists()
    assert call("ablate_guides", *options).status == 0
    assert len(json.loads((out / "ablation.json").read_text())["results"]) == 2


@pytest.mark.thorough
def test_another_ablation_in_the_folder_is_refused(tmp_path: Path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(UserError, match="expected a new folder"):
        main(AblateConfig(out=str(tmp_path), guides=["resnet"], node_latents=["none"]))
    assert [path.name for path in tmp_path.iterdir()] == ["notes.txt"]


def test_the_table_has_means_and_spreads_best_first():
    def result(name: str, seed: int, bound: float) -> dict:
        rest = dict.fromkeys(("neg_elbo", "kl", "squared_error", "images_per_second", "seconds"), 1.0)
        return {
            "name": name,
            "choices": {"guide": name},
            "seed": seed,
            "bound": bound,
            "khat": None,
            "parameters": 5,
            **rest,
        }

    lines = table([result("a", 0, 9.0), result("a", 1, 11.0), result("b", 0, 8.0)], 100).splitlines()
    assert lines[0].startswith("| guide | seeds | -ELBO | bound, K = 100 | median k-hat |")
    assert lines[2].startswith("| b | 1 | 1.00 | 8.00 | - |")
    assert lines[3].startswith("| a | 2 | 1.00 | 10.00 +- 1.41 | - |")
