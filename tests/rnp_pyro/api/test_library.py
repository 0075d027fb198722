"""The library's door as users go through it: train, parse, evaluate, save, load, and what is refused."""

import re
import shutil
import signal
import subprocess
import sys
import threading
import tomllib
from pathlib import Path
from unittest import mock

import numpy as np
import pyro
import pytest
import torch
import yaml

import rnp_pyro
from rnp_pyro.api.answers import seen_by
from rnp_pyro.api.pair import Pair
from rnp_pyro.errors import UserError

MODEL = {"latent_size": 4, "tree": {"hypernet_size": 8, "hidden_size": 8, "patch_size": 4, "canvas_sizes": [8]}}
ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "library.md"


@pytest.mark.thorough
def test_importing_the_package_imports_neither_torch_nor_pyro():
    code = "import sys, rnp_pyro; print(rnp_pyro.__version__, {'torch', 'pyro', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout == f"{rnp_pyro.__version__} set()\n"


def test_what_the_package_offers():
    assert {"fit", "load", "Run", "UserError", "__version__"} <= set(dir(rnp_pyro))
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert rnp_pyro.__version__ == project["version"]
    assert rnp_pyro.UserError is UserError
    with pytest.raises(AttributeError, match="no attribute 'nope'"):
        _ = rnp_pyro.nope


@pytest.mark.thorough
def test_the_pages_script_twice_and_its_folder_moved(tmp_path, monkeypatch, capsys):
    """In one process; each run's parameters move; then the folder is moved and opened without any data."""
    monkeypatch.chdir(tmp_path)
    (script,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len([line for line in script.splitlines() if line.strip()]) <= 20
    short = script.replace("steps=200", "steps=3").replace("particles=20", "particles=2").replace("[:200]", "[:40]")
    spaces: list[dict] = [{}, {}]
    for space in spaces:
        shutil.rmtree(tmp_path / "squares", ignore_errors=True)
        exec(compile(short, str(PAGE), "exec"), space)
    one, two = (space["run"].pair.modules.state_dict() for space in spaces)
    assert all(torch.equal(one[name], two[name]) for name in one), "the second is trained as the first was"
    assert len(np.unique(spaces[0]["images"], axis=0)) == 220, "no test image is a copy of a training image"
    untrained = rnp_pyro.fit(spaces[0]["images"][:40], steps=1, seed=1, progress=False).pair.modules.state_dict()
    assert any(not torch.equal(one[name], untrained[name]) for name in one)
    assert not list(pyro.get_param_store().keys())
    assert "<tree of 4 x 4 parts, 28x28 pixels, squared error" in capsys.readouterr().out
    moved = tmp_path / "elsewhere" / "renamed"
    shutil.copytree(tmp_path / "squares", moved)
    shutil.rmtree(tmp_path / "squares")
    images = spaces[1]["images"][200:]
    again = rnp_pyro.load(moved).parse(images)
    assert torch.equal(again[3].canvas, spaces[1]["trees"][3].canvas)


@pytest.mark.thorough
def test_training_moves_the_parameters(fit, images):
    states = [fit(images, steps=steps).pair.modules.state_dict() for steps in (1, 4)]
    moved = [name for name in states[0] if not torch.equal(states[0][name], states[1][name])]
    assert any(name.startswith("model.") for name in moved)
    assert any(name.startswith("guide.") for name in moved)


@pytest.mark.thorough
def test_the_global_generator_is_left_alone(fit, images):
    before = torch.get_rng_state()
    fit(images)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.thorough
def test_settings_by_their_names(images):
    tiny = {"steps": 4, "seed": 3, "progress": False, "model": MODEL}
    one = rnp_pyro.fit(images, **tiny, train={"batch_size": 6, "learning_rate": 0.01}, guide="full_rank")
    dotted = {"train.batch_size": np.int64(6), "train.learning_rate": 0.01, "guide.name": "full_rank"}
    two = rnp_pyro.fit(images, **tiny, **dotted)
    assert one.config == two.config
    assert (one.config.train.batch_size, one.config.guide.name, one.config.seed) == (6, "full_rank", 3)
    assert (one.config.train.steps, one.config.train.minutes) == (4, None)
    state, other = (run.pair.modules.state_dict() for run in (one, two))
    assert all(torch.equal(state[name], other[name]) for name in state)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"train.batch_sise": 3}, "there is no setting train.batch_sise; did you mean train.batch_size"),
        ({"batch_size": 3}, "did you mean train.batch_size"),
        ({"zzz": 3}, "--help_all lists them"),
        ({"stepz": 3}, r"there is no setting stepz; did you mean steps\?"),
        ({"batch_sise": 3}, "did you mean train.batch_size"),
        ({"labels": [0, 1]}, r"fit\(\{'images': images, 'labels': labels\}\)"),
        ({"train.clip": "many"}, "train.clip: expected a number, got many"),
        ({"train.clip": object()}, "got object"),
        ({"seed": -1}, "seed"),
        ({"minutes": 1, "steps": 2}, "one budget"),
        ({"guide": "nope"}, "expected one of resnet"),
        ({"guide": "ladder", "model": {"node_latents": "none"}}, "nodes"),
        ({"preset": "nope"}, "unknown preset nope"),
        ({"data": "mnist"}, "first argument"),
        ({"run": "folder"}, "out="),
        ({"train": {"steps": 3}, "steps": 4}, "train.steps is given twice"),
        ({"image_size": 2}, "expected"),
        ({"test": np.zeros((3, 9, 9), np.uint8)}, "one shape in all splits"),
    ],
)
def test_settings_that_do_not_fit(fit, images, tmp_path, settings, message):
    with pytest.raises(UserError, match=message) as caught:
        fit(images, out=tmp_path / "run", **settings)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run").exists()


