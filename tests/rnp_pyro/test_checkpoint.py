"""Files of a run: whole or not at all, and never code."""

import os
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import PicklingError

import pytest
import torch
from torch import nn

from rnp_pyro.checkpoint import (
    MetricsFile,
    create_run,
    load_checkpoint,
    load_weights,
    open_run,
    read_json,
    read_metrics,
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


def test_a_row_that_finds_no_room_leaves_the_rows_before(tmp_path: Path):
    path = tmp_path / "metrics.csv"
    metrics = MetricsFile(path, ("step", "loss"))
    metrics.append({"step": 1, "loss": 2.0})
    before = path.read_bytes()
    with a_disk_of(len(before) + 3), pytest.raises(UserError, match=r"cannot write to .*metrics.csv: File too large"):
        metrics.append({"step": 2, "loss": 1.23456789})
    assert path.read_bytes() == before


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


# -- weights


class Shared(nn.Module):
    """Two names of one layer."""

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Linear(2, 3)
        self.other = self.one


def test_weights_round_trip(tmp_path: Path):
    one, other = nn.Linear(2, 3), nn.Linear(2, 3)
    save_weights(one, tmp_path / "w.safetensors")
    load_weights(other, tmp_path / "w.safetensors")
    assert all(torch.equal(a, b) for a, b in zip(one.parameters(), other.parameters(), strict=True))
    assert os.listdir(tmp_path) == ["w.safetensors"]


def test_shared_weights_are_kept_once(tmp_path: Path):
    one, other = Shared(), Shared()
    save_weights(one, tmp_path / "w.safetensors")
    load_weights(other, tmp_path / "w.safetensors")
    assert torch.equal(one.other.weight, other.one.weight)
    assert other.one is other.other
    assert (tmp_path / "w.safetensors").stat().st_size < 2 * 9 * 8 + 300


@pytest.mark.parametrize("kind", ["empty", "truncated", "beginning", "text", "zeros", "noise", "json"])
def test_damaged_weights_are_one_line(tmp_path: Path, kind: str):
    path = tmp_path / "w.safetensors"
    save_weights(nn.Linear(2, 3), path)
    path.write_bytes(damaged(path)[kind])
    with pytest.raises(UserError) as error:
        load_weights(nn.Linear(2, 3), path)
    assert one_line(error, path)


@pytest.mark.parametrize(
    ("other", "cause"),
    [
        (nn.Linear(2, 4), r"size mismatch for weight: .*\[3, 2\].*\[4, 2\]"),
        (nn.Linear(2, 3, bias=False), "Unexpected key"),
        (nn.Conv2d(1, 1, 3), "size mismatch for weight"),
    ],
    ids=str,
)
def test_weights_of_another_model_are_one_line(tmp_path: Path, other: nn.Module, cause: str):
    path = tmp_path / "w.safetensors"
    save_weights(nn.Linear(2, 3), path)
    with pytest.raises(UserError, match=f"{cause}.*damaged or of another model") as error:
        load_weights(other, path)
    assert one_line(error, path)


def test_missing_weights_are_one_line(tmp_path: Path):
    path = tmp_path / "w.safetensors"
    with pytest.raises(UserError, match="expected trained weights") as error:
        load_weights(nn.Linear(2, 3), path)
    assert one_line(error, path)


# -- metrics


def test_rows_are_appended_one_by_one(tmp_path: Path):
    path = tmp_path / "metrics.csv"
    metrics = MetricsFile(path, ("step", "loss", "kl"))
    assert read_metrics(path) == []
    metrics.append({"step": 1, "loss": 0.5})
    assert read_metrics(path) == [{"step": "1", "loss": "0.5", "kl": ""}]
    metrics.append({"step": 2, "loss": 0.25, "kl": 3.0})
    assert read_metrics(path)[1] == {"step": "2", "loss": "0.25", "kl": "3.0"}


@pytest.mark.parametrize(("until", "kept"), [(None, [1, 2, 3, 4]), (4, [1, 2, 3, 4]), (2, [1, 2]), (0, [])])
def test_on_resuming_later_rows_are_dropped(tmp_path: Path, until: int | None, kept: list[int]):
    path = tmp_path / "metrics.csv"
    first = MetricsFile(path, ("step", "loss"))
    for step in (1, 2, 3, 4):
        first.append({"step": step, "loss": 0.1 * step})
    again = MetricsFile(path, ("step", "loss"), until_step=until)
    assert [int(row["step"]) for row in read_metrics(path)] == kept
    again.append({"step": 9, "loss": 1.0})
    assert [int(row["step"]) for row in read_metrics(path)] == [*kept, 9]


def test_a_new_run_has_a_header_only(tmp_path: Path):
    MetricsFile(tmp_path / "metrics.csv", ("step", "loss"))
    assert (tmp_path / "metrics.csv").read_text().splitlines() == ["step,loss"]


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
