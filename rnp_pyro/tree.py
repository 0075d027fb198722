"""The tree: unfold a latent level by level into parts and poses, fold them into canvases (Algorithm 1).

Without feedback a whole level unrolls in one batched call: all programs of all images of a level are one batch, so that
the sequential length is the sum of the levels' steps, not their product.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, partial
from typing import Any

import torch
from torch import nn

from rnp_pyro.affine import compose, compose_children, identity_pose, pose_from_action
from rnp_pyro.canvas import compose_canvases, paste
from rnp_pyro.draw import Context, Draw, mean, site_name
from rnp_pyro.fast.recall import Memory
from rnp_pyro.fast.unroll import Recurrence, default_chunk, unroll
from rnp_pyro.hypernet import LevelHypernets
from rnp_pyro.node_scales import NodeScales
from rnp_pyro.parse import Nodes, Parse, merge_steps
from rnp_pyro.program import (
    STATE_ACTIVATIONS,
    ProgramParams,
    ProgramState,
    decode,
    defer_program,
    initial_state,
    propose,
    split_program,
)
from rnp_pyro.shapes import Canvas, Float, Latent, Tensor
from rnp_pyro.tree_settings import FASTEST, PATCH_ACTIVATIONS, Execution, Level, Rendering

PastedChildren = Float[Tensor, "*batch N T C H W"]
"""The children of the programs of one level, each on its parent's canvas."""