@pytest.mark.thorough
@pytest.mark.parametrize(
    "bad",
    [np.zeros((3, 12, 12), np.uint8), np.full((9, 12, 12), np.nan), np.zeros((9, 12, 2))],
    ids=["few", "nan", "thin"],
)
def test_images_that_do_not_fit_leave_nothing_behind(fit, tmp_path, bad):
    with pytest.raises(UserError):
        fit(bad, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.thorough
def test_a_run_in_a_folder_is_what_the_command_writes(fit, images, tmp_path, monkeypatch):
    monkeypatch.setattr("rnp_pyro.api.training.draw_figures", lambda *arguments: [])
    run = fit(images, out=tmp_path / "run", test=images[:5])
    files = {file.name for file in (tmp_path / "run").iterdir()}
    assert {"config.yaml", "data.json", "model.safetensors", "summary.json", "metrics.csv", "checkpoint.pt"} <= files
    again = rnp_pyro.load(tmp_path / "run")
    assert again.config == run.config
    assert again.origin == run.origin != {}
    assert again.record == run.record
    assert run.record.num_images == {"train": 23, "validation": 1, "test": 5}
    assert yaml.safe_load((tmp_path / "run/config.yaml").read_text())["image_size"] == 12
    with pytest.raises(UserError, match="exists"):
        fit(images, out=tmp_path / "run")
    with pytest.raises(UserError, match="trained on an array, which it does not keep"):
        again.evaluate()


@pytest.mark.thorough
def test_arrays_follow_the_rules_of_a_file_of_them(fit, images, tmp_path):
    """Which value is white too, and the run remembers it for what it is given later."""
    dim = images.astype(np.uint16)
    np.save(tmp_path / "x.npy", dim)
    one, two = fit(dim, white=300), fit(f"array:{tmp_path / 'x.npy'}", white=300, image_size=12)
    assert one.record.fingerprints == two.record.fingerprints
    assert one.record.appearance.white == 300
    assert fit(dim).record.fingerprints != one.record.fingerprints
    assert torch.equal(one.parse(dim[:1])[0].image, two.parse(dim[:1])[0].image)
    assert one.parse(dim[:1])[0].image.max().item() == pytest.approx(dim[0].max() / 300, abs=0.01)


@pytest.fixture
def interrupts(monkeypatch):
    """Send a signal to this process as one step of training begins."""

    def at(step: int, number: int) -> None:
        prepare = Pair.prepare

        def interrupted(pair, images, now):
            if now == step:
                signal.raise_signal(number)
            return prepare(pair, images, now)

        monkeypatch.setattr(Pair, "prepare", interrupted)

    return at


@pytest.mark.thorough
@pytest.mark.parametrize("step", [1, 3], ids=["in the middle", "last"])
def test_an_interrupt_keeps_what_was_trained(fit, images, interrupts, step, capsys, tmp_path):
    """In memory too: a notebook's cell that was stopped has its run."""
    expected = fit(images, steps=step + 1, **{"train.ema": 0.0}).pair.modules.state_dict()
    interrupts(step, signal.SIGINT)
    run = fit(images, **{"train.ema": 0.0})
    assert f"interrupted at step {step + 1}: this is the run as it stands" in capsys.readouterr().err
    state = run.pair.modules.state_dict()
    assert state.keys() == expected.keys()
    if step == 3:
        assert all(torch.equal(state[name], expected[name]) for name in state)
    assert len(rnp_pyro.load(run.save(tmp_path / "kept")).parse(images[:2])) == 2


@pytest.mark.thorough
def test_the_end_of_the_process_ends_training(fit, images, interrupts):
    interrupts(1, signal.SIGTERM)
    with pytest.raises(SystemExit) as ended:
        fit(images)
    assert ended.value.code == 128 + signal.SIGTERM


@pytest.mark.thorough
def test_batches_that_the_devices_cannot_share_leave_nothing_behind(fit, images, tmp_path, monkeypatch):
    several = mock.Mock(world_size=3, is_global_zero=True)
    monkeypatch.setattr("rnp_pyro.api.training.launch", lambda config: several)
    with pytest.raises(UserError, match="a multiple of the 3 devices, got 8"):
        fit(images, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.thorough_after(7)
@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (lambda run, images: run.sample(0), "num must be a whole number of at least 1, got 0"),
        (lambda run, images: run.sample(2, temperature=float("nan")), "temperature of at least 0, got nan"),
        (lambda run, images: run.complete(images, rounds=-1), "rounds must be a whole number of at least 0, got -1"),
        (lambda run, images: run.complete(images, "nonsense"), r"in pixels such as 0,6,12,6, got 'nonsense'"),
        (lambda run, images: run.evaluate(), r"does not keep: give your images .* as in run.evaluate\(images\)"),
        (lambda run, images: run.parse(images)[0].move([1], shift=(float("nan"), 0)), "shift must be finite"),
        (lambda run, images: run.parse(images)[0].move([1], turn=float("inf")), "turn must be finite"),
        (lambda run, images: (one := run.parse(images)[0]).interpolate(one, float("nan")), "weight must be a finite"),
        (lambda run, images: run.parse(images)[0].move([9]), r"no part \[9\]: .* counted from 0, 0 to 2 and 0 to 1"),
        (lambda run, images: run.parse(images)[0].move([]), r"no part \[\]: .*; \[\] is the whole image"),
        (lambda run, images: run.parse(images)[0].move(1, turn=3), r"such as \[1\] or \[1, 2\], got 1"),
        (lambda run, images: run.parse(images)[0].move("1"), r"such as \[1\] or \[1, 2\], got '1'"),
        (lambda run, images: run.parse(images)[0].move([1], shift=3), "shift must be two numbers"),
        (lambda run, images: run.parse(images)[0].replace([0], "x"), "expected another tree, .* got str"),
        (lambda run, images: (one := run.parse(images)[0]).interpolate(one, "x"), "weight must be a finite"),
        (lambda run, images: run.parse(images)[0].truncate("x"), "to cut the tree off at, got x"),
        (lambda run, images: run.complete(images, np.ones((2, 12, 12), bool)), "one mask serves all images"),
        (lambda run, images: run.complete(images, (0, 6, 13, 6)), "inside the image of 12x12 pixels"),
        (lambda run, images: run.evaluate(images[:, :6, :6]), r"got \[2,6,6\]: resize them, .*None\], 12\)"),
        (lambda run, images: rnp_pyro.load(None), "expected the folder of a run, or pretrained:NAME, got NoneType"),
        (lambda run, images: rnp_pyro.from_pretrained(None), "expected the folder of a run"),
        (lambda run, images: rnp_pyro.fit(torch.zeros(9, 12, 12, device="meta")), "on the meta device"),
    ],
)  # fmt: skip
def test_questions_that_make_no_sense(run, images, ask, message):
    with pytest.raises(UserError, match=message) as caught:
        ask(run, images[:2])
    assert "--" not in str(caught.value)


