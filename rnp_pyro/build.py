"""From settings to parts: the only place where a tree's configuration is read."""

from dataclasses import replace
from math import prod

import torch
from torch import nn

from rnp_pyro.activations import FAINTEST
from rnp_pyro.affine import PoseLimits
from rnp_pyro.choices import NodeLatents
from rnp_pyro.config import Config, TreeConfig
from rnp_pyro.errors import UserError
from rnp_pyro.fast.unroll import Execution
from rnp_pyro.fold import Assembly
from rnp_pyro.hypernet import LevelHypernets
from rnp_pyro.node_scales import NodeScales
from rnp_pyro.patches import PATCH_DECODERS
from rnp_pyro.patches.primitives import BLANK, names
from rnp_pyro.program import network_shapes
from rnp_pyro.shapes import ByteImages
from rnp_pyro.tree import Tree

LEAK, BRIGHTEST_LEAK = 0.01, 0.99
"""Of dark and of bright grounds, at the start."""


def build_tree(
    config: TreeConfig, latent_size: int, image_shape: tuple[int, int, int], node_latents: NodeLatents = "none"
) -> Tree:
    """Build a tree for images of one shape.

    Args:
        config: The tree's settings.
        latent_size: |z|.
        image_shape: Channels, rows and columns of the images, which are the root's canvases.
        node_latents: What of every node is random, besides the root.

    Raises:
        UserError: If the settings do not fit each other or the images.
    """
    check_tree(config, latent_size)
    channels = image_shape[0]
    num_levels = len(config.num_steps)
    patch_decoder = PATCH_DECODERS[config.patch_decoder](config, latent_size, channels)
    state, policy = network_shapes(latent_size, config.hidden_size, patch_decoder.heads)
    hypernets = LevelHypernets(
        latent_size, state, policy, config.hypernet_layers, config.hypernet_size, num_levels, config.hypernets
    )
    canvas_sizes = (image_shape[1:], *((size, size) for size in config.canvas_sizes))
    leak = torch.full((channels, 1, 1), _initial_leak(config)) if config.composition == "noisy_or" else None
    assembly = Assembly(tuple(config.num_steps), canvas_sizes, config.composition, config.interpolation, leak)
    feedback = _feedback(assembly, patch_decoder.patch_shape, latent_size) if config.feedback else None
    execution = Execution(config.chunk or None, config.recompute)
    node_scales = NodeScales(node_latents, latent_size, num_levels) if node_latents != "none" else None
    return Tree(
        hypernets,
        assembly,
        _limits(config),
        patch_decoder,
        config.state_activation,
        config.compress,
        feedback,
        execution,
        node_scales,
    )


def weights_to_come(config: Config) -> Config:
    """Return a run's settings as they are built where its weights are loaded afterwards: no file is read for them."""
    tree = replace(config.model.tree, primitives=tuple(BLANK for _ in names(config.model.tree)))
    return replace(config, model=replace(config.model, tree=tree))


def start_like(config: Config, images: ByteImages) -> Config:
    """Return settings whose patches and leak start as the images are, where they do not say otherwise.

    Patches start as bright as the images are on average. The leak starts as bright as the darkest tenth of their
    pixels: it is learned slowly, and parts that leave a bright ground to it would cost more than a blank grey image.
    """
    tree = config.model.tree
    ink, leak = tree.ink, tree.leak
    if ink is None:
        ink = round(images.sum(dtype=torch.int64).item() / images.numel() / 255, 6)
    if leak is None:
        leak = min(max(_faint_leak(ink), _ground(images)), BRIGHTEST_LEAK)
    return replace(config, model=replace(config.model, tree=replace(tree, ink=ink, leak=leak)))


def check_tree(config: TreeConfig, latent_size: int) -> None:
    """Refuse settings that make no tree.

    Raises:
        UserError: In one line, with what was expected and what came.
    """
    num_levels = len(config.num_steps)
    if num_levels < 1 or min(config.num_steps) < 1:
        raise UserError(f"num_steps must give at least 1 step for each of 1 or more levels, got {config.num_steps}")
    if len(config.canvas_sizes) != num_levels - 1:
        raise UserError(
            f"canvas_sizes must give {num_levels - 1} sizes, one for each level below the root of a tree with "
            f"num_steps {config.num_steps}, got {config.canvas_sizes}"
        )
    if len(config.scale_limits) not in (1, num_levels):
        raise UserError(f"scale_limits must be 1 or {num_levels} pairs, root first, got {config.scale_limits}")
    sizes = {
        "latent_size": latent_size,
        "patch_size": config.patch_size,
        "canvas_sizes": min(config.canvas_sizes, default=1),
        "hidden_size": config.hidden_size,
        "hypernet_size": config.hypernet_size,
    }
    for name, size in sizes.items():
        if size < 1:
            raise UserError(f"{name} must be at least 1, got {size}")
    if config.chunk < 0:
        raise UserError(f"chunk must be at least 1, or 0 to choose it for the device, got {config.chunk}")
    if config.hypernet_layers < 2:
        raise UserError(f"hypernet_layers must be at least 2, got {config.hypernet_layers}")
    if config.ink is not None and not 0 <= config.ink <= 1:
        raise UserError(f"ink must be within 0 to 1, or null for that of the images, got {config.ink:g}")
    if config.leak is not None and not 0 < config.leak < 1:
        raise UserError(f"leak must be between 0 and 1, got {config.leak:g}")
    if config.patch_decoder not in PATCH_DECODERS:
        raise UserError(f"patch_decoder must be one of {', '.join(PATCH_DECODERS)}, got {config.patch_decoder}")
    if (
        config.composition == "noisy_or"
        and config.patch_decoder != "primitives"
        and config.patch_activation != "sigmoid"
    ):
        raise UserError(
            f"noisy_or needs parts within [0, 1]: expected patch_activation sigmoid, got {config.patch_activation}"
        )


def _ground(images: ByteImages) -> float:
    """Return how bright the darkest tenth of pixels is at most, within [0, 1], from 2,000 images all over the data."""
    some = images[:: max(1, len(images) // 2000)]
    return round(some.flatten().kthvalue(max(1, some.numel() // 10)).values.item() / 255, 6)


def _initial_leak(config: TreeConfig) -> float:
    return _faint_leak(config.ink) if config.leak is None else config.leak


def _faint_leak(ink: float | None) -> float:
    """Return a leak fainter than images of this brightness.

    A leak as bright as the images explains them by itself, and parts go dark.
    """
    return LEAK if ink is None else min(LEAK, max(ink, FAINTEST) / 10)


def _limits(config: TreeConfig) -> tuple[PoseLimits, ...]:
    """Return how far the children of each level of programs may be transformed, the root's first."""
    num_levels = len(config.num_steps)
    scales = config.scale_limits if len(config.scale_limits) > 1 else config.scale_limits * num_levels
    return tuple(PoseLimits(scale, config.rotation_limit, config.shear_limit, config.action_gain) for scale in scales)


def _feedback(assembly: Assembly, patch_shape: tuple[int, int, int], latent_size: int) -> nn.ModuleList:
    """Make the layers from a child's canvas to |z|, for programs of levels 1, ..., K."""
    child_sizes = [patch_shape[1:], *reversed(assembly.canvas_sizes[1:])]
    return nn.ModuleList(nn.Linear(patch_shape[0] * prod(size), latent_size) for size in child_sizes)
