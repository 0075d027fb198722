"""NUTS next to the guide, as a command: numbers, files, and every kind of bad input."""

import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

from examples.posterior import reference
from examples.posterior.config import ReferenceConfig
from examples.posterior.image import _Meter, check_images, observed_images
from examples.posterior.reference import main
from inference.posterior.annealing import AnnealingSettings
from inference.posterior.mcmc import NutsSettings
from rnp_pyro.api.opening import open_trained
from rnp_pyro.errors import UserError

TINY = (
    "--chains=2", "--warmup=12", "--draws=10", "--population=4", "--particles=40", "--climb=3", "--bound_draws=10",
    "--processes=1",
)  # fmt: skip

KEYS = {
    "image", "rhat", "log_joint_rhat", "ess", "divergences", "gradients", "loc_difference", "scale_ratio", "elbo",
    "best_elbo", "log_evidence", "annealed_log_evidence", "khat", "importance_ess", "approximation_gap",
    "amortization_gap", "temperatures", "seconds", "nuts_loc", "nuts_scale", "guide_loc", "guide_scale", "rhats",
    "esses",
}  # fmt: skip


def numbers(path: Path) -> dict:
    return json.loads(path.read_text())


def without_clock(found: dict) -> list[dict]:
    return [{name: value for name, value in one.items() if name != "seconds"} for one in found["images"]]


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """Few and short moves: what chains draw does not matter here."""
    monkeypatch.setattr(reference, "NutsSettings", partial(NutsSettings, max_tree_depth=2))
    hasty = partial(AnnealingSettings, kept=0.3, leapfrogs=2, settling=2)
    monkeypatch.setattr(reference, "AnnealingSettings", hasty)


@pytest.fixture
def refuse(refused):
    """Expect one line of error, and every file as it was; return the line."""
    return partial(refused, "reference_posterior")


@pytest.mark.thorough
def test_what_is_printed_and_written(call, digits_run, tmp_path: Path):
    out, figure = tmp_path / "reference.json", tmp_path / "reference.png"
    files = ("--json", out, "--figure", figure, "--markdown", tmp_path / "reference.md")
    done = call("reference_posterior", digits_run[0], *TINY, "--images", 3, 1, *files)
    lines = done.lines
    assert lines[0].split()[:3] == ["image", "r-hat", "ESS"]
    assert [line.split()[0] for line in lines[1:3]] == ["3", "1"]
    assert lines[-3:] == [f"wrote {file}" for file in files[1::2]]
    assert "divergent transitions: " in lines[-4]
    found = numbers(out)
    assert [one["image"] for one in found["images"]] == [3, 1]
    for one in found["images"]:
        assert set(one) == KEYS
        assert len(one["nuts_loc"]) == len(one["guide_scale"]) == len(one["rhats"]) == 4
        assert one["rhat"] == max(one["rhats"])
        assert one["ess"] == min(one["esses"])
        total = one["log_evidence"]["value"] - one["elbo"]["value"]
        assert one["approximation_gap"]["value"] + one["amortization_gap"]["value"] == pytest.approx(total)
    assert found["settings"]["draws"] == 10
    assert set(found) == {"images", "settings", "weights", "data", "test_images", "versions", "git_commit"}
    assert figure.read_bytes().startswith(b"\x89PNG")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["reference.json", "reference.md", "reference.png"]
    table = files[-1].read_text().splitlines()
    assert [line.split("|")[1].strip() for line in table] == ["image", "---:", "3", "1"]


@pytest.mark.thorough
def test_numbers_are_functions_of_the_seed_and_the_image(call, digits_run, tmp_path: Path):
    """Neither of the other images nor of the process; the generators stay where they are."""
    state = torch.get_rng_state()
    for name, options in {
        "one": ("--images", 1, 2),
        "same": ("--images", 2, 1, "--processes=2"),
        "other": ("--images", 1, "--seed=1"),
    }.items():
        done = call("reference_posterior", digits_run[0], *TINY, *options, "--json", tmp_path / name)
        assert done.status == 0, done
    assert torch.equal(torch.get_rng_state(), state)
    one, same, other = (without_clock(numbers(tmp_path / name)) for name in ("one", "same", "other"))
    assert one == same[::-1]
    assert one[0]["nuts_loc"] != other[0]["nuts_loc"]


