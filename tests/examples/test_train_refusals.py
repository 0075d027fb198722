"""What the training command refuses: data, settings, schedules, and places to write."""

from functools import partial
from pathlib import Path

import pytest
from run_files import files

from guides import GUIDES
from rnp_pyro.checkpoint import load_checkpoint


@pytest.fixture
def refuse(refused, tiny, tmp_path):
    """Expect one line of error, and every file as it was; return the line."""
    return partial(refused, "train_svi", *tiny, "--run", tmp_path / "run", "--train.steps=4")


@pytest.mark.thorough
def test_the_run_directory_exists(refuse, tmp_path, grey):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    message = refuse(f"--data=folder:{grey}")
    assert message == (
        f"run directory {tmp_path / 'run'} exists: expected a new one; "
        f"choose another with --run, or go on with --resume {tmp_path / 'run'}"
    )


@pytest.mark.thorough
def test_the_run_directory_cannot_be_made(refuse, tmp_path, grey):
    (tmp_path / "file").touch()
    assert "cannot make the run directory" in refuse(f"--data=folder:{grey}", f"--run={tmp_path}/file/run")


@pytest.fixture
def pictures(save_images, tmp_path) -> Path:
    """A folder to spoil."""
    return save_images(tmp_path / "pictures", count=6)


def test_an_empty_folder(refuse, tmp_path):
    (tmp_path / "empty").mkdir()
    assert "at least 4 images" in refuse(f"--data=folder:{tmp_path / 'empty'}")


def test_a_missing_folder(refuse, tmp_path):
    message = refuse(f"--data=folder:{tmp_path / 'nowhere'}")
    assert message.endswith("which does not exist: name a folder as folder:PATH"), "there is no run to speak of"


@pytest.mark.thorough
def test_a_text_file_among_the_images(train, pictures):
    (pictures / "notes.txt").write_text("not an image")
    done = train(f"--data=folder:{pictures}")
    assert done.status == 0
    assert "note: passed over 1 file that is no image: 1 .txt" in done.err


@pytest.mark.thorough
def test_a_text_file_that_is_named_as_an_image(refuse, pictures):
    (pictures / "notes.png").write_text("not an image")
    assert "notes.png" in refuse(f"--data=folder:{pictures}")


def test_an_image_of_0_bytes(refuse, pictures):
    (pictures / "zero.png").touch()
    assert "empty (0 bytes)" in refuse(f"--data=folder:{pictures}")


