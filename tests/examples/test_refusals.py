"""Every command refuses what it cannot use: a table of commands by refusals.

A refusal is one line on standard error and exit status 2, and it leaves every file as it was (the fixture
``refused``). What a command shares with others is tested here, for all that share it; what is its own, in its own file.
"""

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path
from unittest import mock

import pytest
from PIL import Image

import examples


@dataclass(frozen=True)
class Command:
    """One row of the table: a call that would end well, in pieces.

    Args:
        run: Arguments that name run directories, with ``{run}`` in place of each; empty if the command takes none.
        rest: What else a short call needs.
        files: Options that name a file to write, with a name that fits.
        folder: The option that names a folder to write.
        opens: Whether it opens weights and images; otherwise it reads settings and summaries.
        parts: Whether it needs a model with parts.
        goes_on: Whether it goes on in files that are there, and so replaces them unasked.
    """

    run: tuple[str, ...] = ()
    rest: tuple[str, ...] = ()
    files: dict[str, str] = field(default_factory=dict)
    folder: str | None = None
    opens: bool = True
    parts: bool = False
    goes_on: bool = False


COMMANDS = {
    "ablate_guides": Command(
        rest=("--minutes=0.001", "--guides=[resnet]", "--node_latents=[none]", "--seeds=[0]"), folder="--out"
    ),
    "benchmark": Command(
        rest=("--batch_size=1", "--rounds=2", "--growth=false"), files={"--json": "x.json", "--figure": "x.png"}
    ),
    "compare_completions": Command(
        run=("{run}", "{run}"), rest=("--images=1", "--particles=4", "--rounds=1"), files={"--json": "x.json"}
    ),
    "compare_runs": Command(run=("--first", "{run}", "{run}", "--second", "{run}", "{run}"), opens=False),
    "cost_model": Command(rest=("--batch_size=1", "--rounds=3")),
    "edit": Command(run=("{run}", "truncate"), rest=("--index", "0"), folder="--out", parts=True),
    "encode": Command(run=("{run}",), rest=("--limit=1",), files={"--out": "x.npz"}),
    "evaluate": Command(
        run=("{run}",), rest=("--particles=2", "--images=1"), files={"--json": "x.json", "--arviz": "x.nc"}
    ),
    "parse": Command(run=("{run}",), rest=("--index", "0"), folder="--out", parts=True),
    "play": Command(run=("{run}",), rest=("--port=0",), parts=True),
    "prepare_data": Command(rest=("omniglot", "--source=nowhere"), folder="--out"),
    "reference_posterior": Command(
        run=("{run}",),
        rest=(
            *("--images", "0", "--chains=2", "--warmup=1", "--draws=4", "--population=2", "--particles=30"),
            *("--climb=1", "--bound_draws=2", "--processes=1"),
        ),
        files={"--json": "x.json", "--figure": "x.png", "--markdown": "x.md"},
        goes_on=True,
    ),
    "sample": Command(run=("{run}",), rest=("--num=1",), folder="--out"),
    "tiny_rnp": Command(rest=("--steps=2",), files={"--out": "x.png"}),
    "interpolate": Command(
        run=("{run}",),
        rest=("--images=8", "--clusters=2", "--pairs=1", "--steps=3", "--particles=2"),
        folder="--out",
        parts=True,
    ),
    "score_samples": Command(run=("{run}",), rest=("--num=8", "--steps=1"), files={"--json": "x.json"}),
    "topography": Command(run=("{run}",), rest=("--images=8", "--clusters=2"), folder="--out", parts=True),
    "transfer": Command(
        run=("{run}",),
        rest=("--new=mnist-sample", "--counts", "1", "--steps=1", "--images=2"),
        folder="--out",
        goes_on=True,
    ),
    "train_svi": Command(run=("--resume", "{run}"), opens=False),
}
"""Each command; a new one needs a row."""

OPENING = [name for name, command in COMMANDS.items() if command.run and command.opens]
TAKING_RUNS = [name for name, command in COMMANDS.items() if command.run]
FILES = [(name, option) for name, command in COMMANDS.items() for option in command.files]
FOLDERS = [name for name, command in COMMANDS.items() if command.folder and name != "prepare_data"]
"""Commands that write a folder; prepare_data needs a data set's official files: see test_prepare_data.py."""
CHOOSING = [("parse", "--image"), ("edit", "--image"), ("sample", "--given")]
"""Commands that take a user's own pictures, and the option."""

OPTIONS = {
    "--seed": [("-1", "--seed must be"), (str(2**70), "--seed must be"), ("x", "--seed: expected a whole number")],
    "--split": [("nope", "got nope; see --help")],
    "--particles": [
        ("0", "--particles must be"),
        ("1000000000000", "--particles must be"),
        ("many", "--particles: expected a whole number, got many"),
    ],
    "--rounds": [("-1", "--rounds"), ("x", "--rounds: expected a whole number, got x")],
    "--accelerator": [("nope", "You selected an invalid accelerator name")],
    "--mask": [("middle", "left, right, top, bottom"), ("0,0,99,1", "inside the image of 12x12 pixels")],
    "--overwrite": [("perhaps", "--overwrite: expected true or false, got perhaps")],
    "--batch_size": [("0", "--batch_size must be at least 1")],
    "--as_is": [("perhaps", "--as_is: expected true or false, got perhaps")],
}
"""Options that several commands have, and values that none of them takes."""


