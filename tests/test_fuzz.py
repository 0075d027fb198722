"""Thousands of spoilt files and settings: each is read, or refused in one line.

``pytest -m fuzz`` runs them all and prints how many there were. Each finding has a test of its own beside what was
mended.
"""

import gzip
import json
import random
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from mutations import Watch, little_memory, mutate
from PIL import Image

from inference.training.schedule import check_schedule, make_progress
from inference.training.task import COLUMNS
from rnp_pyro.api.opening import read_settings
from rnp_pyro.api.pair import build_pair
from rnp_pyro.api.record import read_record, record_of, write_record
from rnp_pyro.api.settings import check_writable, config_parser, parse_config, setting_names, write_settings
from rnp_pyro.api.training import _read_schedule
from rnp_pyro.checkpoint import load_checkpoint, load_weights, read_object, save_checkpoint, save_weights
from rnp_pyro.config import Config
from rnp_pyro.data import images_from_arrays
from rnp_pyro.data.archive import read_archive
from rnp_pyro.data.array_file import read_array_file
from rnp_pyro.data.idx import read_idx_arrays
from rnp_pyro.data.image_data import Appearance
from rnp_pyro.limits import _weights, check_limits
from rnp_pyro.metrics import MetricsFile
from rnp_pyro.part_tree.files import load_tree, tree_to_json
from rnp_pyro.part_tree.value import select, tree_value
from rnp_pyro.pictures.like import read_like

FILES = 260
"""Of each kind."""

SETTINGS = 500
FEW = 6


@dataclass(frozen=True)
class Kind:
    """A kind of file: a good one, its name, and what reads it."""

    name: str
    content: bytes
    read: Callable[[Path], Any]


