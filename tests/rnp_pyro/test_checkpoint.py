"""Files of a run: whole or not at all, and never code."""

import os
import resource
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import PicklingError
from tempfile import TemporaryDirectory

import pytest
import torch
from hypothesis import given
from hypothesis.strategies import integers

from rnp_pyro.checkpoint import (
    CHECKPOINT,
    CHECKPOINT_BEFORE,
    claim_run,
    create_run,
    load_checkpoint,
    load_newest_checkpoint,
    open_run,
    read_json,
    read_object,
    save_checkpoint,
    save_weights,
    write_atomically,
    write_json,
    write_text,
)
from rnp_pyro.errors import UserError

STATE = {
    "step": 3,
    "seconds": 1.5,
    "schedule": torch.tensor([0.0, 0.5]),
    "weights": {"a.weight": torch.arange(6.0).view(2, 3)},
    "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 0.1, "params": [0]}]},
    "average": None,
}


def one_line(error: pytest.ExceptionInfo[UserError], path: Path) -> bool:
    return "\n" not in str(error.value) and str(path) in str(error.value)


# -- atomic writes


def test_a_write_replaces_the_file(tmp_path: Path):
    path = tmp_path / "file.txt"
    for text in ("old\n", "new, with a wörd\n"):
        write_text(path, text)
        assert path.read_text(encoding="utf-8") == text
    assert os.listdir(tmp_path) == ["file.txt"]


@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt])
@pytest.mark.parametrize("existed", [True, False])
def test_a_writer_that_fails_leaves_no_trace(tmp_path: Path, existed: bool, error: type[BaseException]):
    path = tmp_path / "file.txt"
    if existed:
        path.write_text("old")

    def fail(temporary: Path) -> None:
        temporary.write_text("half")
        raise error

    with pytest.raises(error):
        write_atomically(path, fail)
    assert os.listdir(tmp_path) == (["file.txt"] if existed else [])
    assert not existed or path.read_text() == "old"


def test_while_it_is_written_the_old_file_stays(tmp_path: Path):
    path = tmp_path / "file.txt"
    path.write_text("old")

    def look(temporary: Path) -> None:
        temporary.write_text("new")
        assert path.read_text() == "old"
        assert temporary.parent == path.parent  # a rename is atomic only within one file system

    write_atomically(path, look)
    assert path.read_text() == "new"