@pytest.mark.thorough
def test_the_guide_is_seen_on_the_pixels_of_every_evaluation(digits_run):
    run = open_trained(digits_run[0])
    whole = run.pair.prepare_fixed(run.data.test, 0)
    assert torch.equal(observed_images(run, [4, 0]), whole[[4, 0]])


@pytest.mark.thorough
def test_the_flat_baseline_and_colour_have_a_reference_too(call, vae_run, colour_run):
    for run in (vae_run, colour_run):
        done = call("reference_posterior", run[0], *TINY, "--images", 1)
        assert done.lines[1].split()[0] == "1"


@pytest.mark.thorough
def test_one_chain_is_printed_without_rhat(call, digits_run):
    done = call("reference_posterior", digits_run[0], *TINY, "--chains=1", "--images", 0)
    assert done.lines[1].split()[1] == "-"
    assert any(line.startswith("r-hat is at most 1.05 for 0 of 1 images; not for 0") for line in done.lines)


@pytest.mark.thorough
def test_what_is_done_is_kept_when_the_rest_fails(digits_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    examine, out = reference.examine, tmp_path / "reference.json"

    def fail_at_2(piece, advance):
        if piece.image == 2:
            raise KeyboardInterrupt
        return examine(piece, advance)

    monkeypatch.setattr(reference, "examine", fail_at_2)
    config = ReferenceConfig(
        str(digits_run[0]), (5, 2), 2, 3, 6, 4, 40, 3, 10, processes=1, json=str(out), figure=str(tmp_path / "x.png")
    )
    with pytest.raises(KeyboardInterrupt):
        main(config)
    assert [one["image"] for one in numbers(out)["images"]] == [5]
    assert [path.name for path in tmp_path.iterdir()] == ["reference.json"]


@pytest.mark.thorough
def test_an_interrupted_command_goes_on(call, digits_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    out, examined, examine = tmp_path / "reference.json", [], reference.examine

    def note(piece, advance):
        examined.append(piece.image)
        return examine(piece, advance)

    monkeypatch.setattr(reference, "examine", note)
    call("reference_posterior", digits_run[0], *TINY, "--images", 3, "--json", out)
    first = numbers(out)["images"]
    done = call("reference_posterior", digits_run[0], *TINY, "--images", 1, 3, "--json", out)
    assert [line.split()[0] for line in done.lines[1:3]] == ["3", "1"]
    assert [one["image"] for one in numbers(out)["images"]] == [1, 3]
    assert numbers(out)["images"][1:] == first
    figure = tmp_path / "x.svg"
    done = call("reference_posterior", digits_run[0], *TINY, "--images", 3, "--json", out, "--figure", figure)
    assert [line.split()[0] for line in done.lines[1:2]] == ["3"]
    assert [one["image"] for one in numbers(out)["images"]] == [1, 3]
    assert examined == [3, 1]
    assert "<svg" in figure.read_text()


@pytest.mark.thorough
def test_numbers_of_others_are_not_mixed_in(call, refuse, digits_run, vae_run, tmp_path: Path):
    out = tmp_path / "reference.json"
    call("reference_posterior", digits_run[0], *TINY, "--images", 1, "--json", out)
    before = out.read_bytes()
    for run, options in ((digits_run, ["--seed=3"]), (digits_run, ["--draws=11"]), (vae_run, [])):
        message = refuse(run[0], *TINY, *options, "--images", 1, "--json", out)
        assert message.startswith(f"{out} exists and is of another run, of other images or of other settings")
    assert out.read_bytes() == before
    for content, expected in (("[1]", "exists and is of another run"), ("no JSON", "expected JSON in")):
        out.write_text(content)
        assert expected in refuse(digits_run[0], *TINY, "--images", 1, "--json", out)


@pytest.mark.thorough
@pytest.mark.parametrize("version", ["now", "before"])
def test_numbers_of_other_images_are_not_mixed_in(digits_run, tmp_path: Path, version: str):
    """Files of earlier versions hold the data's name alone."""
    run, out = open_trained(digits_run[0]), tmp_path / "reference.json"
    config = ReferenceConfig(str(digits_run[0]), images=(0,), json=str(out))
    one = {"image": 0, "rhat": 1.0, "nuts_loc": [0.0], "guide_loc": [0.0]}
    written = reference._numbers(config, run, {0: one})
    other = {"data": "folder:OTHER", "test_images": "another"}
    if version == "before":
        del written["test_images"], other["test_images"]
    out.write_text(json.dumps(written))
    assert reference._earlier(config, run) == {0: one}
    for damage in (other, {"images": [3]}, {"images": [{"image": 0}]}):
        out.write_text(json.dumps(written | damage))
        with pytest.raises(UserError, match="of other images"):
            reference._earlier(config, run)


def test_a_meter_is_filled_once():
    told: list[float] = []
    meter = _Meter(told.append, 0.5, 4)
    for _ in range(6):
        meter.tick()
    meter.end()
    assert sum(told) == pytest.approx(0.5)


# Bad input


@pytest.mark.thorough_after(2)
@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--images", "12"], "--images must be within 0 to 11, the test images of mnist, got 12"),
        (["--images", "-1"], "--images must be within 0 to 11"),
        (["--images", "1", "1"], "--images must name one or more images, each once, got [1, 1]"),
        (["--images", "few"], "--images: expected a whole number, got few; see --help"),
        (["--images"], "--images"),
        (["--chains=0"], "--chains must be at least 1, got 0"),
        (["--warmup=0"], "--warmup must be at least 1, got 0"),
        (["--draws=3"], "--draws must be at least 4, got 3"),
        (["--population=1"], "--population must be at least 2, got 1"),
        (["--particles=29"], "--particles must be at least 30, got 29"),
        (["--climb=0"], "--climb must be at least 1, got 0"),
        (["--bound_draws=1"], "--bound_draws must be at least 2, got 1"),
        (["--processes=0"], "--processes must be at least 1, got 0"),
        (["--draws=4", "--chains=1"], "expected at least 5 draws of all chains together"),
        (["--figure=x.jpeg"], "--figure must end in one of .png, .pdf, .svg, got x.jpeg"),
    ],
)
def test_options_that_do_not_fit(refuse, digits_run, options, expected):
    assert expected in refuse(digits_run[0], *options)


@pytest.mark.thorough
def test_a_disk_that_is_full(digits_run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    def full(path, value):
        raise OSError(28, "No space left on device", str(path))

    monkeypatch.setattr(reference, "write_json", full)
    config = ReferenceConfig(
        str(digits_run[0]), (0,), 2, 3, 6, 4, 40, 3, 10, processes=1, json=str(tmp_path / "x.json")
    )
    with pytest.raises(UserError, match="No space left on device"):
        main(config)
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough
@pytest.mark.parametrize("settings", [{"node_latents": "both"}, {"guide": "flow"}])
def test_runs_with_other_latents_are_refused(digits_run, settings: dict):
    run = open_trained(digits_run[0])
    config = replace(
        run.config,
        model=replace(run.config.model, node_latents=settings.get("node_latents", "none")),
        guide=replace(run.config.guide, name=settings.get("guide", "resnet")),
    )
    with pytest.raises(UserError, match="expected a run whose only latent is the root's, with a normal guide"):
        check_images(ReferenceConfig(run=str(digits_run[0])), replace(run, config=config))
