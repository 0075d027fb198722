"""Runs kept in half precision, model cards, and the Hugging Face Hub without a network."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnp_pyro
from rnp_pyro.api import card, hub
from rnp_pyro.api.fitting import make_config
from rnp_pyro.api.run import Run

FILES = {"README.md", "config.yaml", "data.json", "model.safetensors"}


def same_trees(one: Run, two: Run, images: np.ndarray, tolerance: float) -> bool:
    """Whether both draw the same parses."""
    first, second = ([tree.canvas for tree in run.parse(images)] for run in (one, two))
    return all((a - b).abs().max() <= tolerance for a, b in zip(first, second, strict=True))


@pytest.mark.thorough
def test_half_precision_halves_the_file_and_hardly_moves_the_bound(run: Run, images: np.ndarray, tmp_path: Path):
    whole, half = run.save(tmp_path / "whole"), run.save(tmp_path / "half", half=True)
    sizes = [(folder / "model.safetensors").stat().st_size for folder in (whole, half)]
    assert sizes[1] < 0.65 * sizes[0]  # the header, with the names, is as long as before
    opened = rnp_pyro.load(half)
    assert next(opened.guide.parameters()).dtype == next(run.guide.parameters()).dtype
    bounds = [one.evaluate(images[:8], particles=4, progress=False).neg_elbo for one in (run, opened)]
    assert bounds[1] == pytest.approx(bounds[0], abs=0.05)
    assert bounds[1] != bounds[0]  # it was rounded


@pytest.mark.thorough
def test_weights_beyond_half_precision_are_not_ruined(run: Run, tmp_path: Path):
    weight = next(run.model.parameters())
    before = weight.data.clone()
    weight.data[...] = 1e5
    try:
        with pytest.raises(rnp_pyro.UserError, match="expected weights within 65504"):
            run.save(tmp_path / "half", half=True)
    finally:
        weight.data.copy_(before)


@pytest.mark.thorough
def test_a_saved_run_names_no_folder_of_the_machine(run: Run, tmp_path: Path):
    folder = run.save(tmp_path / "saved")
    assert {one.name for one in folder.iterdir()} == FILES
    for name in ("README.md", "config.yaml", "data.json"):
        assert str(tmp_path) not in (folder / name).read_text(encoding="utf-8")


@pytest.mark.thorough
def test_the_card_says_how_it_was_made(run: Run, tmp_path: Path):
    text = (run.save(tmp_path / "saved", half=True) / card.CARD).read_text(encoding="utf-8")
    assert f"{run.record.num_images['train']} trained on" in text
    assert "--model.latent_size 4" in text
    assert "**Seed**: 0" in text
    assert "half precision" in text


def test_the_command_of_a_card_names_what_differs_from_the_default():
    config = replace(make_config({"seed": 3, "model.tree.num_steps": [3, 4, 4]}), run="somewhere")
    given = card.command(config).removeprefix("python -m examples.train_svi ")
    assert (
        given
        == "--seed 3 --model.tree.num_steps '[3, 4, 4]' --model.tree.canvas_sizes '[16, 8]' --model.tree.patch_size 4"
    )


@pytest.mark.thorough
def test_the_mixin_saves_and_opens(run: Run, images: np.ndarray, tmp_path: Path):
    folder = run.save_pretrained(tmp_path / "saved")
    assert {one.name for one in folder.iterdir()} == FILES | {"config.json"}
    assert same_trees(run, rnp_pyro.from_pretrained(folder), images[:4], 0)


@pytest.mark.thorough
def test_a_repository_is_downloaded_and_opened(
    run: Run, images: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    folder, asked = run.save_pretrained(tmp_path / "saved"), []

    def download(repo: str, **options: Any) -> str:
        asked.append((repo, options["revision"], set(options["allow_patterns"])))
        return str(folder)

    monkeypatch.setattr(hub, "snapshot_download", download)
    monkeypatch.setattr("huggingface_hub.hub_mixin.hf_hub_download", lambda **_: str(folder / "config.json"))
    opened = rnp_pyro.from_pretrained("somebody/digits", revision="v1")
    assert asked == [("somebody/digits", "v1", FILES | {"summary.json"})]
    assert same_trees(run, opened, images[:4], 0)


@pytest.mark.thorough
def test_a_run_is_uploaded_whole(run: Run, monkeypatch: pytest.MonkeyPatch):
    sent: dict[str, Any] = {}

    class Api:
        def __init__(self, token: str | None = None) -> None:
            sent["token"] = token

        def create_repo(self, repo_id: str, **_: Any) -> Any:
            self.repo_id = repo_id
            return self

        def upload_folder(self, folder_path: Path, **options: Any) -> str:
            sent["files"] = {one.name for one in Path(folder_path).iterdir()}
            return f"https://huggingface.co/{options['repo_id']}/commit/1"

    monkeypatch.setattr("huggingface_hub.hub_mixin.HfApi", Api)
    assert run.push_to_hub("somebody/digits", token="secret") == "https://huggingface.co/somebody/digits/commit/1"
    assert sent == {"token": "secret", "files": FILES | {"config.json"}}


@pytest.mark.thorough
def test_without_the_package_one_line_says_what_to_install(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delitem(sys.modules, "rnp_pyro.api.hub")
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(rnp_pyro.UserError, match=r"pip install 'rnp-pyro\[hub\]'"):
        run.save_pretrained(tmp_path / "saved")
    assert not (tmp_path / "saved").exists()