Refuse = Callable[..., str]


@pytest.fixture
def arguments(tmp_path: Path, digits_run) -> Callable[..., list[str]]:
    """Return a call's arguments: with ``run`` for its runs, and somewhere to write unless ``written`` is false."""

    def pieces(name: str, run: Path | None = None, written: bool = True) -> list[str]:
        command = COMMANDS[name]
        named = [one.format(run=run or digits_run[0]) for one in command.run]
        folder = [f"{command.folder}={tmp_path / 'out'}"] if command.folder and written else []
        needed = [f"--out={tmp_path / file}" for option, file in command.files.items() if option == "--out" and written]
        return [*named, *command.rest, *folder, *needed]

    return pieces


def test_every_command_has_a_row():
    files = Path(examples.__file__).parent.glob("*.py")
    assert {file.stem for file in files if "__main__" in file.read_text()} == set(COMMANDS)


# Options


@pytest.fixture(scope="session")
def help_of(call) -> Callable[[str], str]:
    """Return a command's help, asked for once."""
    known: dict[str, str] = {}

    def text(name: str) -> str:
        if name not in known:
            known[name] = call(name, "--help").out
        return known[name]

    return text


@pytest.mark.thorough_after(10)
@pytest.mark.parametrize("name", COMMANDS)
def test_a_row_names_all_that_a_command_takes(help_of, name: str):
    """So that a new option to write, or for runs and pictures, is in the table."""
    text, command = help_of(name), COMMANDS[name]
    assert ("RUN" in text or "--resume" in text) == bool(command.run)
    named = {*command.files, command.folder} - {None}
    assert all(f"  {option} " in text for option in named)
    writing = {"--json", "--arviz", "--out", "--figure", "--markdown"}
    assert {option for option in writing if f"  {option} " in text} == named
    assert ("--index" in text) == (name in dict(CHOOSING))


@pytest.mark.thorough_after(7)
@pytest.mark.parametrize("name", COMMANDS)
@pytest.mark.parametrize("argument", ["--no_such_option=1", "--see=1"])
def test_an_unknown_option(refused: Refuse, arguments, name: str, argument: str):
    """An option's beginning is none either."""
    assert argument.split("=")[0] in refused(name, *arguments(name), argument)


@pytest.mark.thorough_after(7)
@pytest.mark.parametrize("name", [name for name in TAKING_RUNS if name not in ("train_svi", "play")])
def test_no_run_is_named(refused: Refuse, arguments, name: str):
    without = [one for one in arguments(name) if one.startswith("--out")]
    message = refused(name, *without)
    assert "RUN" in message or "--first" in message


@pytest.mark.thorough_after(7)
@pytest.mark.parametrize("name", [name for name in COMMANDS if name != "train_svi"])
@pytest.mark.parametrize("option", OPTIONS)
def test_a_value_that_does_not_fit(refused: Refuse, arguments, help_of, name: str, option: str):
    """For each command that has the option."""
    if f"  {option} " not in help_of(name):
        assert option in refused(name, *arguments(name), f"{option}={OPTIONS[option][0][0]}")
        return
    image = ["--index", "0"] if name == "sample" else []  # whose mask and particles are for an image
    for value, expected in OPTIONS[option]:
        assert expected in refused(name, *arguments(name), *image, f"{option}={value}")


# Runs


@pytest.mark.thorough_after(3)
@pytest.mark.parametrize("name", TAKING_RUNS)
def test_what_is_no_run(refused: Refuse, arguments, tmp_path: Path, grey: Path, name: str):
    for path in (tmp_path / "nowhere", grey):
        message = refused(name, *arguments(name, path))
        assert message == f"expected a run directory with a config.yaml, got {path}: name one that train_svi wrote"


@pytest.mark.thorough
@pytest.mark.parametrize("name", TAKING_RUNS)
def test_damaged_settings(refused: Refuse, arguments, finished: Path, name: str):
    for content in (b"", b"a: [", b"\x80\xff", b"nope: 3\n", b"seed: x\n"):
        (finished / "config.yaml").write_bytes(content)
        refused(name, *arguments(name, finished))


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("name", OPENING)
def test_a_run_whose_training_has_not_ended(refused: Refuse, arguments, finished: Path, name: str):
    (finished / "model.safetensors").unlink()
    message = refused(name, *arguments(name, finished))
    assert "training has not ended" in message
    assert message.endswith(f"python -m examples.train_svi --resume {finished}")


@pytest.mark.thorough
@pytest.mark.parametrize("name", OPENING)
def test_damaged_weights(refused: Refuse, arguments, finished: Path, vae_run, name: str):
    weights = finished / "model.safetensors"
    whole = weights.read_bytes()
    for content in (b"", b"no weights at all, but long enough", whole[:-100]):
        weights.write_bytes(content)
        assert f"cannot load weights from {weights}" in refused(name, *arguments(name, finished))
    weights.write_bytes((vae_run[0] / weights.name).read_bytes())
    assert "the file is damaged or of another model" in refused(name, *arguments(name, finished))


