"""``omniglot:one-shot``: Lake's 20-way task, in each run one image of every class to learn, and others to tell."""

import re
from pathlib import Path

import numpy as np
import torch

from rnp_pyro.data.data_folder import data_folder, find_file, find_folder
from rnp_pyro.data.image_data import Split
from rnp_pyro.data.official import box_resize, nowhere, read_checked, read_files
from rnp_pyro.data.resize import resize_images
from rnp_pyro.data.source import Request, Source
from rnp_pyro.errors import UserError

ARCHIVE = "omniglot_oneshot.npz"
_NAME = "omniglot:one-shot"
_LABELS = "class_labels.txt"
_ORIGIN = "https://github.com/brendenlake/omniglot (python/one-shot-classification/all_runs.zip)"
_BELOW = (
    "all_runs",
    "one-shot-classification/all_runs",
    "one-shot-classification",
    "omniglot-py/all_runs",
    "omniglot/python/one-shot-classification/all_runs",
    "python/one-shot-classification/all_runs",
)
_SIDE, _SMALL = 105, 28

_SHAPES = {
    "train_images": ("u", ("runs", "classes", _SIDE, _SIDE)),
    "test_images": ("u", ("runs", "items", _SIDE, _SIDE)),
    "train_images28": ("u", ("runs", "classes", _SMALL, _SMALL)),
    "test_images28": ("u", ("runs", "items", _SMALL, _SMALL)),
    "test_labels": ("iu", ("runs", "items")),
}


def load(request: Request) -> Source:
    """Load all runs: one training image of each class, run after run, and the images to be told apart as the test.

    Label ``run * 20 + k`` is class k of a run; the last run's training images are the validation, so that no class of
    the other runs loses its only image.

    Raises:
        UserError: Nothing was found, or what was found is damaged.
    """
    folder = data_folder(request.data_dir)
    if archive := find_file(folder, ARCHIVE):
        arrays = read_checked(archive, _SHAPES)
    elif found := find_folder(folder, _has_runs, *_BELOW):
        arrays = _read_official(found)
    else:
        raise nowhere(_NAME, ARCHIVE, f"all_runs/ with run01/{_LABELS} and so on", folder, _ORIGIN)
    return _source(arrays, request.image_size)


def prepare(source: Path) -> tuple[str, dict[str, np.ndarray]]:
    """Return the name and the arrays of the archive that is made from the official files.

    Raises:
        UserError: A file is missing or damaged.
    """
    found = find_folder(source, _has_runs, *_BELOW)
    if found is None:
        raise UserError(
            f"{_NAME}: expected run01/{_LABELS}, run02/... in {str(source)!r}, got none: get them from {_ORIGIN} and "
            "unpack them there"
        )
    return ARCHIVE, _read_official(found)


def _has_runs(folder: Path) -> bool:
    return any(folder.glob(f"run*/{_LABELS}"))


def _source(arrays: dict[str, np.ndarray], image_size: int) -> Source:
    runs, classes = arrays["train_images"].shape[:2]
    items = arrays["test_images"].shape[1]
    if arrays["test_labels"].max() >= classes:
        raise UserError(
            f"{_NAME}: expected test_labels under {classes}, got {arrays['test_labels'].max()}: make {ARCHIVE} again"
        )
    names = [f"run{run + 1:02d}/class{one + 1:02d}" for run in range(runs) for one in range(classes)]
    first = torch.arange(runs)[:, None] * classes
    train = Split(
        _images(arrays, "train", image_size),
        torch.arange(runs * classes),
        tuple(name.replace("/", "/training/") + ".png" for name in names),
    )
    test = Split(
        _images(arrays, "test", image_size),
        (first + torch.from_numpy(arrays["test_labels"].astype(np.int64))).flatten(),
        tuple(f"run{run + 1:02d}/test/item{item + 1:02d}.png" for run in range(runs) for item in range(items)),
    )
    last = (runs - 1) * classes
    positions = torch.arange(runs * classes)
    held_out = None if runs == 1 else train.take(positions[last:])
    kept = train if runs == 1 else train.take(positions[:last])
    return Source(kept, test, held_out, tuple(names))


def _images(arrays: dict[str, np.ndarray], split: str, image_size: int) -> torch.Tensor:
    """Return all runs' images of a split, one after another."""
    if image_size == _SMALL:
        return torch.from_numpy(arrays[f"{split}_images28"]).flatten(0, 1)[:, None]
    bits = torch.from_numpy(arrays[f"{split}_images"]).flatten(0, 1)[:, None]
    return resize_images(bits.clamp(max=1) * 255, image_size)


def _read_official(folder: Path) -> dict[str, np.ndarray]:
    """Read ``runNN/training``, ``runNN/test`` and ``runNN/class_labels.txt`` of all runs."""
    train, test, labels = [], [], []
    for run in sorted(path.parent for path in folder.glob(f"run*/{_LABELS}")):
        pairs = [
            line.split()
            for line in (run / _LABELS).read_text(encoding="utf-8", errors="replace").splitlines()
            if line.strip()
        ]
        if not pairs or any(len(pair) != 2 for pair in pairs):
            raise UserError(
                f"{_NAME}: expected a test and a training image per line in {str(run / _LABELS)!r}: unpack the "
                "official archive again"
            )
        learned = sorted({_below_run(name) for _, name in pairs} | set(_list(run, "training")))
        told = sorted(_below_run(name) for name, _ in pairs)
        answer = {_below_run(name): learned.index(_below_run(right)) for name, right in pairs}
        train.append(read_files(run, [Path(name) for name in learned], "L", _NAME) < 128)
        test.append(read_files(run, [Path(name) for name in told], "L", _NAME) < 128)
        labels.append([answer[name] for name in told])
    sizes = {(one.shape, other.shape) for one, other in zip(train, test, strict=True)}
    if len(sizes) > 1 or train[0].shape[1:] != (_SIDE, _SIDE):
        raise UserError(
            f"{_NAME}: expected runs of equally many images of {_SIDE}x{_SIDE} in {str(folder)!r}, got "
            f"{sorted(sizes)}: unpack the official archive again"
        )
    found = {"train_images": np.stack(train).astype(np.uint8), "test_images": np.stack(test).astype(np.uint8)}
    small = {
        f"{key}28": box_resize(bits.reshape(-1, _SIDE, _SIDE) * np.uint8(255), _SMALL).reshape(
            *bits.shape[:2], _SMALL, _SMALL
        )
        for key, bits in found.items()
    }
    return {**found, **small, "test_labels": np.array(labels, np.uint8)}


def _below_run(name: str) -> str:
    """Return ``training/class01.png`` of ``run01/training/class01.png``."""
    return re.sub(r"^.*?run\d+/", "", name.replace("\\", "/"))


def _list(run: Path, kind: str) -> list[str]:
    return [f"{kind}/{path.name}" for path in (run / kind).glob("*.png") if not path.name.startswith(".")]