@pytest.mark.thorough
def test_images_are_resized_if_asked(fit, images):
    assert fit(images).image_shape == (1, 12, 12)
    assert fit(images, image_size=10).image_shape == (1, 10, 10)


@pytest.mark.thorough
def test_a_thread_that_is_not_the_first(fit, images):
    """A notebook's cells may run in one: there are no signal handlers there."""
    found: list = []
    thread = threading.Thread(target=lambda: found.append(fit(images)))
    thread.start()
    thread.join()
    assert len(found) == 1


@pytest.mark.thorough
def test_a_saved_run_comes_back(run, fit, images, tmp_path):
    again = rnp_pyro.load(run.save(tmp_path / "saved"))
    codes, expected = again.encode(images), run.encode(images)
    assert codes.keys() == expected.keys() >= {"z.2", "z.1", "pose.1", "action.0"}
    assert all(np.array_equal(codes[name], expected[name]) for name in codes)
    assert again.path == tmp_path / "saved"
    for again_into in (run.save, lambda out: fit(images, out=out)):
        with pytest.raises(UserError, match=r"saved exists: expected a new .* name another") as caught:
            again_into(tmp_path / "saved")
        assert "--run" not in str(caught.value)


@pytest.mark.thorough
def test_images_of_another_size_are_resized_as_the_refusal_says(run, images):
    larger = images.repeat(2, axis=1).repeat(2, axis=2)
    with pytest.raises(UserError) as caught:
        run.parse(larger)
    code = str(caught.value).split("resize them, ")[1].replace("; ", "\nresized = ")
    names = {"torch": torch, "images": larger}
    exec(code, names)
    assert len(run.parse(names["resized"])) == len(images)


