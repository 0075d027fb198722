"""Settings that ask for more than any machine has are refused before anything is allocated."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rnp_pyro.checkpoint import read_json
from rnp_pyro.config import Config, GuideConfig, ModelConfig, TrainConfig, TreeConfig
from rnp_pyro.data.array_file import read_array_file
from rnp_pyro.errors import UserError
from rnp_pyro.limits import MOST_WEIGHTS, _weights, check_limits
from rnp_pyro.part_tree.files import load_tree


def with_tree(**changes: Any) -> Config:
    return Config(model=ModelConfig(tree=TreeConfig(**changes)))


@pytest.mark.parametrize(
    ("config", "message"),
    [
        (Config(image_size=10**6), "--image_size must be at most 4,096, got 1,000,000"),
        (with_tree(num_steps=(1000, 1000)), "make 1,001,000 parts: expected at most 100,000"),
        (with_tree(num_steps=(10,) * 12, canvas_sizes=(8,) * 11), "parts: expected at most 100,000"),
        (with_tree(canvas_sizes=(10**5,)), "--model.tree.canvas_sizes must be at most 4,096, got 100,000"),
        (with_tree(hidden_size=60_000, hypernet_size=60_000), "expected a model of at most 500,000,000 weights"),
        (with_tree(hypernet_layers=10**9), "--model.tree.hypernet_layers must be at most 1,024"),
        (Config(train=TrainConfig(batch_size=10**6, num_particles=10**4)), "give --train.accumulate"),
        (with_tree(rotation_limit=float("nan")), "--model.tree.rotation_limit must be finite, got nan"),
        (with_tree(scale_limits=((0.1, float("inf")),)), "--model.tree.scale_limits must be finite, got inf"),
        (Config(guide=GuideConfig(refine_rate=float("nan"))), "--guide.refine_rate must be finite"),
        (Config(train=TrainConfig(clip=float("nan"))), "--train.clip must be finite"),
        (Config(train=TrainConfig(steps=10**30)), "--train.steps must be at most"),
    ],
)
def test_too_much_is_refused(config: Config, message: str):
    with pytest.raises(UserError, match=message.replace("(", r"\(")) as error:
        check_limits(config)
    assert "\n" not in str(error.value)


def test_what_never_ends_is_not_read(tmp_path: Path):
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        for read in (read_json, load_tree, read_array_file):
            with pytest.raises(UserError, match="which is a device or a pipe"):
                read(path)
    with pytest.raises(UserError, match="cannot read"):
        read_json(tmp_path)


def test_what_trains_passes():
    check_limits(Config())
    check_limits(Config(train=TrainConfig(batch_size=4096, num_particles=64)))
    check_limits(replace(with_tree(num_steps=(8, 8, 8), canvas_sizes=(72, 40)), image_size=128))


def test_weights_are_estimated_well():
    """1.3 million in the heads of the default model, by the product of their sizes."""
    assert _weights(Config()) == pytest.approx(64 * 20_076, rel=0.05)
    assert _weights(with_tree(hypernet_size=65_536, hidden_size=2000)) > MOST_WEIGHTS
