"""The work of the command ``cost_model``."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import prod
from typing import Any

import pyro
import torch
from torch.utils.flop_counter import FlopCounterMode

from examples.benchmarking.config import CostConfig
from examples.benchmarking.timing import medians
from examples.shared.memory import keep_freed_memory
from inference.contexts import seeded
from inference.objectives.elbo import RecordingELBO
from inference.training.task import Weights
from rnp_pyro.api.pair import build_pair
from rnp_pyro.config import Config
from rnp_pyro.errors import UserError
from rnp_pyro.fast.generated import HeadInput, add_gradients, generate, no_gradient
from rnp_pyro.fast.recurrence import Recurrence, run_forward
from rnp_pyro.fast.unroll import Chunk, chunk_gradients, decode_patches, default_chunk, joined
from rnp_pyro.hypernet import Hypernet
from rnp_pyro.parse import Nodes, Parse
from rnp_pyro.shapes import Latent, Tensor
from rnp_pyro.tree import Tree

FLOAT = 4
"""Bytes of a float32."""

PASTE_FLOP = 40
"""Of one interpolated pixel, forward and backward: its place, four neighbours weighed, and their derivatives."""

IMAGE = (1, 28, 28)


@dataclass(frozen=True)
class Stage:
    """A part of a training step.

    Args:
        name: As printed.
        run: Does it once, forward and backward.
        floats: Fewest float32 numbers that it must read and write.
        flop: Of its arithmetic; None: counted.
    """

    name: str
    run: Callable[[], object]
    floats: float
    flop: float | None = None


def main(config: CostConfig) -> list[str]:
    """Measure and print the table.

    Returns:
        Its lines.

    Raises:
        UserError: If a number is too small.
    """
    if config.batch_size < 1 or config.rounds < 3:
        raise UserError(
            f"--batch_size must be at least 1 and --rounds at least 3, got {config.batch_size} and {config.rounds}"
        )
    keep_freed_memory()
    matrix, copy = _ceilings(config.rounds)
    with pyro.get_param_store().scope(), pyro.validation_enabled(False), seeded(0, torch.zeros(()).device):
        *stages, whole = _stages(config.batch_size)
        flop = [_flop(stage) for stage in stages]
        seconds = medians([stage.run for stage in (*stages, whole)], config.rounds)
    lines = [
        f"{torch.get_num_threads()} threads, torch {torch.__version__}, float32, {config.batch_size} images per step; "
        f"ceilings: matrix product {matrix / 1e9:.0f} GFLOP/s, copy {copy / 1e9:.1f} GB/s",
        "| stage | MFLOP per image | fewest kB per image | floor, ms per step | measured, ms | ratio |",
        "|---|---|---|---|---|---|",
    ]
    floors = [max(work / matrix, FLOAT * stage.floats / copy) for stage, work in zip(stages, flop, strict=True)]
    for stage, work, floor, measured in zip(stages, flop, floors, seconds, strict=False):
        lines.append(_row(stage.name, work, FLOAT * stage.floats, floor, measured, config.batch_size))
    rest = seconds[-1] - sum(seconds[:-1])
    lines.append(f"| Pyro, autograd's bookkeeping, Python | | | | {1e3 * rest:.1f} | |")
    total_bytes = FLOAT * sum(stage.floats for stage in stages)
    lines.append(_row("whole step", sum(flop), total_bytes, sum(floors), seconds[-1], config.batch_size))
    print("\n".join(lines))
    return lines


def _row(name: str, flop: float, size: float, floor: float, measured: float, batch_size: int) -> str:
    return (
        f"| {name} | {flop / batch_size / 1e6:.2f} | {size / batch_size / 1e3:.0f} | {1e3 * floor:.1f} "
        f"| {1e3 * measured:.1f} | {measured / floor:.1f} |"
    )


def _stages(batch_size: int) -> list[Stage]:
    """Cut a step of the default model into stages; the last is the whole step."""
    pair = build_pair(Config(), IMAGE)
    tree, images = pair.model.decoder, torch.rand(batch_size, *IMAGE).round()
    assert isinstance(tree, Tree)
    modules = Weights(pair.model, pair.guide).train()
    optimizer = torch.optim.Adam(modules.parameters(), lr=1e-4, fused=True)
    elbo = RecordingELBO(max_plate_nesting=1)(pair.model, pair.guide)

    def step() -> None:
        optimizer.zero_grad()
        (elbo(images) / batch_size).backward()
        update()

    def update() -> None:
        torch.nn.utils.clip_grad_norm_(modules.parameters(), 100.0)
        optimizer.step()

    step()
    encoder, canvas = pair.guide.encoder, torch.rand(batch_size, *IMAGE, requires_grad=True)
    weights = sum(parameter.numel() for parameter in modules.parameters())
    encoder_floats = sum(parameter.numel() for parameter in encoder.parameters()) * 3
    return [
        Stage("encoder", lambda: _both(encoder(images)), encoder_floats + 2 * images.numel()),
        *_engine_stages(tree, batch_size),
        _fold_stage(tree, batch_size),
        Stage("likelihood", lambda: _both(pair.model.likelihood(canvas).log_prob(images)), 3 * images.numel(), 0.0),
        Stage("clipping and Adam", update, 9 * weights, 0.0),
        Stage("whole step", step, 0.0),
    ]


def _engine_stages(tree: Tree, batch_size: int) -> Iterator[Stage]:
    """Trunks, heads and recurrence of all programs of all images."""
    num_programs = batch_size * sum(prod(tree.assembly.num_steps[:depth]) for depth in range(tree.num_levels))
    num_steps, shapes = tree.assembly.num_steps[0], tree.hypernets.shapes
    z = torch.randn(num_programs, tree.latent_size, requires_grad=True)
    chunk = min(num_programs, default_chunk(z, shapes))
    gain = tree.limits(tree.num_levels).gain
    recurrence = Recurrence(shapes, tree.patch_decoder, tree.activations, gain, chunk, recompute=False)
    state, policy = tree.hypernets.at(1)
    chunks = [(_head(state, part), _head(policy, part)) for part in z.detach().split(chunk)]
    made = [generate(heads, shapes) for heads in chunks]
    sums = no_gradient(state.heads.weight, state.heads.bias), no_gradient(policy.heads.weight, policy.heads.bias)

    def trunks() -> None:
        _both(state.features(z), policy.features(z))

    def heads() -> None:
        for one, found in zip(chunks, made, strict=True):
            generate(one, shapes)
            add_gradients(found, one, sums)

    def run() -> None:
        for one, layers in zip(chunks, made, strict=True):
            steps = run_forward(layers, recurrence, num_steps)
            latents, actions = joined(steps)
            decoded = decode_patches(layers, latents, recurrence, differentiable=True)
            errors = (latents, actions, decoded.patches.detach())
            chunk_gradients(one, Chunk(steps, layers, decoded), errors, recurrence)

    generated = num_programs * sum(shape.num_parameters for shape in shapes)
    trunk_weights = sum(parameter.numel() for hypernet in (state, policy) for parameter in hypernet.trunk.parameters())
    yield Stage("hypernetworks' trunks", trunks, 3 * trunk_weights)
    # Weights are written and gradients read once; within a chunk they stay in the cache.
    yield Stage(
        "hypernetworks' heads", heads, 2 * generated + 3 * (state.heads.weight.numel() + policy.heads.weight.numel())
    )
    yield Stage("recurrences and decoders", run, 3 * generated)


@torch.no_grad()
def _head(hypernet: Hypernet, z: Latent) -> HeadInput:
    return HeadInput(hypernet.features(z), hypernet.heads.weight.detach(), hypernet.heads.bias.detach())


def _fold_stage(tree: Tree, batch_size: int) -> Stage:
    """Pastes and composition, of the whole tree and of the part term's coarse image."""
    with torch.no_grad():
        drawn = tree.unfold(torch.randn(batch_size, tree.latent_size))
    levels = [
        Nodes(nodes.z, nodes.action, nodes.pose.requires_grad_(), nodes.patch.requires_grad_())
        for nodes in drawn.levels
    ]
    parse = Parse(drawn.root, tuple(levels))
    places = [
        batch_size * prod(tree.assembly.num_steps[: depth + 1]) * prod(size)
        for depth, size in enumerate(tree.assembly.canvas_sizes)
    ]
    pixels = sum(places) + places[0]  # the coarse image pastes the parts once more
    numbers = sum(nodes.patch.numel() + nodes.pose.numel() for nodes in levels)
    return Stage(
        "pastes and composition",
        lambda: _both(tree.fold(parse), tree.fold(parse, leaf_level=1)),
        3 * numbers + 2 * pixels,
        PASTE_FLOP * pixels,
    )


def _both(*outputs: Tensor) -> None:
    """Go back from outputs."""
    torch.autograd.backward(outputs, [torch.ones_like(output) for output in outputs])


def _flop(stage: Stage) -> float:
    if stage.flop is not None:
        return stage.flop
    with count_flop() as counter:
        stage.run()
    return counter.get_total_flops()


@contextmanager
def count_flop() -> Iterator[Any]:
    """Count the operations of matrix products and convolutions, those that add to their result included."""

    def count(total: torch.Size, left: torch.Size, right: torch.Size, **_: Any) -> int:
        return 2 * left.numel() * right[-1]

    with FlopCounterMode(display=False, custom_mapping={torch.ops.aten.addmm_: count}) as counter:
        yield counter


def _ceilings(rounds: int) -> tuple[float, float]:
    """Measure this machine: FLOP per second of a large matrix product, bytes per second read and written by a copy."""
    size, length = 2048, 2**26
    left, right = torch.randn(2, size, size)
    source, target = torch.randn(length), torch.empty(length)
    product, copy = medians([lambda: left @ right, lambda: target.copy_(source)], rounds)
    return 2 * size**3 / product, 2 * FLOAT * length / copy
