"""Hypernetworks: a program's latent becomes the parameters of its two small networks (section 2.1, fig. 2c)."""

from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from math import prod, sqrt
from typing import Any, Protocol, runtime_checkable

import torch
from torch import nn

from rnp_pyro.choices import Sharing
from rnp_pyro.shapes import Float, Latent, Tensor

ELU_MEAN_SQUARE = 0.645
"""E[elu(u)^2] for a standard normal u: what a layer must make up for to keep the mean square of its input."""

MODULATION = 0.3
"""Share of a generated parameter's standard deviation at the start that depends on z; the rest is the head's bias."""


@dataclass(frozen=True)
class Head:
    """What a head generates: a layer, or a value.

    Weights are ``(in, out)``: a product of a row with a matrix stored so reads memory in order, which on a CPU is eight
    times as fast as the product of ``(out, in)`` with a column.

    Args:
        fan_in: Of the layer; 0: not a layer but a value.
        shapes: Of its tensors, a layer's bias last.
        start: What is added to the last tensor at the start of training, its bias.
    """

    fan_in: int
    shapes: tuple[tuple[int, ...], ...]
    start: float = 0.0


def layer(in_size: int, out_size: int, start: float = 0.0) -> Head:
    """Return the head that generates a dense layer, weights and bias; the bias starts around ``start``."""
    return Head(in_size, ((in_size, out_size), (out_size,)), start)


@dataclass(frozen=True)
class NetworkShapes:
    """Sizes of one generated network, ``f_state`` or ``f_policy`` with its encoder and decoder.

    Args:
        input_size: The encoder's input: |z| of the last part's estimate and six of the last action.
        hidden_size: Units of the encoder (64 in the appendix).
        state_size: Units of the recurrent network, |z|.
        initial_size: Size of the initial output: |z| for the state network, six for the policy.
        decoder: What the decoder needs: the state network's makes patches, the policy's actions.
    """

    input_size: int
    hidden_size: int
    state_size: int
    initial_size: int
    decoder: tuple[Head, ...]

    @property
    def heads(self) -> tuple[Head, ...]:
        """The heads in the appendix's order; its seven count the decoder once, which has one for each layer here."""
        hidden, state = self.hidden_size, self.state_size
        return (
            layer(self.input_size, hidden),  # encoder
            Head(hidden, ((hidden, state),)),  # input weights
            Head(state, ((state, state),)),  # recurrent weights
            Head(state, ((state,),)),  # bias
            Head(0, ((state,),)),  # initial state
            *self.decoder,
            Head(0, ((self.initial_size,),)),  # initial output
        )

    @property
    def tensors(self) -> tuple[tuple[int, ...], ...]:
        """Shapes of all generated tensors in the order of :class:`NetworkParams`."""
        return tuple(shape for head in self.heads for shape in head.shapes)

    @property
    def num_parameters(self) -> int:
        """Generated parameters of one network, P."""
        return sum(prod(shape) for shape in self.tensors)


@runtime_checkable
class Weight(Protocol):
    """A generated weight of every program of a batch, to be multiplied with."""

    def multiply(self, rows: Float[Tensor, "*batch T in"]) -> Float[Tensor, "*batch T out"]:
        """Multiply each program's rows with its matrix."""
        ...


@dataclass(frozen=True)
class Matrix:
    """A weight as it was generated."""

    weight: Float[Tensor, "*batch in out"]

    def multiply(self, rows: Float[Tensor, "*batch T in"]) -> Float[Tensor, "*batch T out"]:
        """See :class:`Weight`."""
        return rows @ self.weight


@dataclass(frozen=True)
class NetworkParams:
    """Generated parameters of one network for every program of a batch, as the heads of the appendix make them.

    A layer is ``x W + b``. The decoder's tensors are those that it asked for, in its order.
    """

    encoder_weight: Weight  # [*batch input hidden]
    encoder_bias: Float[Tensor, "*batch hidden"]
    input_weight: Weight  # [*batch hidden state]
    recurrent_weight: Weight  # [*batch state state]
    bias: Float[Tensor, "*batch state"]
    initial_state: Float[Tensor, "*batch state"]
    decoder: tuple[Any, ...]
    initial_output: Float[Tensor, "*batch initial"]


def split_params(flat: Float[Tensor, "*batch P"], shapes: NetworkShapes) -> NetworkParams:
    """Cut the hypernetwork's output into the generated tensors, with one ``split``: its backward pass is one copy.

    Args:
        flat: What was generated.
        shapes: Of the network.
    """
    pieces = flat.split([prod(shape) for shape in shapes.tensors], dim=-1)
    tensors = [
        as_generated(piece.unflatten(-1, shape), shape) for piece, shape in zip(pieces, shapes.tensors, strict=True)
    ]
    encoder, encoder_bias, inputs, recurrent, bias, initial_state, *decoder, initial_output = tensors
    return NetworkParams(encoder, encoder_bias, inputs, recurrent, bias, initial_state, tuple(decoder), initial_output)


def as_generated(tensor: Tensor, shape: tuple[int, ...], weight: Callable[[Tensor], Weight] = Matrix) -> Any:
    """Return a generated tensor of each program as it is used; one of shape ``(in, out)`` becomes a weight."""
    return weight(tensor) if len(shape) == 2 else tensor


