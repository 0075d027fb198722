"""Settings from the command line: presets, files and options, errors in one line, and a help without gaps."""

import re
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import yaml
from jsonargparse import ArgumentError

from examples.shared.cli import run_command
from rnp_pyro.api.settings import BUDGETS, config_parser, parse_config, preset_file, preset_names
from rnp_pyro.config import Config
from rnp_pyro.data_sets import known_forms
from rnp_pyro.errors import UserError


def parse(*arguments: object, base: Path | None = None) -> Config:
    return parse_config(config_parser("train_svi", ""), [str(argument) for argument in arguments], base)[0]


def budget(config: Config) -> dict[str, Any]:
    return {name: getattr(config.train, name) for name in BUDGETS if getattr(config.train, name) is not None}


@pytest.fixture
def write(tmp_path: Path):
    """Write a settings file."""

    def settings(content: str | bytes, name: str = "settings.yaml") -> Path:
        path = tmp_path / name
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    return settings


# Presets


def test_the_presets():
    assert preset_names() == ["authors-mnist", "mnist", "paper-mnist", "paper-omniglot", "quickstart", "root-only"]


CLOSED = replace(Config(), train=replace(Config().train, objective="analytic_kl"))
SUITED = replace(CLOSED, model=replace(CLOSED.model, node_latents="state"), guide=replace(CLOSED.guide, name="ladder"))
"""What the commands take where nobody names nodes, guide and objective."""


def test_quickstart_is_the_default_and_root_only_is_the_papers():
    assert parse() == parse("--preset=quickstart") == SUITED
    assert parse("--preset=root-only") == CLOSED


@pytest.mark.parametrize(
    ("given", "nodes", "guide"),
    [
        ([], "state", "ladder"),
        (["--preset=mnist"], "state", "ladder"),
        (["--preset=paper-mnist"], "none", "resnet"),
        (["--model.name=vae"], "none", "resnet"),
        (["--guide.name=flow"], "none", "flow"),
        (["--guide.root=flow"], "state", "ladder"),
        (["--guide.name=ladder"], "state", "ladder"),
        (["--model.node_latents=none"], "none", "resnet"),
        (["--model.node_latents=both"], "both", "ladder"),
        (["--model.node_latents=both", "--guide.name=resnet"], "both", "resnet"),
    ],
    ids=str,
)
def test_nodes_and_guide_follow_each_other(given, nodes, guide):
    config = parse(*given)
    assert (config.model.node_latents, config.guide.name) == (nodes, guide)


@pytest.mark.parametrize(
    ("given", "objective"),
    [
        ([], "analytic_kl"),
        (["--model.name=vae"], "analytic_kl"),
        (["--guide.name=flow"], "elbo"),
        (["--guide.name=resnet", "--guide.root=full_rank"], "elbo"),
        (["--guide.root=flow"], "analytic_kl"),
        (["--model.prior=mixture", "--guide.name=resnet"], "analytic_kl"),
        (["--guide.refine_steps=1"], "elbo"),
        (["--train.free_bits=2"], "elbo"),
        (["--train.objective=elbo"], "elbo"),
        (["--train.objective=iwae", "--train.num_particles=2"], "iwae"),
    ],
    ids=str,
)
def test_the_kl_is_closed_where_it_can_be(given, objective):
    assert parse(*given).train.objective == objective


def test_a_file_names_nodes_and_guide_too(write):
    assert parse(f"--config={write('guide: {name: full_rank}')}").model.node_latents == "none"


@pytest.mark.thorough
def test_the_name_of_the_preset():
    parser = config_parser("train_svi", "")
    assert parse_config(parser, [])[1] == "quickstart"
    assert parse_config(parser, ["--preset", "mnist"])[1] == "mnist"
    assert parse_config(parser, ["--preset=mnist", "--preset=paper-mnist"])[1] == "paper-mnist"


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_whole(name):
    """A preset gives one budget, and names only settings that exist."""
    config = parse("--preset", name)
    assert len(budget(config)) == 1
    assert isinstance(config, Config)


@pytest.mark.thorough
def test_presets_say_what_the_issue_says():
    paper, authors, mnist = (parse("--preset", name) for name in ("paper-mnist", "authors-mnist", "mnist"))
    assert (paper.data, authors.data, mnist.data) == ("mnist", "mnist", "mnist")
    assert (paper.model.latent_size, paper.model.likelihood, paper.model.tree.composition) == (32, "normal", "sum")
    assert paper.model.pixel_scale**2 == pytest.approx(0.5)
    assert (paper.train.optimizer, paper.train.learning_rate, paper.train.epochs) == ("adam", 4e-5, 200)
    assert paper.model.tree.feedback
    assert (authors.model.latent_size, authors.model.tree.num_steps) == (16, (4, 4))
    assert authors.model.pixel_scale**2 == pytest.approx(0.1)
    assert replace(mnist, data="mnist-sample", train=replace(mnist.train, minutes=5.0)) == SUITED


