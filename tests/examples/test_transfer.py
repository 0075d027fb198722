"""Encoders that adapt to new images, and classes of data."""

import json

import pytest
import torch
from safetensors.torch import load_file

from examples.adaptation.adapt import divided
from rnp_pyro.data import load_images
from rnp_pyro.data.classes import choose_classes
from rnp_pyro.errors import UserError


@pytest.fixture(scope="module")
def digits(mnist):
    return load_images("mnist", data_dir=str(mnist), image_size=12)


def test_new_images_are_none_of_those_that_are_measured(digits):
    part = divided(digits, "test", 2, 3)
    assert (len(part.train), len(part.validation), len(part.test)) == (2, 2, 3)
    torch.testing.assert_close(part.train, digits.test[[0, 2]])
    torch.testing.assert_close(part.test, digits.test[[1, 3, 5]])
    assert len(divided(digits, "train", 0, 100).train) == len(digits.train)


def test_classes_are_kept_or_left_out(digits):
    assert choose_classes(digits, None, None) is digits
    some = digits.test_labels.unique().tolist()
    without = choose_classes(digits, None, str(some[0]))
    assert some[0] not in without.test_labels
    assert some[0] not in without.train_labels
    assert len(without.train) == len(without.train_labels) < len(digits.train)
    with pytest.raises(UserError, match="--classes: expected names of classes"):
        choose_classes(digits, "zebra", None)
    with pytest.raises(UserError, match="found 0"):
        choose_classes(digits, None, ",".join(map(str, range(10))))


@pytest.mark.thorough
@pytest.mark.usefixtures("no_figures")
def test_the_model_stays_as_it_is(call, digits_run, mnist, tmp_path):
    given = ("--new=mnist", f"--data_dir={mnist}", "--counts", "1", "3", "--steps=3", "--images=4")
    done = call("transfer", digits_run[0], *given, "--out", tmp_path / "out")
    assert done.status == 0, done
    (rows,) = json.loads((tmp_path / "out/transfer.json").read_text())["runs"].values()
    assert list(rows) == ["0", "1", "3"]
    adapted = load_file(tmp_path / "out/run-1/adapted-3/model.safetensors")
    before = load_file(digits_run[0] / "model.safetensors")
    changed = {name for name in before if not torch.equal(before[name], adapted[name])}
    assert {name.split(".")[0] for name in changed} == {"guide"}
    assert not any(".tree." in name for name in changed)
    again = call("transfer", digits_run[0], *given, "--out", tmp_path / "out")
    assert again.lines == done.lines
    other = call("transfer", digits_run[0], *given, "--seed=3", "--out", tmp_path / "out")
    assert "holds another transfer" in other.error


def test_what_does_not_fit(call, digits_run, tmp_path):
    given = (digits_run[0], "--new=mnist-sample", "--out", tmp_path / "out")
    assert "--counts must be at least 0" in call("transfer", *given, "--counts", "-1").error
    assert "--steps must be at least 1" in call("transfer", *given, "--steps=0").error
    assert "--split: expected train or test" in call("transfer", *given, "--split=all").error