class Hypernet(nn.Module):
    """An MLP with a head per generated layer: ``H_state`` or ``H_policy`` of the appendix (6 layers, 64 units, elu).

    The heads are one linear layer. Departure: it starts with an ordinary initialisation of the generated network in its
    bias, and small weights: every program starts as the same working network, modulated by z.

    Args:
        latent_size: |z|.
        shapes: The network to generate.
        num_layers: Layers, the heads' included; at least 2.
        hidden_size: Units of each hidden layer.
    """

    def __init__(self, latent_size: int, shapes: NetworkShapes, num_layers: int, hidden_size: int) -> None:
        super().__init__()
        self.shapes = shapes
        sizes = [latent_size] + [hidden_size] * (num_layers - 1)
        layers: list[nn.Module] = []
        for size, next_size in pairwise(sizes):
            layers += [_unit_variance_linear(size, next_size), nn.ELU()]
        self.trunk = nn.Sequential(*layers)
        self.gain = 1 / sqrt(hidden_size)
        self.heads = nn.Linear(hidden_size, shapes.num_parameters)
        self.kept_rows: tuple[slice, ...] = ()  # of the heads, which training leaves as they are
        _initialise_heads(self.heads, shapes)

    def features(self, z: Latent) -> Float[Tensor, "*batch U"]:
        """Return what the heads see of each program."""
        return self.trunk(z) * self.gain

    def forward(self, z: Latent) -> Float[Tensor, "*batch P"]:
        """Generate the parameters of one network per program, flat; see :func:`split_params`.

        Autocast may narrow the products, but not what is generated: the recurrence is as wide as the weights.
        """
        return self.heads(self.features(z)).to(self.heads.weight.dtype)


def _unit_variance_linear(size: int, next_size: int) -> nn.Linear:
    """Make a linear layer whose outputs start at variance 1 if its inputs come from elu."""
    layer = nn.Linear(size, next_size)
    nn.init.normal_(layer.weight, std=sqrt(1 / (ELU_MEAN_SQUARE * size)))
    nn.init.zeros_(layer.bias)
    return layer


@torch.no_grad()
def _initialise_heads(heads: nn.Linear, shapes: NetworkShapes) -> None:
    """Draw the head so that generated layers start at variance 1/(3 fan-in), PyTorch's own, and values at variance 1.

    A row of weights of standard deviation s adds the variance ``hidden * ELU_MEAN_SQUARE * s^2``.
    """
    rows = 0
    for head in shapes.heads:
        count = sum(prod(shape) for shape in head.shapes)
        scale = sqrt(1 / (3 * head.fan_in)) if head.fan_in else 1.0
        span = slice(rows, rows + count)
        heads.bias[span].uniform_(-1, 1).mul_(sqrt(3 * (1 - MODULATION**2)) * scale)
        heads.weight[span].normal_(std=MODULATION * scale / sqrt(ELU_MEAN_SQUARE))
        rows += count
        heads.bias[rows - prod(head.shapes[-1]) : rows] += head.start


class LevelHypernets(nn.Module):
    """``H_state`` and ``H_policy`` for every level of a tree.

    The paper uses the same pair at all levels, and names the other two as its extensions (section 4).

    Args:
        latent_size: |z|.
        state: The state network to generate.
        policy: The policy network to generate.
        num_layers: Layers of each hypernetwork.
        hidden_size: Units of their hidden layers.
        num_levels: Levels of programs, K.
        sharing: ``shared``; ``level_embedding``, the same pair with a learned vector per level added to z; or
            ``per_level``, one pair for each level.
    """

    def __init__(
        self,
        latent_size: int,
        state: NetworkShapes,
        policy: NetworkShapes,
        num_layers: int,
        hidden_size: int,
        num_levels: int,
        sharing: Sharing,
    ) -> None:
        super().__init__()
        self.latent_size = latent_size
        self.shapes = (state, policy)
        num_pairs = num_levels if sharing == "per_level" else 1
        self.state_hypernets = nn.ModuleList(
            Hypernet(latent_size, state, num_layers, hidden_size) for _ in range(num_pairs)
        )
        self.policy_hypernets = nn.ModuleList(
            Hypernet(latent_size, policy, num_layers, hidden_size) for _ in range(num_pairs)
        )
        embeds = sharing == "level_embedding"
        self.level_embedding = nn.Parameter(0.1 * torch.randn(num_levels, latent_size)) if embeds else None

    def at(self, level: int) -> tuple[Hypernet, Hypernet]:
        """Return the pair that generates programs of ``level`` (1 to K)."""
        pair = level - 1 if len(self.state_hypernets) > 1 else 0
        return self.state_hypernets[pair], self.policy_hypernets[pair]  # type: ignore[return-value]

    def embed(self, z: Latent, level: int) -> Latent:
        """Add each level's embedding, where hypernetworks are to know the level."""
        return z if self.level_embedding is None else z + self.level_embedding[level - 1]

    def forward(self, z: Latent, level: int) -> tuple[Float[Tensor, "*batch P"], Float[Tensor, "*batch Q"]]:
        """Generate both networks of each program of ``level`` (1 to K), flat (lines 2 and 3 of Algorithm 1)."""
        state_hypernet, policy_hypernet = self.at(level)
        embedded = self.embed(z, level)
        return state_hypernet(embedded), policy_hypernet(embedded)