@pytest.mark.thorough_after(2)
@pytest.mark.parametrize("arguments", [["--preset=nope"], ["--preset", "nope"], ["--preset="], ["--preset"]])
def test_unknown_preset(arguments):
    with pytest.raises(UserError, match=r"unknown preset (nope)?: expected one of authors-mnist, mnist, "):
        parse(*arguments)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("name", ["preset", "resume"])
def test_what_is_no_setting_is_refused_in_a_file(call, write, name):
    message = call("train_svi", "--config", write(f"{name}: mnist\n")).error
    assert message == f"a settings file cannot hold {name}: give it on the command line, with --{name}"


# Precedence


def test_options_win_over_files_and_files_over_presets(write):
    file = write("seed: 1\nmodel: {latent_size: 7}\n")
    config = parse("--preset=mnist", f"--config={file}", "--seed=2")
    assert (config.data, config.seed, config.model.latent_size) == ("mnist", 2, 7)


def test_a_base_file_replaces_the_preset(write):
    config = parse("--seed=2", base=write("seed: 1\nimage_size: 14\n"))
    assert (config.seed, config.image_size) == (2, 14)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("option", "expected"),
    [
        ("--train.steps=9", {"steps": 9}),
        ("--train.epochs=0.5", {"epochs": 0.5}),
        ("--train.minutes=0.1", {"minutes": 0.1}),
        ("--train.schedule=schedule.json", {"schedule": "schedule.json"}),
    ],
)
@pytest.mark.parametrize("preset", ["quickstart", "paper-mnist"])
def test_a_budget_on_the_command_line_replaces_the_preset_s(preset, option, expected):
    assert budget(parse(f"--preset={preset}", option)) == expected
    assert budget(parse(f"--preset={preset}", *option.split("="))) == expected


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("order", [1, -1])
def test_a_budget_on_the_command_line_replaces_a_file_s(write, order):
    file = write("train: {minutes: 3, epochs: null}\n")
    assert budget(parse(*[f"--config={file}", "--train.steps=9"][::order])) == {"steps": 9}


@pytest.mark.thorough
def test_two_budgets_remain_two(write):
    """They are refused where the budget is used."""
    assert budget(parse("--train.steps=9", "--train.epochs=1")) == {"steps": 9, "epochs": 1}
    assert budget(parse("--config", write("train: {steps: 9}\n"))) == {"minutes": 5, "steps": 9}


@pytest.mark.thorough
def test_two_budgets_are_refused(call, tiny, tmp_path, grey, write):
    options = *tiny, "--run", tmp_path / "run", f"--data=folder:{grey}"
    came = "expected one budget of --train.minutes, --train.steps and --train.epochs, got minutes 5, steps 9"
    assert call("train_svi", *options, "--config", write("train: {steps: 9}\n")).error == came
    assert call("train_svi", *options, "--train.minutes=5", "--train.steps=9").error == came
    assert not (tmp_path / "run").exists()


# --print_config


@pytest.mark.thorough
@pytest.mark.parametrize("name", preset_names())
def test_what_is_printed_can_be_read(call, write, name):
    printed = call("train_svi", "--preset", name, "--print_config")
    assert printed.status == 0
    assert printed.err == ""
    assert parse("--config", write(printed.out)) == parse("--preset", name)


@pytest.mark.thorough
def test_what_is_printed_has_the_options_too(call, write):
    options = [
        "--preset=paper-mnist",
        "--seed=5",
        "--train.steps=7",
        "--model.tree.num_steps=[2,3,4]",
        "--model.tree.scale_limits=[[0.1,0.2],[0.2,0.3],[0.3,0.4]]",
        "--data=folder:some where",
        "--fabric.devices=2",
    ]
    printed = call("train_svi", *options, "--print_config").out
    assert parse("--config", write(printed)) == parse(*options)
    assert parse(base=write(printed)) == parse(*options)
    assert {"preset", "config", "print_config"}.isdisjoint(yaml.safe_load(printed))


