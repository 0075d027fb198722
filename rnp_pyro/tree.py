"""The tree: unfold a latent level by level into parts and poses, fold them into canvases (Algorithm 1).

Without feedback a whole level unrolls in one batched call: all programs of all images of a level are one batch, so that
the sequential length is the sum of the levels' steps, not their product.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import nn

from rnp_pyro.activations import recurrence_activations
from rnp_pyro.affine import PoseLimits, compose, compose_children, identity_pose, pose_from_action
from rnp_pyro.canvas import show
from rnp_pyro.choices import StateActivation
from rnp_pyro.draw import Context, Draw, mean, site_name
from rnp_pyro.fast.recall import Memory
from rnp_pyro.fast.recurrence import Recurrence
from rnp_pyro.fast.stepwise import generate_stepped
from rnp_pyro.fast.unroll import FASTEST, Execution, default_chunk, unroll
from rnp_pyro.fold import Assembly, Drawing, PastedChildren, PastedSum, fold, pasted_children
from rnp_pyro.hypernet import LevelHypernets
from rnp_pyro.node_scales import NodeScales
from rnp_pyro.parse import Nodes, Parse, Unfolded, merge_steps, merge_unfolded
from rnp_pyro.patch import PatchDecoder
from rnp_pyro.precision import own_precision
from rnp_pyro.program import PlainPrograms, Programs, ProgramState, split_program
from rnp_pyro.shapes import Action, Canvas, Float, Latent, Pose, Tensor


@dataclass(frozen=True)
class Place:
    """Programs side by side, on the way down.

    Args:
        level: Theirs, 1 to K.
        z: Their latents.
        pose: From their frames to the image.
        steps: With feedback the steps from the root to them, which name their sites; else none.
    """

    level: int
    z: Float[Tensor, "*batch N Z"]
    pose: Float[Tensor, "*batch N 2 3"]
    steps: tuple[int, ...] = ()


class Tree(nn.Module):
    """A recursive neural program of any depth.

    Args:
        hypernets: ``H_state`` and ``H_policy``.
        assembly: How children become canvases; where it has a leak, that is learned from there.
        limits: How far children may be transformed, for programs of levels K, ..., 1: the root's first.
        patch_decoder: From latents to patches.
        state_activation: Of the recurrent state network.
        compress: Whether states and actions far beyond what is usual are compressed.
        feedback: For each level 1, ..., K a linear layer from a child's canvas to |z|, the dotted line of fig. 2b:
            the parent's next step takes it as its estimate of the last part. None: Algorithm 1 as printed.
        execution: How it is computed.
        node_scales: Standard deviations of random nodes; None: only the root is random, as in the paper.
    """

    def __init__(
        self,
        hypernets: LevelHypernets,
        assembly: Assembly,
        limits: tuple[PoseLimits, ...],
        patch_decoder: PatchDecoder,
        state_activation: StateActivation = "identity",
        compress: bool = True,
        feedback: nn.ModuleList | None = None,
        execution: Execution = FASTEST,
        node_scales: NodeScales | None = None,
    ) -> None:
        super().__init__()
        if isinstance(patch_decoder, nn.Module) and any(True for _ in patch_decoder.parameters()):
            raise ValueError("expected a patch decoder whose parameters are all generated, got one with its own")
        self.hypernets = hypernets
        self.pose_limits = limits
        self.patch_decoder = patch_decoder
        self.state_activation: StateActivation = state_activation
        self.compress = compress
        self.activations = recurrence_activations(state_activation, compress)
        self.feedback = feedback
        self.execution = execution
        self.node_scales = node_scales
        self.memory: Memory | None = None
        self.leak_logit = None if assembly.leak is None else nn.Parameter(torch.logit(assembly.leak))
        self.without_leak = replace(assembly, leak=None)

    @property
    def num_levels(self) -> int:
        """Level of the root, K."""
        return len(self.pose_limits)

    @property
    def latent_size(self) -> int:
        """Size of every program, |z|."""
        return self.hypernets.latent_size

    @property
    def root_site(self) -> str:
        """Name of the root latent's sample site, ``z.K``."""
        return f"z.{self.num_levels}"

    @property
    def patch_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of every decoded patch."""
        return self.patch_decoder.patch_shape

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Channels, rows and columns of the image."""
        return (self.patch_shape[0], *self.without_leak.canvas_sizes[0])

    @property
    def assembly(self) -> Assembly:
        """How the tree is put together, with the leak as it is learned."""
        leak = None if self.leak_logit is None else torch.sigmoid(self.leak_logit)
        return replace(self.without_leak, leak=leak)

    def num_steps(self, level: int) -> int:
        """Return the number of children of each program of ``level``, 1 to K."""
        return self.without_leak.num_steps[self.num_levels - level]

    def canvas_size(self, level: int) -> tuple[int, int]:
        """Return rows and columns of the canvases of programs of ``level``, 1 to K."""
        return self.without_leak.canvas_sizes[self.num_levels - level]

    def limits(self, level: int) -> PoseLimits:
        """Return how far the children of programs of ``level``, 1 to K, may be transformed."""
        return self.pose_limits[self.num_levels - level]

    def unfold(self, z: Latent, draw: Draw | None = None) -> Parse:
        """Unfold a latent into the parts and poses of all levels (Algorithm 1 without its pasting).

        Args:
            z: The root program, ``z^K``.
            draw: Draws each node's action and latent around their means; None takes the means.
        """
        if draw is None or self.memory is None:
            return self._unfold_root(z, draw)
        return self.memory.recall(self._unfold_root, z, draw)

    def unfold_programs(self, level: int, z: Float[Tensor, "*batch N Z"]) -> tuple[Nodes, ...]:
        """Unfold programs of any level, side by side, into the nodes of levels ``level`` - 1, ..., 0 below them."""
        return tuple(nodes for nodes, _ in self._unfold_level(Place(level, z, identity_pose(z)), None))

    def fold(self, parse: Parse, leaf_level: int = 0) -> Canvas:
        """Paste children into their parents' frames, up to the image: the nested sum of eq. (1).

        Args:
            parse: What to draw.
            leaf_level: Level whose own patches are taken for its canvases: 0 draws the whole tree, K-1 the coarse image
                of eq. (1)'s second term.
        """
        level, drawn = self._drawn(parse, leaf_level)
        return fold(self.assembly, parse.levels[: self.num_levels - level], drawn).squeeze(-4)

    def pasted_children(self, parse: Parse, leaf_level: int = 0) -> Iterator[tuple[int, PastedChildren]]:
        """Go up from ``leaf_level + 1`` to K: each level, and its programs' children pasted on its canvases."""
        levels = parse.levels[: self.num_levels - leaf_level]
        return enumerate(pasted_children(self.without_leak, levels), leaf_level + 1)

    def generate(self, z: Float[Tensor, "*batch N Z"], level: int) -> Programs:
        """Generate the networks of programs of ``level`` (lines 2 and 3)."""
        if self.execution.fused and not _transformed():
            return generate_stepped(
                *self.hypernets.at(level), self.hypernets.embed(z, level), self._recurrence(z, level)
            )
        flat_state, flat_policy = self.hypernets(z, level)
        params = split_program(flat_state, flat_policy, self.hypernets.shapes)
        return PlainPrograms(params, self.activations, self.limits(level).gain)

    def place(self, action: Action, level: int) -> Pose:
        """Turn the actions of children of programs of ``level`` into poses (line 10's g)."""
        return pose_from_action(action, self.limits(level))

    def decode_patch(
        self, programs: Programs, z: Float[Tensor, "*batch T Z"]
    ) -> Float[Tensor, "*batch T C rows columns"]:
        """Decode the latents of T children of each program into their own patches, ``dec_state`` (line 8)."""
        with own_precision(z):
            return self.patch_decoder(programs.decoder, z)

    def _drawn(self, parse: Parse, leaf_level: int) -> tuple[int, PastedSum | None]:
        """Return the level above which all is still to be pasted, and what is drawn up to there.

        Without feedback a walk draws patches on their parents' canvases, which are the lowest ones of a fold. With
        feedback it draws what the children drew, up to the root.
        """
        whole = range(self.num_levels, 0, -1) if leaf_level == 0 else ()
        for level in (leaf_level + 1,) if self.feedback is None else whole:
            drawn = dict(enumerate(reversed(parse.drawn), 1)).get(level)
            if drawn is not None:
                return level, drawn
        return leaf_level, None

    def _unfold_root(self, z: Latent, draw: Draw | None) -> Parse:
        root = z[..., None, :]
        levels = self._unfold_level(Place(self.num_levels, root, identity_pose(root)), draw)
        return Parse(z, tuple(nodes for nodes, _ in levels), tuple(drawn for _, drawn in levels))

    def _unfold_level(self, place: Place, draw: Draw | None) -> tuple[Unfolded, ...]:
        """Unfold programs of one level into the nodes of all levels below."""
        level = place.level
        if draw is None and self.feedback is None and self.execution.fused and not _transformed():
            children, drawn, below = self._unroll(level, place.z), None, ()
        else:
            steps, drawn = self._walk(place, draw or mean)
            children = merge_steps([child for child, _ in steps], place.z.shape[-2])
            # With feedback each step has unfolded its own children already, to look at them.
            below = tuple(
                merge_unfolded(one, place.z.shape[-2]) for one in zip(*(down for _, down in steps), strict=True)
            )
        if self.feedback is None and level > 1:
            pose = compose_children(place.pose, children.pose)
            below = self._unfold_level(Place(level - 1, children.z, pose), draw)
        return ((children, drawn), *below)

    def _unroll(self, level: int, z: Float[Tensor, "*batch N Z"]) -> Nodes:
        """Run the programs of one level to their end, where nothing is drawn and nothing fed back: the fast path."""
        hypernets, embedded = self.hypernets.at(level), self.hypernets.embed(z, level)
        latents, actions, patches = unroll(*hypernets, embedded, self.num_steps(level), self._recurrence(z, level))
        actions = actions.flatten(-3, -2)
        return Nodes(latents.flatten(-3, -2), actions, self.place(actions, level), patches.flatten(-5, -4))

    def _recurrence(self, z: Float[Tensor, "*batch N Z"], level: int) -> Recurrence:
        """Return what is fixed for programs of one level, on the fast paths."""
        shapes, execution = self.hypernets.shapes, self.execution
        chunk = execution.chunk or default_chunk(z, shapes)
        return Recurrence(
            shapes, self.patch_decoder, self.activations, self.limits(level).gain, chunk, execution.recompute
        )

    def _walk(self, place: Place, draw: Draw) -> tuple[list[tuple[Nodes, tuple[Unfolded, ...]]], PastedSum | None]:
        """Run the programs of one level.

        Returns:
            For each step the children and, with feedback, what is below them; and what they drew, if that is known.
        """
        level, z = place.level, place.z
        assembly = self.without_leak.below(self.num_levels - level)
        programs = self.generate(z, level)
        state = programs.first
        drawing = Drawing(
            assembly, z.new_zeros(()).expand(*z.shape[:-1], self.patch_shape[0], *assembly.canvas_sizes[0])
        )
        walk: list[tuple[Nodes, tuple[Unfolded, ...]]] = []
        for step in range(assembly.num_steps[0]):
            context = Context(level - 1, (*place.steps, step), place.pose, identity_pose(z), z, drawing.look)
            proposal = programs.propose(state)
            action = draw(site_name("action", context), proposal.action_loc, self._scale("action", level), context)
            pose = self.place(action, level)
            context = replace(context, pose=compose(place.pose, pose), pose_in_parent=pose)
            child_z = draw(site_name("z", context), proposal.z_loc, self._scale("z", level), context)
            patch = self.decode_patch(programs, child_z[..., None, :]).squeeze(-4)
            below: tuple[Unfolded, ...] = ()
            if self.feedback is not None and level > 1:
                # Programs run depth first, so that only the whole path names a step.
                below = self._unfold_level(Place(level - 1, child_z, context.pose, context.steps), draw)
            drawn = below[0][1] if below else None
            seen = patch if drawn is None else show(drawn, assembly.composition)
            estimate = child_z if self.feedback is None else self._feed_back(seen, level)
            drawing = drawing.add(seen, pose)
            state = ProgramState(child_z, estimate, proposal.policy, action)
            walk.append((Nodes(child_z, action, pose, patch), below))
        # A parent with feedback looks at the whole; else it is drawn only where a guide has looked at it on the way.
        known = drawing.looked_at or (self.feedback is not None and level < self.num_levels)
        return walk, drawing.total if known else None

    def _feed_back(self, seen: Float[Tensor, "*batch N C h w"], level: int) -> Float[Tensor, "*batch N Z"]:
        """Map what children drew to their parents' estimate of them."""
        assert self.feedback is not None
        with own_precision(seen):
            estimate: Tensor = self.feedback[level - 1](seen.flatten(-3))
        return estimate

    def _scale(self, kind: str, level: int) -> Float[Tensor, " size"] | None:
        """Return the standard deviation of a kind of site at children of programs of ``level``; None: not random."""
        return None if self.node_scales is None else self.node_scales(kind, level - 1)


def _transformed() -> bool:
    """Return whether a transform of ``torch.func`` is at work, which sees through ordinary operations only."""
    return torch._C._are_functorch_transforms_active()