@pytest.mark.thorough
def test_a_rectangle_is_hidden_by_four_numbers():
    assert torch.equal(seen_by((0, 6, 12, 6), (1, 12, 12)), seen_by("0,6,12,6", (1, 12, 12)))


@pytest.mark.thorough
def test_mixed_trees_end_at_the_two_and_all_are_written(fit, images, tmp_path):
    trees = fit(images, **{"model.node_latents": "both"}).parse(images[:2])
    one, other = trees
    for weight, end in ((0, one), (1, other)):
        torch.testing.assert_close(one.mix(other, weight).canvas, end.canvas)
    assert sorted(file.name for file in trees.save(tmp_path / "trees").iterdir()) == ["tree-0.json", "tree-1.json"]


@pytest.mark.thorough
def test_a_run_whose_folder_is_gone_parses(run, images, tmp_path):
    """What tells its weights from others is known since it was opened."""
    again = rnp_pyro.load(run.save(tmp_path / "saved"))
    about = again.parse(images[:1])[0].about
    shutil.rmtree(tmp_path / "saved")
    assert again.parse(images[:1])[0].about == about == again.origin
    assert len(about["weights"]) == 64


@pytest.mark.thorough
def test_trees(run, images, tmp_path):
    trees = run.parse(images[:3])
    assert len(trees) == 3
    assert [tree.canvas.shape for tree in trees] == [(1, 12, 12)] * 3
    assert torch.equal(trees[0].image[0] * 255, torch.from_numpy(images[0]).float())
    assert len(trees[1:]) == 2
    assert trees[1].to_json()["num_steps"] == [3, 2]
    assert trees.to_json()[1] == trees[1].to_json()
    assert trees[0].to_networkx().number_of_nodes() == 1 + 3 + 6
    assert trees[0].save(tmp_path / "tree.json").is_file()
    assert trees[0]._repr_png_().startswith(b"\x89PNG")
    assert trees._repr_png_().startswith(b"\x89PNG")
    assert "3 x 2 parts" in repr(trees[0])
    assert repr(trees).startswith("<3 trees")
    with pytest.raises(UserError, match="cannot write to"):
        trees[0].save(tmp_path / "nowhere" / "tree.json")


@pytest.mark.thorough
def test_edits(fit, images):
    """With the root alone random, where a whole tree is its root's program."""
    one, two = fit(images, guide="resnet").parse(images[:2])
    moved = one.move([1], shift=(0.2, 0.0), turn=10)
    assert not torch.equal(moved.canvas, one.canvas)
    assert moved.image is None
    assert "edited" in repr(moved)
    assert moved._repr_png_().startswith(b"\x89PNG")
    swapped, other = one.swap(two, [0])
    back, _ = swapped.swap(other, [0])
    assert torch.allclose(back.canvas, one.canvas)
    assert torch.allclose(one.interpolate(two, 1.0).canvas, two.canvas, atol=1e-5)
    assert torch.allclose(one.replace([], two, []).canvas, two.canvas, atol=1e-5)
    assert one.truncate(1).value.leaf_level == 1
    with pytest.raises(UserError, match="two parts of one level"):
        one.replace([0], two, [0, 1])
    with pytest.raises(UserError, match="no part"):
        one.move([7])