# Errors


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--nope=3"], "--nope"),
        (["--trian.steps=3"], "--trian.steps"),
        (["--train.stepz=3"], "--train.stepz"),
        (["--train.step=3"], "--train.step"),  # no abbreviations
        (["stray"], "stray"),
        (["--seed=zero"], "--seed"),
        (["--seed=1.5"], "--seed"),
        (["--train.steps=many"], "--train.steps"),
        (["--model.likelihood=poisson"], "--model.likelihood"),
        (["--model.tree.num_steps=[a]"], "--model.tree.num_steps"),
        (["--model.tree.scale_limits=[0.1,0.2]"], "--model.tree.scale_limits"),
        (["--model.tree.feedback=perhaps"], "--model.tree.feedback"),
        (["--train.learning_rate=nan"], "--train.learning_rate"),
        (["--train.steps"], "--train.steps"),
        (["--config=nowhere.yaml"], "nowhere.yaml"),
        (["--config=."], "--config"),
        (["--resume"], "expected a run directory"),
        (["--resume="], "expected a run directory"),
    ],
)
def test_an_option_that_does_not_fit(call, tmp_path, monkeypatch, arguments, expected):
    monkeypatch.chdir(tmp_path)
    assert expected in call("train_svi", *arguments).error
    assert not list(tmp_path.iterdir())


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize(
    ("content", "expected"),
    [
        ("nope: 3\n", "nope"),
        ("train: {stepz: 3}\n", "stepz"),
        ("seed: zero\n", "--seed"),
        ("seed: [1\n", "plain YAML, got other text in line 2"),
        ("- 1\n- 2\n", "config"),
        ("hello\n", "config"),
        ("", "config"),
        ("model: 3\n", "--model: expected names and values of settings, got 3"),
        ("model: null\n", "--model: expected names and values of settings, got None"),
        ("model: {tree: [1]}\n", "--model.tree: expected names and values of settings, got [1]"),
        ("a: &a [*a]\n", "without aliases"),
        ('seed: !!python/object/apply:os.system ["true"]\n', "plain YAML"),
        ("seed: " + "[" * 30 + "]" * 30, "at most 20 levels"),
        ("data: " + "x" * 2**20, "at most 1 MiB"),
        ("config: other.yaml\n", "a settings file cannot name another one"),
        ("data: 2001-13-01\n", "plain YAML"),
        (b"\x80\x81", "YAML"),
        (b"seed: \x00", "expected a settings file in UTF-8"),
    ],
)
def test_a_file_that_does_not_fit(call, tmp_path, write, content, expected):
    done = call("train_svi", "--config", write(content), "--run", tmp_path / "run")
    assert expected in done.error
    assert not (tmp_path / "run").exists()


def ends(command, monkeypatch) -> int:
    monkeypatch.setattr("sys.argv", ["command"])
    with pytest.raises(SystemExit) as ended:
        run_command(command)
    return ended.value.code


@pytest.mark.parametrize("error", [UserError("two\n  lines"), ArgumentError(None, "two\nlines")])
def test_errors_are_one_line(monkeypatch, capsys, error):
    def command(arguments):
        raise error

    assert ends(command, monkeypatch) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: two lines")
    assert err.count("\n") == 1


def test_a_file_that_cannot_be_written_is_named(monkeypatch, capsys, tmp_path):
    def command(arguments):
        (tmp_path / "nowhere" / "x").write_text("")

    assert ends(command, monkeypatch) == 2
    assert capsys.readouterr().err == f"error: cannot read or write {tmp_path}/nowhere/x: No such file or directory\n"


def test_a_full_disk_is_named_though_its_file_is_not(monkeypatch, capsys):
    """A write into an open file knows no name."""

    def command(arguments):
        raise OSError(28, "No space left on device")

    assert ends(command, monkeypatch) == 2
    assert capsys.readouterr().err == "error: cannot write: No space left on device\n"


def test_an_interrupt_is_no_traceback(monkeypatch, capsys):
    def command(arguments):
        raise KeyboardInterrupt

    assert ends(command, monkeypatch) == 130
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("mistake", [ValueError("ours"), OSError("ours")])
def test_a_mistake_of_ours_is_a_traceback(monkeypatch, mistake):
    def command(arguments):
        raise mistake

    monkeypatch.setattr("sys.argv", ["command"])
    with pytest.raises(type(mistake), match="ours"):
        run_command(command)


# --help


