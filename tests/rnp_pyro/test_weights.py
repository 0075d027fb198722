"""Weights of a model and its guide, with their checksum."""

import os
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis.strategies import integers
from safetensors.torch import load_file, save_file, save_model
from torch import nn

from rnp_pyro.errors import UserError
from rnp_pyro.weights import load_weights, save_weights


def one_line(error: pytest.ExceptionInfo[UserError], path: Path) -> bool:
    return "\n" not in str(error.value) and str(path) in str(error.value)


def damaged(path: Path) -> dict[str, bytes]:
    """Ways in which a good file can be spoilt."""
    good = path.read_bytes()
    return {
        "empty": b"",
        "truncated": good[: len(good) // 2],
        "beginning": good[:10],
        "text": b"hello, this is no file of weights\n",
        "zeros": bytes(len(good)),
        "noise": bytes((31 * index) % 251 for index in range(500)),
        "json": b"{}",
    }


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
    assert (tmp_path / "w.safetensors").stat().st_size < 2 * 9 * 8 + 400


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


@given(bit=integers(0, 10**6))
def test_a_flipped_bit_is_found(tmp_path_factory: pytest.TempPathFactory, bit: int):
    path, module = tmp_path_factory.getbasetemp() / "flipped.safetensors", Shared()
    save_weights(module, path)
    content = bytearray(path.read_bytes())
    bit %= 8 * len(content)
    content[bit // 8] ^= 1 << bit % 8
    path.write_bytes(content)
    with pytest.raises(UserError, match="damaged") as error:
        load_weights(Shared(), path)
    assert one_line(error, path)


def test_weights_of_an_earlier_version_open(tmp_path: Path):
    """They have no checksum."""
    path, one, other = tmp_path / "w.safetensors", Shared(), Shared()
    save_model(one, str(path))
    load_weights(other, path)
    assert torch.equal(one.one.weight, other.one.weight)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_refused(tmp_path: Path, value: float):
    path, module = tmp_path / "w.safetensors", nn.Linear(2, 3)
    save_weights(module, path)
    tensors = load_file(path)
    tensors["bias"][1] = value
    save_file(tensors, path)
    with pytest.raises(UserError, match="bias is not finite") as error:
        load_weights(module, path)
    assert one_line(error, path)