@pytest.mark.thorough
def test_trees_of_different_runs(fit, run, images):
    with pytest.raises(UserError, match="two trees of one run"):
        run.parse(images[:1])[0].swap(fit(images).parse(images[:1])[0], [0])


@pytest.mark.thorough
def test_numbers(run, images):
    found = run.evaluate(images[:5], particles=10, progress=False)
    assert found.nll_by_image.shape == found.khat.shape == (5,)
    assert found.nll == pytest.approx(found.nll_by_image.mean().item())
    assert found.nll <= found.neg_elbo + 1e-6
    assert found.nll_standard_error > 0
    assert run.evaluate(images[:1], particles=2, progress=False).nll_standard_error != 0
    assert run.evaluate(images[:5], particles=10, progress=False).nll == found.nll
    assert "5 images: -log p(x) at most" in repr(found)


@pytest.mark.thorough
def test_samples_and_completions(run, images):
    samples = run.sample(5)
    assert samples.images.shape == (5, 1, 12, 12)
    assert samples.parts.shape == (5, 3, 1, 12, 12)
    assert torch.equal(samples.images, run.sample(5).images)
    assert not torch.equal(samples.images, run.sample(5, seed=1).images)
    hidden = np.zeros((12, 12), bool)
    hidden[6:] = True
    one, two = (run.complete(images[:2], mask, num=3, particles=40, rounds=1) for mask in ("bottom", hidden))
    assert torch.equal(one.images, two.images)
    assert one.draws.shape == (3, 2, 1, 12, 12)
    assert one._repr_png_().startswith(b"\x89PNG")
    assert "50% of each hidden" in repr(one)
    nothing = np.zeros((12, 12), bool)
    for mask in (~nothing, nothing, nothing.astype(float), nothing[:9, :9], "middle"):
        with pytest.raises(UserError, match="mask"):
            run.complete(images[:2], mask)


@pytest.mark.thorough
@pytest.mark.parametrize("call", ["parse", "encode", "evaluate", "complete"])
@pytest.mark.parametrize(
    "bad",
    [np.zeros((2, 9, 9)), np.zeros((12, 12)), np.full((2, 12, 12), -200.0), None],
    ids=["another size", "one image", "from -200", "none"],
)
def test_images_of_another_kind(run, call, bad):
    if call == "evaluate" and bad is None:
        bad = "images"
    with pytest.raises(UserError) as caught:
        getattr(run, call)(bad)
    assert "\n" not in str(caught.value)


@pytest.mark.thorough
def test_a_run_says_what_it_is(run):
    expected = "<run of rnp with guide ladder, trained on 21 grey images of 12x12 pixels (array), in memory>"
    assert repr(run) == expected
    assert run._repr_png_().startswith(b"\x89PNG")
    assert run.model is run.pair.model
    assert run.guide is run.pair.guide


@pytest.mark.thorough
def test_the_flat_baseline(fit, images):
    run = fit(images, **{"model.name": "vae"})
    assert run.sample(3).parts is None
    assert set(run.encode(images[:2])) == {"z.0", "posterior_scale.0"}
    with pytest.raises(UserError, match="a model with parts"):
        run.parse(images[:2])


@pytest.mark.thorough
def test_colour_images_and_labels(fit):
    random = np.random.default_rng(0)
    pairs = [(torch.from_numpy(random.random((3, 12, 12), np.float32)), at % 2) for at in range(24)]
    run = fit(torch.utils.data.Subset(pairs, range(24)))
    assert run.image_shape == (3, 12, 12)
    assert len(run.parse(torch.stack([image for image, _ in pairs[:2]]))) == 2


@pytest.mark.thorough
def test_a_data_set_by_its_name(fit):
    run = fit("mnist-sample", image_size=12, steps=1)
    assert run.record.name == "mnist-sample"
    assert run.record.appearance.digits
    assert run.data.train.shape[1:] == (1, 12, 12)
    with pytest.raises(UserError, match="expected a folder of images") as caught:
        fit(Path("no such folder"))
    assert "have moved" not in str(caught.value), "there is no run"