def settings(of: type = Config, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Names and types of all settings, without the groups that hold them."""
    for field in fields(of):
        if is_dataclass(field.type):
            yield from settings(field.type, f"{prefix}{field.name}.")
        else:
            yield f"{prefix}{field.name}", field.type


@pytest.fixture(scope="module")
def help_texts() -> dict[str, str]:
    """What ``--help`` says of each option, on one line, without type and default."""
    text = config_parser("train_svi", "").format_help()
    parts = re.split(r"^  --(\S+)", text[text.index("\noptions:") :], flags=re.MULTILINE)
    names, bodies = parts[1::2], parts[2::2]
    return {name: re.sub(r"\(type: .*", "", " ".join(body.split())) for name, body in zip(names, bodies, strict=True)}


def test_every_setting_is_documented(help_texts):
    for name, _ in settings():
        words = help_texts[name].split()
        assert len(words) >= 3, f"--{name} needs a line in its dataclass's docstring"


UNITS = {
    "image_size": "pixels",
    "seed": "Seed",
    "white": "value of your own images' pixels",
    "model.latent_size": "Size",
    "model.pixel_scale": "[0, 1]",
    "model.part_term_weight": "at least 0",
    "model.tree.num_steps": "Children",
    "model.tree.canvas_sizes": "pixels",
    "model.tree.patch_size": "pixels",
    "model.tree.scale_limits": "share",
    "model.tree.rotation_limit": "radians",
    "model.tree.shear_limit": "slope",
    "model.tree.action_gain": "above 0",
    "model.tree.hypernet_layers": "at least 2",
    "model.tree.hypernet_size": "Units",
    "model.tree.hidden_size": "Units",
    "model.tree.ink": "0 to 1",
    "model.tree.leak": "probability",
    "model.tree.chunk": "at least 1",
    "guide.refine_steps": "Gradient steps",
    "guide.refine_rate": "standard deviations",
    "guide.refine_particles": "Draws",
    "train.minutes": "minutes",
    "train.steps": "Steps",
    "train.epochs": "Passes",
    "train.num_particles": "Number of draws",
    "train.free_bits": "Nats per image",
    "train.batch_size": "Images per step",
    "train.accumulate": "Parts in which",
    "train.learning_rate": "learning rate",
    "train.weight_decay": "per step",
    "train.lr_warmup": "Share",
    "train.lr_warmup_steps": "Steps",
    "train.lr_final": "share",
    "train.clip": "nats per image",
    "train.kl_warmup": "Share",
    "train.kl_floor": "at most 1",
    "train.ema": "per step",
    "train.finish.share": "below 1",
    "train.finish.num_particles": "for each image and step",
    "train.finish.learning_rate": "Learning rate at",
    "train.log_every": "Steps",
    "train.checkpoint_minutes": "Minutes",
    "train.validation_images": "Images",
    "fabric.devices": "How many",
    "fabric.num_nodes": "How many machines",
}
"""What tells the unit or range of every number."""


def test_every_number_names_its_unit(help_texts):
    numbers = {name for name, kind in settings() if kind in (int, float) or re.search(r"\b(int|float)\b", str(kind))}
    assert numbers == set(UNITS), "a new number needs a unit here and in its docstring"
    for name, unit in UNITS.items():
        assert unit in help_texts[name], name


def test_help(call):
    done = call("train_svi", "--help_all")
    assert done.status == 0
    assert done.err == ""
    for name in ("--preset", "--config", "--print_config", "--resume", *(f"--{name}" for name, _ in settings())):
        assert f"  {name}" in done.out
    for preset in preset_names():
        assert preset in done.out


def test_preset_files_exist():
    assert all(preset_file(name).is_file() for name in preset_names())


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize(
    ("arguments", "canvas_sizes", "patch_size"),
    [
        ([], (16,), 8),
        (["--image_size=64"], (36,), 16),
        (["--image_size=128", "--model.tree.num_steps=[4,4,4]"], (72, 40), 16),
        (["--model.tree.num_steps=[3]"], (), 14),
        (["--image_size=64", "--model.tree.patch_size=8"], (36,), 8),
        (["--image_size=64", "--model.tree.canvas_sizes=[20]"], (20,), 16),
        (["--image_size=64", "--preset=paper-mnist"], (16,), 8),
    ],
)
def test_sizes_that_nobody_named_suit_the_images(arguments, canvas_sizes, patch_size):
    config = parse(*arguments)
    assert (config.model.tree.canvas_sizes, config.model.tree.patch_size) == (canvas_sizes, patch_size)


@pytest.mark.thorough
def test_settings_from_before_inversion_mean_none(tmp_path):
    (tmp_path / "config.yaml").write_text("data: mnist\nimage_size: 64\n")
    config = parse(base=tmp_path / "config.yaml")
    assert (config.invert, config.white, config.splits) == (False, "full", "mixed")
    assert (config.model.tree.canvas_sizes, config.model.tree.patch_size) == ((16,), 8)
    (tmp_path / "config.yaml").write_text("data: mnist\ninvert: auto\nwhite: 7\n")
    config = parse(base=tmp_path / "config.yaml")
    assert (config.invert, config.white, config.splits) == ("auto", 7.0, "named")


def test_help_lists_every_data_set(help_texts):
    for form in known_forms():
        assert form in help_texts["data"].replace(" ", "")  # names are broken at hyphens
