"""From settings to a tree, and one line for settings that make none."""

from collections.abc import Callable
from typing import Any

import pytest
import torch

from rnp_pyro.activations import Paint
from rnp_pyro.build import build_tree, check_tree
from rnp_pyro.config import TreeConfig
from rnp_pyro.errors import UserError
from rnp_pyro.fast.unroll import Recurrence, default_chunk, unroll
from rnp_pyro.patches.dense import Dense
from rnp_pyro.tree import Tree

MakeConfig = Callable[..., TreeConfig]


def test_primitives_need_no_activation(tiny_config: MakeConfig):
    """They have none of their own to choose, so that one that suits dense patches alone is no fault."""
    check_tree(tiny_config(patch_decoder="primitives", patch_activation="relu6", composition="noisy_or"), 4)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"num_steps": ()}, r"num_steps must give at least 1 step for each of 1 or more levels, got \(\)"),
        ({"num_steps": (2, 0)}, r"num_steps must give at least 1 step .*, got \(2, 0\)"),
        ({"canvas_sizes": ()}, r"canvas_sizes must give 1 sizes, .* num_steps \(2, 2\), got \(\)"),
        ({"canvas_sizes": (10, 8)}, r"canvas_sizes must give 1 sizes, .* num_steps \(2, 2\), got \(10, 8\)"),
        ({"num_steps": (2,), "canvas_sizes": (8,)}, r"canvas_sizes must give 0 sizes, .*, got \(8,\)"),
        ({"canvas_sizes": (0,)}, r"canvas_sizes must be at least 1, got 0"),
        ({"scale_limits": ()}, r"scale_limits must be 1 or 2 pairs, root first, got \(\)"),
        ({"scale_limits": ((0.1, 0.2),) * 3}, r"scale_limits must be 1 or 2 pairs, root first, got \(\(0\.1, 0\.2\)"),
        ({"patch_size": 0}, r"patch_size must be at least 1, got 0"),
        ({"hidden_size": -1}, r"hidden_size must be at least 1, got -1"),
        ({"hypernet_size": 0}, r"hypernet_size must be at least 1, got 0"),
        ({"hypernet_layers": 1}, r"hypernet_layers must be at least 2, got 1"),
        ({"leak": 0.0}, r"leak must be between 0 and 1, got 0"),
        ({"leak": 1.0}, r"leak must be between 0 and 1, got 1"),
        ({"patch_activation": "relu6"}, r"noisy_or needs .* expected patch_activation sigmoid, got relu6"),
        ({"patch_activation": "softplus"}, r"noisy_or needs .* expected patch_activation sigmoid, got softplus"),
        ({"scale_limits": ((0.5, 0.2),)}, r"scale limits must be 0 < low <= high, got \(0\.5, 0\.2\)"),
        ({"scale_limits": ((0.2, 0.9),)}, r"scale 0\.9 with shear 0\.3 reaches 1\.48 of it, expected at most 1"),
        ({"rotation_limit": 4.0}, r"rotation_limit must be within \[0, pi\] radians, got 4"),
        ({"shear_limit": -1.0}, r"shear_limit must be at least 0, got -1"),
        ({"action_gain": 0.0}, r"action_gain must be above 0, got 0"),
    ],
)
def test_settings_that_make_no_tree_are_refused_in_one_line(tiny_config: MakeConfig, wrong: dict, message: str):
    with pytest.raises(UserError, match=message) as caught:
        build_tree(tiny_config(**wrong), 6, (1, 12, 12))
    assert "\n" not in str(caught.value)


def test_a_latent_has_at_least_one_number(tiny_config: MakeConfig):
    with pytest.raises(UserError, match="latent_size must be at least 1, got 0"):
        check_tree(tiny_config(), 0)


@pytest.mark.parametrize(
    "right",
    [
        {"num_steps": (1,)},
        {"num_steps": (3, 1, 2, 2)},
        {"patch_size": 1, "canvas_sizes": (1,)},
        {"hypernet_layers": 2},
        {"composition": "sum", "patch_activation": "softplus"},
        {"scale_limits": ((0.3, 0.5), (0.1, 0.2))},
    ],
)
def test_settings_that_make_a_tree_are_accepted(tiny_config: MakeConfig, right: dict[str, Any]):
    tree = build_tree(tiny_config(**right), 1, (3, 7, 9))
    assert isinstance(tree, Tree)
    assert tree.image_shape == (3, 7, 9)


def test_lists_run_from_the_root_downwards(tiny_config: MakeConfig):
    config = tiny_config(num_steps=(4, 3, 2), canvas_sizes=(9, 7), scale_limits=((0.3, 0.5), (0.2, 0.4), (0.1, 0.3)))
    tree = build_tree(config, 6, (1, 12, 14))
    assert [tree.num_steps(level) for level in (3, 2, 1)] == [4, 3, 2]
    assert [tree.canvas_size(level) for level in (3, 2, 1)] == [(12, 14), (9, 9), (7, 7)]
    assert [tree.limits(level).scale for level in (3, 2, 1)] == [(0.3, 0.5), (0.2, 0.4), (0.1, 0.3)]


def test_one_pair_of_scale_limits_serves_all_levels(tiny_config: MakeConfig):
    tree = build_tree(tiny_config(scale_limits=((0.2, 0.4),)), 6, (1, 12, 12))
    assert [tree.limits(level).scale for level in (1, 2)] == [(0.2, 0.4)] * 2


def test_every_setting_of_a_tree_reaches_it(tiny_config: MakeConfig):
    config = tiny_config(
        composition="sum",
        interpolation="bicubic",
        state_activation="tanh",
        patch_activation="softplus",
        feedback=True,
        rotation_limit=1.5,
        shear_limit=0.2,
        action_gain=2.0,
        compress=False,
    )
    tree = build_tree(config, 6, (3, 12, 12))
    assert (tree.assembly.composition, tree.assembly.interpolation) == ("sum", "bicubic")
    assert (tree.state_activation, tree.compress) == ("tanh", False)
    assert tree.patch_decoder == Dense((3, 5, 5), latent_size=6, hidden_size=8, paint=Paint("softplus", compress=False))
    assert tree.feedback is not None
    for level in (1, 2):
        limits = tree.limits(level)
        assert (limits.rotation, limits.shear, limits.gain) == (1.5, 0.2, 2.0)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize(("chunk", "expected"), [(0, None), (3, 3)])
def test_how_to_compute_reaches_the_engine(tiny_config: MakeConfig, chunk: int, expected: int | None):
    tree = build_tree(tiny_config(chunk=chunk, recompute=True), 6, (1, 12, 12))
    seen: list[Recurrence] = []

    def record(*arguments: Any) -> tuple[torch.Tensor, ...]:
        seen.append(arguments[-1])
        return unroll(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("rnp_pyro.tree.unroll", record)
        tree.unfold(torch.randn(4, 6))
    assert all(one.recompute for one in seen)
    assert [one.chunk for one in seen] == 2 * [expected or default_chunk(torch.randn(4, 6), tree.hypernets.shapes)]
