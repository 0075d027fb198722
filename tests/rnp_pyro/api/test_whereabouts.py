"""Places in a run's settings: whole in its own folder, the last name alone in copies."""

from dataclasses import replace

import pytest

from rnp_pyro.api.data import load_data
from rnp_pyro.api.whereabouts import brief_data, whole_data, with_whole_paths, without_places
from rnp_pyro.config import Config, ModelConfig, TrainConfig, TreeConfig
from rnp_pyro.errors import UserError

PLACES = Config(
    data="folder:photos",
    data_dir="sets",
    init="runs/one",
    train=TrainConfig(schedule="schedule.json"),
    model=ModelConfig(tree=TreeConfig(primitives=("line", "mine.png"))),
)


def test_whole_paths_serve_everywhere_and_copies_keep_the_last_name(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    whole = with_whole_paths(PLACES)
    assert whole.data == f"folder:{tmp_path / 'photos'}"
    assert (whole.data_dir, whole.init) == (str(tmp_path / "sets"), str(tmp_path / "runs/one"))
    assert whole.train.schedule == str(tmp_path / "schedule.json")
    assert whole.model.tree.primitives == ("line", str(tmp_path / "mine.png"))
    assert with_whole_paths(whole) == whole
    assert without_places(whole) == replace(PLACES, data_dir=None, init="one")
    named = replace(PLACES, data="mnist", data_dir=None, init="pretrained:mnist")
    assert with_whole_paths(named).init == without_places(named).init == "pretrained:mnist"


@pytest.mark.thorough
def test_names_of_data_sets_that_are_no_paths_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert whole_data("omniglot:one-shot") == brief_data("omniglot:one-shot") == "omniglot:one-shot"
    assert brief_data(whole_data("array:a/b.npy")) == "array:b.npy"
    assert brief_data("array:a/b.npy") == "array:a/b.npy"
    assert brief_data("folder:~/photos") == "folder:photos"


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("kind", ["folder", "array"])
def test_a_place_that_is_not_there_is_named_whole(tmp_path, monkeypatch, kind):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=rf"\(looked for in {tmp_path / 'gone.npy'}\); .* with --data {kind}:"):
        load_data(Config(data=f"{kind}:gone.npy"))
