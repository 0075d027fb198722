"""Hypernetworks: a program's latent becomes the parameters of its two small networks (section 2.1, fig. 2c)."""

from itertools import pairwise
from math import prod, sqrt

import torch
from torch import nn

from rnp_pyro.choices import Sharing
from rnp_pyro.heads import NetworkShapes
from rnp_pyro.shapes import Float, Latent, Tensor

ELU_MEAN_SQUARE = 0.645
"""E[elu(u)^2] for a standard normal u: what a layer must make up for to keep the mean square of its input."""

MODULATION = 0.3
"""Share of a generated parameter's standard deviation at the start that depends on z; the rest is the head's bias."""


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