@pytest.mark.thorough
@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if command.parts])
def test_the_flat_baseline_has_no_parts(refused: Refuse, arguments, vae_run, name: str):
    assert "of vae, which has none: name a run of model rnp" in refused(name, *arguments(name, vae_run[0]))


# Files to write


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "option"), FILES)
def test_a_file_that_cannot_be_written(
    refused: Refuse, arguments, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, option: str
):
    file = COMMANDS[name].files[option]
    missing, taken = tmp_path / "nowhere" / file, tmp_path / file
    call = arguments(name, written=False)
    assert f"got {missing}: make {missing.parent} first" in refused(name, *call, option, missing)
    (folder := tmp_path / "folder" / file).mkdir(parents=True)
    assert f"expected a file to write with {option}, got the folder {folder}" in refused(name, *call, option, folder)
    if not COMMANDS[name].goes_on:
        taken.write_bytes(b"precious")
        assert refused(name, *call, option, taken) == (
            f"{taken} exists: choose another file with {option}, or replace it with --overwrite true"
        )
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert f"the folder {tmp_path} is not writable; choose another with {option}" in (
        refused(name, *call, option, tmp_path / f"new-{file}")
    )


@pytest.mark.thorough
@pytest.mark.parametrize("name", [name for name in FOLDERS if name != "ablate_guides" and not COMMANDS[name].goes_on])
def test_a_folder_that_holds_results(refused: Refuse, call, arguments, tmp_path: Path, name: str):
    assert call(name, *arguments(name)).status == 0
    assert f"exists: choose another folder with {COMMANDS[name].folder}" in refused(name, *arguments(name))
    assert call(name, *arguments(name), "--overwrite=true").status == 0


@pytest.mark.thorough
@pytest.mark.parametrize("name", FOLDERS)
def test_a_file_where_a_folder_is_to_be_made(refused: Refuse, arguments, tmp_path: Path, name: str):
    (tmp_path / "out").write_text("precious")
    assert str(tmp_path / "out") in refused(name, *arguments(name))


WRITING = [name for name, command in COMMANDS.items() if command.files or name in FOLDERS]


@contextmanager
def no_room(where: str) -> Iterator[None]:
    """Let writes fail, halfway through a file's content or where it gets its name."""

    def full(source: Path, target: Path) -> None:
        raise OSError(28, "No space left on device", str(source), None, str(target))

    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    with mock.patch.object(os, "replace", full if where == "name" else os.replace):
        resource.setrlimit(resource.RLIMIT_FSIZE, (10 if where == "content" else before, most))
        try:
            yield
        finally:  # before pytest itself writes
            resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "where"),
    [
        (name, where)
        for name, where in zip(WRITING, cycle(["content", "name"]), strict=False)
        if name != "reference_posterior"  # see its own file
    ],
)
def test_a_disk_that_is_full(call, arguments, tmp_path: Path, name: str, where: str):
    """It is named, and no part of a file is left. Commands write in one way, so each meets one of the two failures."""
    cause = {"name": "No space left on device", "content": "File too large"}[where]
    given = arguments(name)
    written = [f"{option}={tmp_path / file}" for option, file in COMMANDS[name].files.items() if option != "--out"]
    with no_room(where):
        done = call(name, *given, *written)
    assert done.status == 2
    assert done.err.startswith("error: cannot write ")
    assert done.err.endswith(f"{cause}\n")
    assert done.err.count("\n") == 1
    assert not [path for path in tmp_path.rglob("*") if path.is_file()]


# Images


@pytest.mark.thorough
@pytest.mark.parametrize("name", [name for name, _ in CHOOSING])
@pytest.mark.parametrize("number", [-1, 12])
def test_a_number_that_is_none_of_the_split(refused: Refuse, arguments, name: str, number: int):
    message = refused(name, *arguments(name), f"--index={number}")
    assert message == f"--index must be within 0 to 11, the test images of mnist, got {number}"


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "option"), CHOOSING)
def test_a_file_that_is_no_image(refused: Refuse, arguments, tmp_path: Path, name: str, option: str):
    file = tmp_path / "bad.png"
    contents = [(None, "does not exist"), (b"", "0 bytes"), (b"some text", "whose content is none of these")]
    for content, expected in contents:
        if content is not None:
            file.write_bytes(content)
        assert expected in refused(name, *arguments(name), option, file)
    assert "got the folder" in refused(name, *arguments(name), option, tmp_path)


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "option"), CHOOSING)
def test_images_that_are_too_small_too_large_or_even(
    refused: Refuse, arguments, tmp_path: Path, name: str, option: str
):
    file = tmp_path / "bad.png"
    for image, expected in (
        (Image.new("L", (1, 1)), "of 1x1"),
        (Image.new("1", (10_000, 10_000)), "unpack to far more"),
        (Image.new("L", (50, 50), 200), "got an even image"),
    ):
        image.save(file)
        assert expected in refused(name, *arguments(name), option, file)
