"""A run's folder is enough to use the run: moved, renamed, its data moved, changed or gone."""

import json
import shutil
from pathlib import Path

import pytest
import yaml
from PIL import Image

import rnp_pyro
from rnp_pyro.api import settings
from rnp_pyro.api.opening import open_trained, read_settings
from rnp_pyro.api.record import read_record
from rnp_pyro.errors import UserError


@pytest.fixture
def grey_copy(grey_run: tuple[Path, object], tmp_path: Path) -> Path:
    """A run on a folder of grey pictures, to change and to damage."""
    return Path(shutil.copytree(grey_run[0], tmp_path / "run"))


@pytest.fixture
def orphan(grey_copy: Path, tmp_path: Path) -> Path:
    """A run that was moved and renamed, its folder of images gone."""
    values = yaml.safe_load((grey_copy / "config.yaml").read_text())
    values["data"] = f"folder:{tmp_path / 'gone'}"
    (grey_copy / "config.yaml").write_text(yaml.safe_dump(values))
    return grey_copy.rename(tmp_path / "moved and renamed")


@pytest.fixture
def changed(grey: Path, tmp_path: Path) -> Path:
    """The run's images, one of them changed."""
    folder = Path(shutil.copytree(grey, tmp_path / "changed"))
    for file in folder.iterdir():
        Image.open(file).transpose(Image.Transpose.FLIP_LEFT_RIGHT).save(file)
    return folder


@pytest.mark.thorough
def test_a_run_knows_what_it_was_trained_on(grey_run, digits_run, colour_run):
    grey, digits, colour = (read_record(run[0]) for run in (grey_run, digits_run, colour_run))
    assert (grey.image_shape, digits.image_shape, colour.image_shape) == ((1, 12, 12), (1, 12, 12), (3, 12, 12))
    assert (grey.appearance.digits, digits.appearance.digits, colour.appearance.digits) == (False, True, False)
    assert grey.num_images == {"train": 21, "validation": 1, "test": 2}
    assert len(set(grey.fingerprints.values())) == 3
    assert digits.ink == "bright"


@pytest.mark.thorough
def test_without_its_data(call, orphan, grey, tmp_path):
    picture = grey / "000.png"
    assert call("parse", orphan, "--image", picture, "--out", tmp_path / "out").status == 0
    assert call("sample", orphan, "--num=2").status == 0
    assert (
        call("sample", orphan, "--given", picture, "--mask=top", "--num=2", "--particles=8", "--rounds=0").status == 0
    )
    assert call("edit", orphan, "truncate", "--image", picture, "--out", tmp_path / "edited").status == 0
    assert call("edit", orphan, "truncate", "--tree", tmp_path / "out/parse.json", "--out", tmp_path / "e").status == 0


NEEDS_DATA = {
    "parse": ["--index=0", "--out={folder}/out"],
    "sample": ["--index=0", "--num=2", "--particles=8", "--out={folder}/out"],
    "edit": ["truncate", "--index=0", "--out={folder}/out"],
    "evaluate": ["--particles=2", "--images=1"],
    "encode": ["--out={folder}/codes.npz"],
    "compare_completions": ["{run}", "--images=1", "--particles=8", "--rounds=0"],
}


@pytest.mark.parametrize("command", NEEDS_DATA)
@pytest.mark.thorough
def test_data_that_moved(call, orphan, grey, tmp_path, command):
    arguments = [one.format(folder=tmp_path, run=orphan) for one in NEEDS_DATA[command]]
    assert "say where they are with --data" in call(command, orphan, *arguments).error
    done = call(command, orphan, *arguments, "--data", f"folder:{grey}")
    assert done.status == 0, done
    assert done.err == ""


@pytest.mark.thorough
def test_data_that_changed_are_refused(call, grey_copy, changed):
    values = yaml.safe_load((grey_copy / "config.yaml").read_text())
    (grey_copy / "config.yaml").write_text(yaml.safe_dump(values | {"data": f"folder:{changed}"}))
    message = call("evaluate", grey_copy, "--particles=2").error
    assert "has changed since the run was trained on it" in message
    assert "test: 2 images then, 2 now, not the same ones" in message


@pytest.mark.thorough
def test_other_data_are_taken_with_a_warning(call, grey_copy, changed):
    done = call("evaluate", grey_copy, "--particles=2", "--data", f"folder:{changed}")
    assert done.status == 0
    assert done.err.startswith(f"warning: folder:{changed} is not what the run was trained on")
    assert done.err.count("\n") == 1