def test_a_truncated_image(refuse, pictures):
    content = (pictures / "000.png").read_bytes()
    (pictures / "000.png").write_bytes(content[: len(content) // 2])
    assert "truncated or damaged" in refuse(f"--data=folder:{pictures}")


@pytest.mark.thorough
@pytest.mark.usefixtures("no_figures")
def test_images_of_mixed_sizes(refuse, train, pictures, save_images):
    save_images(pictures / "more", count=6, size=(12, 20))
    assert "--mixed_sizes true" in refuse(f"--data=folder:{pictures}")
    assert train(f"--data=folder:{pictures}", "--mixed_sizes=true").status == 0


def test_a_truncated_archive(refuse, tmp_path, mnist):
    (tmp_path / "data").mkdir()
    (tmp_path / "data/mnist.npz").write_bytes((mnist / "mnist.npz").read_bytes()[:3000])
    message = refuse("--data=mnist", f"--data_dir={tmp_path / 'data'}")
    assert "mnist.npz" in message
    assert "cannot be read" in message


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--model.tree.canvas_sizes=[8,8]"], "canvas_sizes must give 1 sizes"),
        (["--model.tree.num_steps=[3]", "--model.tree.canvas_sizes=[8]"], "canvas_sizes must give 0 sizes"),
        (["--model.tree.num_steps=[]"], "num_steps must give at least 1 step"),
        (["--model.tree.num_steps=[3,0]"], "num_steps must give at least 1 step"),
        (["--model.tree.canvas_sizes=[0]"], "canvas_sizes must be at least 1"),
        (["--model.tree.patch_size=0"], "patch_size must be at least 1"),
        (["--model.latent_size=0"], "latent_size must be at least 1"),
        (["--model.tree.scale_limits=[[0.1,0.3],[0.1,0.3],[0.1,0.3]]"], "scale_limits must be 1 or 2 pairs"),
        (["--model.tree.scale_limits=[[0.2,2]]"], "a part must fit into its parent"),
        (["--image_size=2"], "at least 4 pixels"),
        (["--model.tree.composition=sum"], "a sum of parts may exceed 1, which the bernoulli likelihood cannot take"),
        (
            ["--model.tree.composition=sum", "--model.likelihood=continuous_bernoulli"],
            "a sum of parts may exceed 1, which the continuous_bernoulli likelihood cannot take",
        ),
        (["--model.tree.patch_activation=relu6"], "expected patch_activation sigmoid, got relu6"),
        (["--model.name=nope"], "--model.name: expected one of rnp, vae, got nope"),
        (["--guide.name=nope"], f"--guide.name: expected one of {', '.join(GUIDES)}, got nope"),
        (["--seed=-1"], "--seed must be within [0, 2^63), got -1"),
        (["--seed=99999999999999999999"], "--seed must be within"),
        (["--train.kl_floor=0"], "--train.kl_floor must be above 0"),
        (["--train.ema=1"], "--train.ema must be at least 0 and below 1"),
        (["--train.batch_size=0"], "--train.batch_size must be at least 1"),
        (["--train.steps=0"], "--train.steps must be above 0"),
        (["--train.steps=null"], "expected one budget"),
        (["--train.minutes=1"], "expected one budget"),
        (["--fabric.accelerator=nope"], "expected devices that this machine has, got accelerator nope,"),
        (["--fabric.devices=nope"], "expected devices that this machine has, got accelerator auto, devices nope,"),
        (["--fabric.precision=bf16-true"], "--fabric.precision: expected one of 32-true, bf16-mixed"),
    ],
)
def test_settings_that_do_not_fit(refuse, grey, arguments, expected):
    assert expected in refuse(f"--data=folder:{grey}", *arguments)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("data", ["nope", "mnist:3", "mnist:", ""])
def test_unknown_data(refuse, data):
    assert refuse(f"--data={data}").startswith("expected a data set, one of mnist-sample")


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize(("data", "form"), [("folder:", "folder:PATH"), ("array", "array:FILE")])
def test_a_path_that_is_missing(refuse, data, form):
    told = f"expected {form}, got {data!r}, without its {form.split(':')[1]}: name it as {form}"
    assert refuse(f"--data={data}") == told


@pytest.mark.thorough
@pytest.mark.parametrize("content", ["{}", "[0.5]", '{"progress": []}', '{"progress": ["a"]}', '"x"', "no json"])
def test_a_schedule_that_is_none(refuse, tmp_path, grey, content):
    (tmp_path / "schedule.json").write_text(content)
    options = f"--data=folder:{grey}", "--train.steps=null", f"--train.schedule={tmp_path / 'schedule.json'}"
    assert refuse(*options).startswith("expected ")
    assert refuse(*options[:2], f"--train.schedule={tmp_path / 'nowhere.json'}").startswith("cannot read ")
    assert refuse(*options, "--train.minutes=1") == "--train.schedule is a budget itself: leave --train.minutes out"


@pytest.mark.thorough
def test_a_loss_that_is_not_finite_leaves_a_checkpoint(train, tmp_path, grey):
    done = train(f"--data=folder:{grey}", "--train.steps=50", "--train.learning_rate=1e30", "--train.lr_warmup=0")
    assert done.status == 2
    assert "is not finite" in done.err
    assert len([line for line in done.err.splitlines() if not line.startswith("note: ")]) == 1
    assert load_checkpoint(tmp_path / "run/checkpoint.pt")["step"] == 0
    assert "model.safetensors" not in files(tmp_path / "run")
