"""Samples and completions in files, and every kind of bad input."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from examples.sampling.config import SampleConfig
from examples.sampling.sample import main
from rnp_pyro.api.opening import open_trained


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "out"


@pytest.fixture
def refuse(refused, out):
    """Expect one line of error, and every file as it was; return the line."""
    return lambda *arguments: refused("sample", *arguments, "--out", out)


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


PRIOR = {
    "z.2": (5, 4),
    "canvas": (5, 1, 12, 12),
    "mean": (5, 1, 12, 12),
    "z.1": (5, 3, 4),
    "action.1": (5, 3, 6),
    "pose.1": (5, 3, 2, 3),
    "patch.1": (5, 3, 1, 4, 4),
    "z.0": (5, 6, 4),
    "action.0": (5, 6, 6),
    "pose.0": (5, 6, 2, 3),
    "patch.0": (5, 6, 1, 4, 4),
}


@pytest.mark.thorough
def test_samples_of_the_prior(call, digits_run, out):
    done = call("sample", digits_run[0], "--num=5", "--out", out)
    found = arrays(out / "samples.npz")
    assert {name: array.shape for name, array in found.items()} == PRIOR
    assert done.lines[0] == "5 samples of the prior at temperature 1"
    with Image.open(out / "samples.png") as drawing:
        assert drawing.size[0] > 400
    tree = open_trained(digits_run[0]).pair.model.tree
    with torch.no_grad():
        canvas = tree.fold(tree.unfold(torch.from_numpy(found["z.2"])))
    assert np.allclose(canvas, found["canvas"], atol=1e-5)


@pytest.mark.thorough
def test_temperature_and_seed(digits_run, tmp_path):
    z = {}
    for temperature, seed in ((1.0, 0), (0.5, 0), (1.0, 1)):
        out = tmp_path / f"{temperature}-{seed}"
        main(SampleConfig(str(digits_run[0]), str(out), num=5, temperature=temperature, seed=seed))
        z[temperature, seed] = arrays(out / "samples.npz")["z.2"]
    assert np.allclose(z[0.5, 0], z[1.0, 0] / 2)
    assert not np.allclose(z[1.0, 1], z[1.0, 0])


def test_the_run_directory_is_the_default(call, finished):
    call("sample", finished, "--num=2")
    assert {path.name for path in (finished / "samples").iterdir()} == {"samples.png", "samples.npz"}


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["vae_run", "colour_run"])
def test_other_models_and_colour(request, call, out, name):
    run = request.getfixturevalue(name)[0]
    assert call("sample", run, "--num=3", "--out", out).status == 0
    mask = ("--mask=left", "--particles=8", "--rounds=1", "--num=3")
    assert call("sample", run, "--index", 0, *mask, "--out", out).status == 0
    assert {path.name for path in out.iterdir()} == {"samples.png", "samples.npz", "completions.png", "completions.npz"}


@pytest.mark.thorough
def test_completions(call, digits_run, out):
    done = call(
        "sample",
        digits_run[0],
        "--index",
        0,
        4,
        "--mask=bottom",
        "--num=6",
        "--particles=50",
        "--rounds=1",
        "--out",
        out,
    )
    found = arrays(out / "completions.npz")
    assert found["log_weight"].shape == found["weight"].shape == (2, 50)
    assert np.allclose(found["weight"].sum(-1), 1)
    assert found["khat"].shape == found["ess"].shape == (2,)
    assert found["seen"].dtype == bool
    assert found["seen"][0, :6].all()
    assert not found["seen"][0, 6:].any()
    assert found["expected"].shape == found["given"].shape == (2, 1, 12, 12)
    assert found["canvas"].shape == (2, 6, 1, 12, 12)
    assert found["z.0"].shape == (2, 6, 6, 4)
    weights = np.take_along_axis(found["weight"], found["particle"], -1)
    assert (np.diff(weights) <= 0).all()
    lines = [line for line in done.lines if line.startswith("test-")]
    assert [line.split(":")[0] for line in lines] == ["test-0", "test-4"]
    assert all("effective sample size" in line and "k-hat" in line for line in lines)
    assert done.lines[-1].startswith("completions: ")


@pytest.mark.thorough
def test_what_is_hidden_is_not_looked_at(call, digits_run, tmp_path):
    """A picture whose hidden half differs is completed the same."""
    options = ("--mask=bottom", "--as_is=true", "--num=4", "--particles=20", "--rounds=1")
    found = []
    for name, shade in (("a", 0), ("b", 255)):
        pixels = np.zeros((12, 12), np.uint8)
        pixels[1:5, 5:7] = 255
        pixels[6:] = shade
        Image.fromarray(pixels).save(tmp_path / f"{name}.png")
        call("sample", digits_run[0], "--given", tmp_path / f"{name}.png", *options, "--out", tmp_path / name)
        found.append(arrays(tmp_path / name / "completions.npz"))
    assert np.array_equal(found[0]["log_weight"], found[1]["log_weight"])
    assert np.array_equal(found[0]["canvas"], found[1]["canvas"])


@pytest.mark.thorough
def test_without_a_mask_it_is_the_posterior(call, digits_run, out):
    done = call("sample", digits_run[0], "--index", 0, "--particles=40", "--num=3", "--out", out)
    assert arrays(out / "completions.npz")["seen"].all()
    assert "test-0: 3 draws" in done.lines[0]


# Bad input


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--num=0"], "--num must be within 1 to 10000, got 0"),
        (["--num=1000000"], "--num must be within 1 to 10000"),
        (["--temperature=-1"], "--temperature must be within 0 to 100, got -1"),
        (["--temperature=nan"], "--temperature"),
        (["--mask=left"], "name one with --given FILE or --index N"),
        (["--index", 0, "--temperature=0.5"], "--temperature is for samples of the prior"),
        (["--particles=100"], "--particles weighs programs by an image"),
        (["--rounds=3"], "--rounds fills in what --mask hides"),
        (["--index", 0, "--rounds=3"], "--rounds fills in what --mask hides"),
        (["--index", 0, "--mask=0,0,13,5"], "inside the image of 12x12 pixels"),
        (["--index", 0, "--mask=10,10,5,5"], "inside the image of 12x12 pixels"),
        (["--index", 0, "--mask=middle"], "expected a mask of left, right, top, bottom"),
        (["--index", 0, "--mask=0,0,12,12"], "hides the whole image"),
    ],
)
def test_what_does_not_fit(refuse, digits_run, options, expected):
    assert expected in refuse(digits_run[0], *options)