@pytest.mark.thorough
def test_data_of_another_shape(call, grey_copy, colour):
    message = call("evaluate", grey_copy, "--data", f"folder:{colour}").error
    assert "expected images of 1x12x12" in message


@pytest.mark.thorough
def test_the_same_images_in_another_place_are_comparable(call, grey_copy, grey, changed, tmp_path):
    same = shutil.copytree(grey, tmp_path / "copy")
    numbers = tmp_path / "numbers.json"
    assert call("evaluate", grey_copy, "--particles=2", "--json", numbers).status == 0
    again = "evaluate", grey_copy, "--particles=2", "--baseline", numbers
    assert call(*again, "--data", f"folder:{same}").status == 0
    assert "expected one with fingerprint" in call(*again, "--data", f"folder:{changed}").err
    old = json.loads(numbers.read_text())
    del old["fingerprint"]
    numbers.write_text(json.dumps(old))
    assert call(*again).status == 0


@pytest.mark.thorough
def test_a_run_does_not_go_on_with_other_images(call, grey_copy, changed, grey):
    message = call("train_svi", "--resume", grey_copy, "--train.steps=6", "--data", f"folder:{changed}").error
    assert f"folder:{changed} is not what the run {grey_copy} began with" in message
    assert read_settings(grey_copy).data == f"folder:{grey}"


@pytest.mark.thorough
def test_an_older_run_opens_given_its_data_once(call, orphan, grey, tmp_path):
    (orphan / "data.json").unlink()
    sample = "sample", orphan, "--num=1", "--out", tmp_path / "out"
    assert "opens given its data once" in call(*sample).error
    assert call(*sample, "--data", f"folder:{grey}").status == 0
    assert read_record(orphan).image_shape == (1, 12, 12)
    assert call(*sample, "--overwrite=true").status == 0


@pytest.mark.thorough
def test_an_older_run_in_a_folder_that_cannot_be_written_to(grey_copy, monkeypatch):
    def refuse(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied")

    (grey_copy / "data.json").unlink()
    monkeypatch.setattr("os.replace", refuse)
    assert open_trained(grey_copy).image_shape == (1, 12, 12)
    assert not (grey_copy / "data.json").exists()


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("content", ["", "[]", "{}", '{"name": 3}', "null"])
def test_a_damaged_record(call, finished, content):
    (finished / "data.json").write_text(content)
    assert str(finished / "data.json") in call("sample", finished).error


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize(
    "change", [{"image_shape": [1, 12]}, {"appearance": {}}, {"num_images": {}}, {"ink": "red"}, {"more": 1}]
)
def test_a_record_of_wrong_values(finished, change):
    read = json.loads((finished / "data.json").read_text())
    (finished / "data.json").write_text(json.dumps(read | change))
    with pytest.raises(UserError, match="expected what a run keeps of its data"):
        open_trained(finished)


@pytest.mark.thorough
def test_settings_that_older_runs_lack_mean_what_they_meant(finished, monkeypatch):
    values = yaml.safe_load((finished / "config.yaml").read_text())
    monkeypatch.setitem(settings.MEANT_BEFORE, "train.clip", "7.0")
    assert read_settings(finished).train.clip == values["train"]["clip"] == 100.0
    del values["train"]["clip"]
    (finished / "config.yaml").write_text(yaml.safe_dump(values))
    assert read_settings(finished).train.clip == 7.0
    assert settings.parse_config(settings.config_parser("train_svi", ""), [])[0].train.clip == 100.0


@pytest.mark.thorough
def test_a_run_finds_its_images_from_any_folder_and_copies_do_not_name_it(call, train, grey, monkeypatch, tmp_path):
    monkeypatch.chdir(grey.parent)
    assert train(f"--data=folder:{grey.name}").status == 0
    run = tmp_path / "run"
    assert yaml.safe_load((run / "config.yaml").read_text())["data"] == f"folder:{grey.parent / grey.name}"
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert call("evaluate", run, "--particles=2", "--images=1").status == 0
    assert call("train_svi", "--resume", run, "--train.steps=6").status == 0
    copy = rnp_pyro.load(run).save(tmp_path / "copy")
    assert yaml.safe_load((copy / "config.yaml").read_text())["data"] == f"folder:{grey.name}"
    assert not [file.name for file in copy.iterdir() if str(grey.parent).encode() in file.read_bytes()]
