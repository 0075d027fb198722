"""The engine equals Algorithm 1 as ``reference.py`` reads it aloud."""

from collections.abc import Callable, Sequence
from itertools import combinations, product
from typing import Any

import pytest
import torch

from rnp_pyro.draw import mean
from rnp_pyro.patches import PATCH_DECODERS
from rnp_pyro.reference import generate_image
from rnp_pyro.tree import Tree

MakeTree = Callable[..., Tree]
NANO = {"rtol": 0, "atol": 1e-9}

FACTORS: dict[str, Sequence[Any]] = {
    "num_steps": ((3,), (2, 3), (2, 1, 3)),
    "feedback": (False, True),
    "channels": (1, 3),
    "composition": ("sum", "noisy_or"),
    "interpolation": ("bilinear", "bicubic"),
    "state_activation": ("identity", "elu", "tanh"),
    "hypernets": ("shared", "level_embedding", "per_level"),
}
FULL = [dict(zip(FACTORS, levels, strict=True)) for levels in product(*FACTORS.values())]


def pairs(config: dict[str, Any]) -> set[Any]:
    """All pairs of settings of one configuration."""
    return set(combinations(config.items(), 2))


def pairwise_matrix() -> list[dict[str, Any]]:
    """Choose configurations that have every pair of settings, greedily.

    All of (depth, feedback, channels) are among them, since these three are the issue's.
    """
    chosen, wanted = [], set().union(*map(pairs, FULL))
    for cell in product(*(FACTORS[name] for name in ("num_steps", "feedback", "channels"))):
        fitting = [config for config in FULL if tuple(config.values())[:3] == cell]
        chosen.append(max(fitting, key=lambda config: len(pairs(config) & wanted)))
        wanted -= pairs(chosen[-1])
    while wanted:
        chosen.append(max(FULL, key=lambda config: len(pairs(config) & wanted)))
        wanted -= pairs(chosen[-1])
    return chosen


def name(config: dict[str, Any]) -> str:
    return "-".join(str(value) for value in config.values())


def build(make_tree: MakeTree, config: dict[str, Any], randomise: Callable[..., None], **changes: Any) -> Tree:
    """A tree with weights and a leak off their initial values."""
    settings = {**config, **changes}
    tree = make_tree(image_shape=(settings.pop("channels"), 12, 14), **settings)
    randomise(tree, 0.05)
    return tree


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("config", pairwise_matrix(), ids=name)
def test_the_engine_is_algorithm_1(make_tree: MakeTree, randomise: Callable[..., None], config: dict[str, Any]):
    tree, z = build(make_tree, config, randomise), torch.randn(3, 6)
    with torch.no_grad():
        canvas, expected = tree.fold(tree.unfold(z)), generate_image(tree, z)
    assert expected.std() > 1e-5  # four orders above what it is compared to; patches start dark
    torch.testing.assert_close(canvas, expected, **NANO)


@pytest.mark.slow
@pytest.mark.parametrize("config", FULL, ids=name)
def test_the_engine_is_algorithm_1_everywhere(
    make_tree: MakeTree, randomise: Callable[..., None], config: dict[str, Any]
):
    test_the_engine_is_algorithm_1(make_tree, randomise, config)


@pytest.mark.thorough
@pytest.mark.parametrize("patch_activation", ["relu6", "softplus"])
def test_other_patches_sum_alike(make_tree: MakeTree, randomise: Callable[..., None], patch_activation: str):
    tree = build(make_tree, {"channels": 1, "composition": "sum"}, randomise, patch_activation=patch_activation)
    z = torch.randn(3, 6)
    torch.testing.assert_close(tree.fold(tree.unfold(z)), generate_image(tree, z), **NANO)


DECODERS: dict[str, dict[str, Any]] = {
    "dense": {},
    "conv": {"patch_decoder": "conv", "patch_size": 7},
    "primitives": {"patch_decoder": "primitives", "primitives": ("line", "arc", "dot")},
}


def test_no_patch_decoder_is_left_out():
    assert set(DECODERS) == set(PATCH_DECODERS), "a new decoder needs a line in DECODERS, and a case in reference.py"


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("hypernets", ["shared", "per_level"])
@pytest.mark.parametrize("feedback", [False, True])
@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("compress", [False, True])
def test_every_patch_decoder_is_that_of_algorithm_1(
    make_tree: MakeTree, randomise: Callable[..., None], decoder: str, feedback: bool, hypernets: str, compress: bool
):
    """Numbers are moved out to where they are compressed."""
    config = {"channels": 3, "num_steps": (2, 2), "feedback": feedback, "hypernets": hypernets, "compress": compress}
    tree, z = build(make_tree, config, randomise, **DECODERS[decoder]), 3 * torch.randn(3, 6)
    with torch.no_grad():
        canvas, expected = tree.fold(tree.unfold(z)), generate_image(tree, z)
        walked = tree.fold(tree.unfold(z, mean))
    assert expected.std() > 1e-4
    torch.testing.assert_close(canvas, expected, **NANO)
    torch.testing.assert_close(walked, expected, **NANO)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("feedback", [False, True])
@pytest.mark.parametrize("decoder", DECODERS)
def test_gradients_are_those_of_algorithm_1(
    make_tree: MakeTree, randomise: Callable[..., None], feedback: bool, decoder: str
):
    config = {"channels": 1, "num_steps": (2, 3), "feedback": feedback, "state_activation": "elu", **DECODERS[decoder]}
    tree, z = build(make_tree, config, randomise), torch.randn(3, 6, requires_grad=True)
    weights = torch.randn(3, 1, 12, 14)
    wanted = [z, *tree.parameters()]
    found = torch.autograd.grad((tree.fold(tree.unfold(z)) * weights).sum(), wanted)
    expected = torch.autograd.grad((generate_image(tree, z) * weights).sum(), wanted)
    assert expected[0].abs().max() > 1e-4
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, **NANO)


@pytest.mark.thorough
def test_the_leak_the_gain_and_the_scale_limits_of_each_level_count(
    make_tree: MakeTree, randomise: Callable[..., None]
):
    config = {"channels": 1, "num_steps": (2, 2)}
    limits = {"scale_limits": ((0.3, 0.55), (0.1, 0.3)), "rotation_limit": 3.0, "action_gain": 1.5}
    tree = build(make_tree, config, randomise, leak=0.3, **limits)
    z = torch.randn(3, 6)
    canvas = tree.fold(tree.unfold(z))
    torch.testing.assert_close(canvas, generate_image(tree, z), **NANO)
    assert canvas.min() > 0.2