@pytest.fixture(scope="module")
def kinds(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Kind]:
    """One good file of each kind."""
    folder = tmp_path_factory.mktemp("good")
    generator = np.random.default_rng(0)
    images = generator.integers(0, 255, (20, 8, 8), dtype=np.uint8)
    module = torch.nn.Linear(5, 7)
    save_weights(module, folder / "weights")
    optimizer = {"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"lr": 0.1}]}
    state = {"step": 2, "seconds": 1.0, "schedule": torch.rand(2), "weights": module.state_dict(), "average": None}
    save_checkpoint({**state, "optimizer": optimizer}, folder / "checkpoint")
    torch.save({**state, "optimizer": optimizer}, folder / "old checkpoint")
    rows = MetricsFile(folder / "metrics", COLUMNS)
    for step in range(1, 9):
        rows.append({name: step if name == "step" else 0.5 * step for name in COLUMNS})
    write_settings(Config(), folder / "settings")
    write_record(record_of(images_from_arrays({"images": images})), folder)
    Image.fromarray(images[0]).resize((40, 40)).save(folder / "png", "PNG")
    Image.fromarray(images[0]).resize((40, 40)).save(folder / "jpeg", "JPEG")
    np.save(folder / "x.npy", images)
    four = {"train_images": images, "train_labels": np.arange(20), "test_images": images, "test_labels": np.arange(20)}
    np.savez_compressed(folder / "x.npz", **four)
    idx = struct.pack(">BBBBIII", 0, 0, 8, 3, *images.shape) + images.tobytes()
    grey = Appearance(False, False, None)
    found = {
        "weights": Kind("model.safetensors", (folder / "weights").read_bytes(), lambda p: load_weights(module, p)),
        "checkpoint": Kind("checkpoint.pt", (folder / "checkpoint").read_bytes(), load_checkpoint),
        "old checkpoint": Kind("checkpoint.pt", (folder / "old checkpoint").read_bytes(), load_checkpoint),
        "metrics": Kind("metrics.csv", (folder / "metrics").read_bytes(), lambda p: MetricsFile(p, COLUMNS, 5)),
        "settings": Kind("config.yaml", (folder / "settings").read_bytes(), lambda p: read_settings(p.parent)),
        "record": Kind("data.json", (folder / "data.json").read_bytes(), lambda p: read_record(p.parent)),
        "summary": Kind("summary.json", json.dumps({"steps": 4, "neg_elbo": 1.5}).encode(), read_object),
        "schedule": Kind("schedule.json", json.dumps({"progress": [0.0, 0.5]}).encode(), _read_schedule),
        "tree": Kind("parse.json", _tree(), load_tree),
        "png": Kind("x.png", (folder / "png").read_bytes(), lambda p: read_like(p, 8, 1, grey, False)),
        "jpeg": Kind("x.jpg", (folder / "jpeg").read_bytes(), lambda p: read_like(p, 8, 1, grey, False)),
        "npy": Kind("x.npy", (folder / "x.npy").read_bytes(), read_array_file),
        "npz": Kind("x.npz", (folder / "x.npz").read_bytes(), lambda p: (read_array_file(p), read_archive(p))),
        "idx": Kind("train.gz", gzip.compress(idx), lambda p: read_idx_arrays({"train": p})),
        "plain idx": Kind("train", idx, lambda p: read_idx_arrays({"train": p})),
    }
    return found


def _tree() -> bytes:
    """Return the JSON of a small tree."""
    from rnp_pyro.build import build_tree
    from rnp_pyro.config import TreeConfig

    tiny = TreeConfig((2, 2), (6,), patch_size=3, hypernet_layers=2, hypernet_size=4, hidden_size=4)
    torch.manual_seed(0)
    tree = build_tree(tiny, 3, (1, 8, 8))
    with torch.no_grad():
        value = select(tree_value(tree, tree.unfold(torch.randn(1, 3))), 0)
    return json.dumps(tree_to_json(value)).encode()


KINDS = (
    "weights", "checkpoint", "old checkpoint", "metrics", "settings", "record", "summary", "schedule", "tree", "png",
    "jpeg", "npy", "npz", "idx", "plain idx",
)  # fmt: skip


def spoil(kind: Kind, folder: Path, number: int) -> Watch:
    """Read spoilt files of a kind."""
    watch, chance = Watch(), random.Random(f"{kind.name} {len(kind.content)}")
    for _ in range(number):
        content = mutate(kind.content, chance)
        for other in folder.iterdir():
            other.unlink()
        (folder / kind.name).write_bytes(content)
        try:
            watch(lambda: kind.read(folder / kind.name))
        except BaseException:
            print(f"content: {content[:3000]!r}")
            raise
    return watch


@pytest.mark.parametrize("name", KINDS)
def test_a_good_file_is_read_and_a_few_spoilt_ones(kinds: dict[str, Kind], name: str, tmp_path: Path):
    kind = kinds[name]
    (tmp_path / kind.name).write_bytes(kind.content)
    kind.read(tmp_path / kind.name)
    few = FEW if name != "settings" else 1  # each is parsed thrice
    watch = spoil(kind, tmp_path, few)
    assert watch.read + watch.refused == few


@pytest.mark.fuzz
@pytest.mark.slow
@pytest.mark.parametrize("name", KINDS)
def test_spoilt_files(kinds: dict[str, Kind], name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with little_memory():
        watch = spoil(kinds[name], tmp_path, FILES)
    with capsys.disabled():
        print(
            f"\n{watch.read + watch.refused} spoilt files, {name}: {watch.refused} refused in a line, {watch.read} read"
        )


HOSTILE = (
    "0", "-1", "1", "nan", "inf", "-inf", "1e308", "9" * 30, "100000", "0.5", "null", "true", "", " ", "[]", "{}",
    "[1e9]", "[1,2,3]", "[100000,100000]", "[[0.2,0.5]]", "[[nan,1]]", "[[0.5,0.2]]", "[" * 50, "../../etc/passwd",
    "/dev/null", "x" * 5000, "\u202e", "a\nb", "%s{0}", "auto", "folder:/", "array:/dev/null", "bernoulli", "ladder",
    "vae", "per_level", "both", "iwae",
)  # fmt: skip


def hostile_options(chance: random.Random) -> list[str]:
    names = [name for name in setting_names() if name != "data_dir"]
    return [f"--{chance.choice(names)}={chance.choice(HOSTILE)}" for _ in range(chance.choice((1, 1, 2, 3)))]


def prepare(arguments: list[str]) -> None:
    """Do all that a training command does with its settings before there are images."""
    config, _, _ = parse_config(config_parser("train_svi", ""), arguments)
    check_writable(config)
    check_limits(config)
    check_schedule(config.train)
    make_progress(config.train, 100, [0.0] if config.train.schedule else None)
    if _weights(config) < 3_000_000 and config.image_size < 100:
        build_pair(config, (1, config.image_size, config.image_size))


def spoil_settings(folder: Path, number: int) -> Watch:
    """Prepare runs with hostile settings, on the command line and in files in turn."""
    watch, chance = Watch(), random.Random(0)
    for at in range(number):
        arguments = hostile_options(chance)
        if at % 2:
            tree: dict[str, Any] = {}
            for one in arguments:
                *groups, last = one.removeprefix("--").split("=")[0].split(".")
                group = tree
                for name in groups:
                    group = group.setdefault(name, {})
                if isinstance(group, dict):
                    group[last] = chance.choice((float("nan"), 10**30, [[]], {"a": 1}, "x", -1, None, True, 1e-300))
            (folder / "mine.yaml").write_text(yaml.safe_dump(tree))
            arguments = [f"--config={folder / 'mine.yaml'}"]
        try:
            watch(lambda given=arguments: prepare(given))
        except BaseException:
            print(f"arguments: {arguments}")
            raise
    return watch


@pytest.mark.thorough
def test_a_few_hostile_settings(tmp_path: Path):
    watch = spoil_settings(tmp_path, 12)
    assert watch.refused > 3


@pytest.mark.fuzz
@pytest.mark.slow
def test_hostile_settings(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    with little_memory():
        watch = spoil_settings(tmp_path, SETTINGS)
    with capsys.disabled():
        print(f"\n{watch.read + watch.refused} hostile settings: {watch.refused} refused in a line, {watch.read} taken")