class Tree(nn.Module):
    """A recursive neural program of any depth.

    Args:
        hypernets: ``H_state`` and ``H_policy``.
        levels: What is fixed for levels K, ..., 1: the root's first.
        rendering: How latents become pixels.
        feedback: For each level 1, ..., K a linear layer from a child's canvas to |z|, the dotted line of fig. 2b:
            the parent's next step takes it as its estimate of the last part. None: Algorithm 1 as printed.
        initial_leak: Probability of a bright pixel without any part at the start, in (0, 1), learned for each channel;
            ``noisy_or`` only.
        execution: How the fast path computes.
        node_scales: Standard deviations of random nodes; None: only the root is random, as in the paper.
    """

    def __init__(
        self,
        hypernets: LevelHypernets,
        levels: tuple[Level, ...],
        rendering: Rendering,
        feedback: nn.ModuleList | None = None,
        initial_leak: float = 0.01,
        execution: Execution = FASTEST,
        node_scales: NodeScales | None = None,
    ) -> None:
        super().__init__()
        self.hypernets = hypernets
        self.levels = levels
        self.rendering = rendering
        self.feedback = feedback
        self.execution = execution
        self.node_scales = node_scales
        self.memory: Memory | None = None
        leak = torch.full((rendering.patch_shape[0], 1, 1), initial_leak)
        self.leak_logit = nn.Parameter(torch.logit(leak)) if rendering.composition == "noisy_or" else None

    @property
    def num_levels(self) -> int:
        """Level of the root, K."""
        return len(self.levels)

    @property
    def latent_size(self) -> int:
        """Size of every program, |z|."""
        return self.hypernets.latent_size

    @property
    def root_site(self) -> str:
        """Name of the root latent's sample site, ``z.K``."""
        return f"z.{self.num_levels}"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the image."""
        return (self.rendering.patch_shape[0], *self.levels[0].canvas_size)

    def settings(self, level: int) -> Level:
        """Return what is fixed for the programs of ``level``, 1 to K."""
        return self.levels[self.num_levels - level]

    def unfold(self, z: Latent, draw: Draw = mean) -> Parse:
        """Unfold a latent into the parts and poses of all levels (Algorithm 1 without its pasting).

        Args:
            z: The root program, ``z^K``.
            draw: Gives each node's action and latent from their means; the default takes the means.
        """
        root = self._call(_as_only_node, z)
        return Parse(z, self._unfold_level(self.num_levels, root, identity_pose(root), draw, ()))

    def unfold_programs(self, level: int, z: Float[Tensor, "*batch N Z"]) -> tuple[Nodes, ...]:
        """Unfold programs of any level, side by side, into the nodes of levels ``level`` - 1, ..., 0 below them."""
        return self._unfold_level(level, z, identity_pose(z), mean, ())

    def fold(self, parse: Parse, leaf_level: int = 0) -> Canvas:
        """Paste children into their parents' frames, up to the image: the nested sum of eq. (1).

        Args:
            parse: What to draw.
            leaf_level: Level whose own patches are taken for its canvases: 0 draws the whole tree, K-1 the coarse image
                of eq. (1)'s second term.
        """
        *_, (_, pasted) = self.pasted_children(parse, leaf_level)
        leak = None if self.leak_logit is None else torch.sigmoid(self.leak_logit)
        return compose_canvases(pasted, self.rendering.composition, leak).squeeze(-4)

    def pasted_children(self, parse: Parse, leaf_level: int = 0) -> Iterator[tuple[int, PastedChildren]]:
        """Go up from ``leaf_level + 1`` to K: each level, and its programs' children pasted on its canvases."""
        canvas = parse.at(leaf_level).patch
        for level in range(leaf_level + 1, self.num_levels + 1):
            pasted = self._paste_children(level, canvas, parse.at(level - 1).pose)
            yield level, pasted
            canvas = compose_canvases(pasted, self.rendering.composition)

    def decode_patch(self, params: ProgramParams, z: Latent) -> Float[Tensor, "*batch C p p"]:
        """Decode a child's latent into its own patch, ``dec_state`` (line 8).

        Departure: at the patch's size; the authors' code decodes at the image's and shrinks. As sharp, and far cheaper.
        """
        activation = PATCH_ACTIVATIONS[self.rendering.patch_activation]
        return activation(decode(params.state_params, z)).unflatten(-1, self.rendering.patch_shape)

    def generate(self, z: Latent, level: int) -> ProgramParams:
        """Generate the networks of programs of ``level`` (lines 2 and 3)."""
        state, policy = self.hypernets(z, level)
        return split_program(state, policy, self.hypernets.shapes)

    def _paste_children(
        self, level: int, canvas: Float[Tensor, "*batch M C h w"], pose: Float[Tensor, "*batch M 2 3"]
    ) -> PastedChildren:
        settings = self.settings(level)
        pasted = paste(canvas, pose, settings.canvas_size, self.rendering.interpolation)
        return pasted.unflatten(-4, (-1, settings.num_steps))

    def _unfold_level(
        self,
        level: int,
        z: Float[Tensor, "*batch N Z"],
        pose: Float[Tensor, "*batch N 2 3"],
        draw: Draw,
        steps: tuple[int, ...],
    ) -> tuple[Nodes, ...]:
        """Unfold programs of one level, side by side, into the nodes of all levels below; ``pose`` is to the image."""
        if draw is mean and self.feedback is None:
            children = self._unroll(level, z)
            if level == 1:
                return (children,)
            child_pose = compose_children(pose, children.pose)
            return (children, *self._unfold_level(level - 1, children.z, child_pose, draw, steps))
        walk = self._walk(level, z, pose, draw, steps)
        children = self._call(_merge, z, *(child for child, _ in walk))
        if level == 1:
            return (children,)
        if self.feedback is None:
            below = self._unfold_level(level - 1, children.z, compose_children(pose, children.pose), draw, steps)
        else:
            # Each step has unfolded its own children already, to look at them.
            by_level = zip(*(subtree for _, subtree in walk), strict=True)
            below = tuple(self._call(_merge, z, *nodes) for nodes in by_level)
        return (children, *below)

    def _unroll(self, level: int, z: Float[Tensor, "*batch N Z"]) -> Nodes:
        """Run the programs of one level to their end, where nothing is drawn and nothing fed back: the fast path."""
        settings, rendering = self.settings(level), self.rendering
        recurrence = Recurrence(
            self.hypernets.shapes,
            settings.num_steps,
            rendering.state_activation,
            settings.limits.gain,
            self.execution.chunk or default_chunk(z, self.hypernets.shapes),
            self.execution.recompute,
        )
        outputs = unroll(*self.hypernets.at(level), self.hypernets.embed(z, level), recurrence)
        child_z, action, patch = (output.flatten(-3, -2) for output in outputs)
        patch = PATCH_ACTIVATIONS[rendering.patch_activation](patch).unflatten(-1, rendering.patch_shape)
        return Nodes(child_z, action, pose_from_action(action, settings.limits), patch)

    def _walk(
        self,
        level: int,
        z: Float[Tensor, "*batch N Z"],
        pose: Float[Tensor, "*batch N 2 3"],
        draw: Draw,
        steps: tuple[int, ...],
    ) -> list[tuple[Nodes, tuple[Nodes, ...]]]:
        """Run the programs of one level: for each step the children and, with feedback, what is below them."""
        settings, activation = self.settings(level), STATE_ACTIVATIONS[self.rendering.state_activation]
        params = self._call(self._generate_deferred, z, level)
        state = self._call(initial_state, params)
        draw_canvas = cache(lambda: z.new_zeros(*z.shape[:-1], self.rendering.patch_shape[0], *settings.canvas_size))
        walk: list[tuple[Nodes, tuple[Nodes, ...]]] = []
        for step in range(settings.num_steps):
            # With feedback programs run depth first, so that only the whole path names a step.
            path = (*steps, step) if self.feedback is not None else (step,)
            context = Context(level - 1, path, pose, identity_pose(z), z, draw_canvas)
            proposal = self._call(propose, params, state, activation, settings.limits.gain)
            scale = self._node_scale("action", level - 1)
            action = draw(site_name("action", context), proposal.action_loc, scale, context)
            child_pose = self._call(pose_from_action, action, settings.limits)
            context = replace(context, pose=compose(pose, child_pose), pose_in_parent=child_pose)
            scale = self._node_scale("z", level - 1)
            child_z = draw(site_name("z", context), proposal.z_loc, scale, context)
            child = self._call(Nodes, child_z, action, child_pose, self._call(self.decode_patch, params, child_z))
            below: tuple[Nodes, ...] = ()
            estimate, seen = child_z, child.patch
            if self.feedback is not None:
                if level > 1:
                    below = self._unfold_level(level - 1, child_z, context.pose, draw, path)
                    seen = self._call(self._fold_children, level - 1, *below)
                estimate = self._call(self._feed_back, level, seen)
            draw_canvas = cache(partial(self._add_child, draw_canvas, seen, child_pose, settings))
            walk.append((child, below))
            state = self._call(ProgramState, child_z, estimate, proposal.policy, action)
        return walk

    def _call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """Call a function, or take what it gave in a walk before; see :func:`rnp_pyro.fast.recall.remembering`."""
        return function(*arguments) if self.memory is None else self.memory.call(function, *arguments)

    def _generate_deferred(self, z: Float[Tensor, "*batch N Z"], level: int) -> ProgramParams:
        """Generate programs whose weights' gradients are formed once, after all steps."""
        return defer_program(self.generate(z, level))

    def _feed_back(self, level: int, seen: Float[Tensor, "*batch N C h w"]) -> Float[Tensor, "*batch N Z"]:
        """Map what children drew to their parents' estimate of them."""
        assert self.feedback is not None
        estimate: Tensor = self.feedback[level - 1](seen.flatten(-3))
        return estimate

    def _node_scale(self, kind: str, level: int) -> Float[Tensor, " size"] | None:
        return None if self.node_scales is None else self.node_scales(kind, level)

    def _add_child(
        self,
        draw_canvas: Callable[[], Tensor],
        child: Float[Tensor, "*batch N C h w"],
        pose: Float[Tensor, "*batch N 2 3"],
        settings: Level,
    ) -> Float[Tensor, "*batch N C H W"]:
        """Add one more child to its parent's canvas so far."""
        pasted = paste(child, pose, settings.canvas_size, self.rendering.interpolation)
        return compose_canvases(torch.stack([draw_canvas(), pasted], dim=-4), self.rendering.composition)

    def _fold_children(self, level: int, *below: Nodes) -> Float[Tensor, "*batch N C H W"]:
        """Fold the nodes below programs of ``level`` into these programs' canvases."""
        canvas = below[-1].patch
        for offset, nodes in enumerate(reversed(below)):
            pasted = self._paste_children(level - len(below) + 1 + offset, canvas, nodes.pose)
            canvas = compose_canvases(pasted, self.rendering.composition)
        return canvas


def _as_only_node(z: Latent) -> Float[Tensor, "*batch 1 Z"]:
    return z[..., None, :]


def _merge(parents: Float[Tensor, "*batch N Z"], *steps: Nodes) -> Nodes:
    return merge_steps(steps, num_parents=parents.shape[-2])