def test_a_checkpoint_that_cannot_be_saved_leaves_the_old_one(tmp_path: Path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(STATE, path)
    with pytest.raises((AttributeError, PicklingError)):
        save_checkpoint({"step": lambda: None}, path)
    assert load_checkpoint(path)["step"] == 3
    assert os.listdir(tmp_path) == ["checkpoint.pt"]


@contextmanager
def a_disk_of(size: int) -> Iterator[None]:
    """Let no file grow beyond ``size`` bytes: writes fail halfway, as on a full disk."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


@pytest.mark.parametrize(
    "write",
    [
        lambda path: write_text(path, "x" * 9999),
        lambda path: save_weights(torch.nn.Linear(99, 99), path),
        lambda path: save_checkpoint({"weights": torch.zeros(9999)}, path),
    ],
    ids=["text", "weights", "checkpoint"],
)
def test_a_write_that_fails_halfway_is_one_line(tmp_path: Path, write: Callable[[Path], None]):
    path = tmp_path / "file"
    path.write_text("old")
    with a_disk_of(4096), pytest.raises(UserError, match="File too large") as error:
        write(path)
    assert str(error.value).startswith(f"cannot write to {path}: ")
    assert one_line(error, path)
    assert os.listdir(tmp_path) == ["file"]
    assert path.read_text() == "old"


# -- JSON


def test_json_round_trips_in_the_order_of_its_keys(tmp_path: Path):
    value = {"neg_elbo": 1.5, "kl": None, "data": ["a", 1], "a": {"b": True}}
    write_json(tmp_path / "x.json", value)
    assert list(read_json(tmp_path / "x.json").items()) == list(value.items())


@pytest.mark.parametrize("content", ["[1]", "null", "3", '"steps"'])
def test_json_of_something_else_is_no_object(tmp_path: Path, content: str):
    path = tmp_path / "x.json"
    path.write_text(content)
    with pytest.raises(UserError, match="expected names and values") as error:
        read_object(path)
    assert one_line(error, path)


@pytest.mark.parametrize("content", [None, b"{", b"\xff\xfe"])
def test_json_that_cannot_be_read_is_one_line(tmp_path: Path, content: bytes | None):
    path = tmp_path / "x.json"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError) as error:
        read_json(path)
    assert one_line(error, path)


# -- checkpoints


def test_a_checkpoint_round_trips(tmp_path: Path):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(STATE, path)
    found = load_checkpoint(path)
    assert found.keys() == STATE.keys()
    assert torch.equal(found["weights"]["a.weight"], STATE["weights"]["a.weight"])
    assert found["optimizer"]["param_groups"] == STATE["optimizer"]["param_groups"]
    assert found["schedule"].tolist() == [0.0, 0.5]


class Bomb:
    """Makes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple:
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("zipped", [True, False])
def test_a_checkpoint_with_code_is_refused_and_the_code_not_run(tmp_path: Path, zipped: bool):
    path, mark = tmp_path / "checkpoint.pt", tmp_path / "executed"
    torch.save({"step": Bomb(mark)}, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match="cannot load the checkpoint") as error:
        load_checkpoint(path)
    assert one_line(error, path)
    assert not mark.exists()


def damaged(path: Path) -> dict[str, bytes]:
    """Ways in which a good file can be spoilt."""
    good = path.read_bytes()
    return {
        "empty": b"",
        "truncated": good[: len(good) // 2],
        "beginning": good[:10],
        "text": b"hello, this is no checkpoint\n",
        "zeros": bytes(len(good)),
        "noise": bytes((31 * index) % 251 for index in range(500)),
        "json": b"{}",
    }


@pytest.mark.parametrize("kind", ["empty", "truncated", "beginning", "text", "zeros", "noise", "json"])
def test_a_damaged_checkpoint_is_one_line(tmp_path: Path, kind: str):
    path = tmp_path / "checkpoint.pt"
    save_checkpoint(STATE, path)
    path.write_bytes(damaged(path)[kind])
    with pytest.raises(UserError) as error:
        load_checkpoint(path)
    assert one_line(error, path)


def test_a_missing_checkpoint_is_one_line(tmp_path: Path):
    path = tmp_path / "checkpoint.pt"
    with pytest.raises(UserError, match="expected a checkpoint") as error:
        load_checkpoint(path)
    assert one_line(error, path)


def test_the_one_before_is_kept(tmp_path: Path):
    path, before = tmp_path / CHECKPOINT, tmp_path / CHECKPOINT_BEFORE
    for step in (1, 2, 3):
        save_checkpoint({**STATE, "step": step}, path, before)
    assert (load_checkpoint(path)["step"], load_checkpoint(before)["step"]) == (3, 2)
    assert load_newest_checkpoint(tmp_path)[0]["step"] == 3
    assert load_newest_checkpoint(tmp_path)[1] is None


def test_a_damaged_one_does_not_replace_the_one_before(tmp_path: Path):
    path, before = tmp_path / CHECKPOINT, tmp_path / CHECKPOINT_BEFORE
    for step in (1, 2):
        save_checkpoint({**STATE, "step": step}, path, before)
    path.write_bytes(path.read_bytes()[:-100])
    save_checkpoint({**STATE, "step": 3}, path, before)
    assert (load_checkpoint(path)["step"], load_checkpoint(before)["step"]) == (3, 1)


def test_a_crash_between_two_renames_loses_nothing(tmp_path: Path):
    save_checkpoint(STATE, tmp_path / CHECKPOINT_BEFORE)
    state, note = load_newest_checkpoint(tmp_path)
    assert state["step"] == 3
    assert note is not None
    assert note.endswith("going on from the one before, of step 3")


def flip(path: Path, bit: int) -> None:
    """Change one bit of a file."""
    content = bytearray(path.read_bytes())
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)


@given(bit=integers(0, 10**6))
def test_a_flipped_bit_is_found_and_the_one_before_is_taken(bit: int):
    with TemporaryDirectory() as folder:
        path = Path(folder) / CHECKPOINT
        for step in (1, 2):
            save_checkpoint({**STATE, "step": step}, path, Path(folder) / CHECKPOINT_BEFORE)
        flip(path, bit % (8 * path.stat().st_size))
        state, note = load_newest_checkpoint(Path(folder))
        assert state["step"] == 1
        assert note is not None
        assert "damaged" in note


def test_a_checkpoint_of_an_earlier_version_opens(tmp_path: Path):
    """It has no checksum of its own, but its archive has."""
    path = tmp_path / CHECKPOINT
    torch.save({**STATE, "weights": {"a": torch.arange(999.0)}}, path)
    assert load_checkpoint(path)["weights"]["a"][7] == 7
    flip(path, 8 * (path.stat().st_size // 2))
    with pytest.raises(UserError, match="its checksum does not fit"):
        load_checkpoint(path)


def test_a_checkpoint_can_be_looked_at_with_torch_alone(tmp_path: Path):
    save_checkpoint(STATE, tmp_path / CHECKPOINT)
    assert torch.load(tmp_path / CHECKPOINT, weights_only=True)["step"] == 3


def test_an_archive_that_would_fill_the_memory_is_refused(tmp_path: Path):
    path = tmp_path / CHECKPOINT
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("archive/data.pkl", bytes(10**7))
    with pytest.raises(UserError, match="it holds more than a checkpoint does"):
        load_checkpoint(path)


def test_advice_to_load_code_is_not_repeated(tmp_path: Path):
    """torch's own message says how to switch its protection off."""
    path = tmp_path / CHECKPOINT
    torch.save({"step": Bomb(tmp_path / "mark")}, path)
    with pytest.raises(UserError, match="damaged or holds more than tensors and numbers") as error:
        load_checkpoint(path)
    assert "weights_only" not in str(error.value)
    torch.save([1], path)
    with pytest.raises(UserError, match="of something else"):
        load_checkpoint(path)


# -- run directories


def test_a_run_directory_is_made_with_its_parents(tmp_path: Path):
    path = create_run(tmp_path / "runs" / "one")
    assert path.is_dir()


def test_a_run_directory_that_exists_is_refused(tmp_path: Path):
    with pytest.raises(UserError, match="exists: expected a new one") as error:
        create_run(tmp_path)
    assert one_line(error, tmp_path)


def test_a_run_directory_below_a_file_is_refused(tmp_path: Path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot make the run directory") as error:
        create_run(tmp_path / "file" / "run")
    assert one_line(error, tmp_path / "file" / "run")


def test_only_a_directory_with_settings_is_a_run(tmp_path: Path):
    with pytest.raises(UserError, match=r"expected a run directory with a config\.yaml") as error:
        open_run(tmp_path)
    assert one_line(error, tmp_path)
    (tmp_path / "config.yaml").touch()
    assert open_run(tmp_path) == tmp_path


@pytest.mark.parametrize("ended_at", ["nothing", "settings", "step 0"])
def test_a_run_that_ended_before_its_first_step_is_begun_again(tmp_path: Path, ended_at: str):
    run = claim_run(tmp_path / "run")
    if ended_at != "nothing":
        for name in ("config.yaml", "data.json", ".lock", ".checkpoint.pt.abc-12.partial"):
            (run / name).touch()
    if ended_at == "step 0":
        save_checkpoint({**STATE, "step": 0}, run / CHECKPOINT)
    assert claim_run(run) == run


@pytest.mark.parametrize("name", [CHECKPOINT, CHECKPOINT_BEFORE, "model.safetensors", "notes.txt"])
def test_a_run_that_took_a_step_is_not_begun_again(tmp_path: Path, name: str):
    save_checkpoint(STATE, tmp_path / name)
    with pytest.raises(UserError, match="exists: expected a new one"):
        claim_run(tmp_path)
