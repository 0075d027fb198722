"""The generated layers of a chunk of programs, as the fast path holds them; their gradients are held the same way.

A layer ``y = [x, 1] W`` has its bias as the last row of W, as the hypernetworks' heads emit it. Where the state and the
policy network have layers of one shape, both stand side by side in one tensor, so that one batched product serves both.
The patch decoder's tensors are as the decoder asked for them: it has no part in the recurrence.
"""

from dataclasses import dataclass
from math import prod

import torch

from rnp_pyro.heads import NetworkShapes
from rnp_pyro.shapes import Float, Tensor


@dataclass(frozen=True)
class HeadInput:
    """The last layer of a hypernetwork, and what the layers before it make of a chunk's latents.

    Args:
        features: Its input; where they are narrower than the weights, products are as narrow.
        weight: Of all heads.
        bias: Of all heads.
    """

    features: Float[Tensor, "M U"]
    weight: Float[Tensor, "P U"]
    bias: Float[Tensor, "P"]


@dataclass(frozen=True)
class HeadGradient:
    """Where the gradients of a head's weights and biases are added up, chunk after chunk.

    Args:
        weight: Of the weights.
        bias: Of the biases.
        kept_rows: Those that are fixed, whose gradient stays zero.
    """

    weight: Float[Tensor, "P U"]
    bias: Float[Tensor, "P"]
    kept_rows: tuple[slice, ...] = ()

    def wants(self, rows: slice) -> bool:
        """Return whether any of these rows, which make one tensor, are to be learned."""
        return not any(kept.start <= rows.start and rows.stop <= kept.stop for kept in self.kept_rows)


def no_gradient(
    weight: Float[Tensor, "P U"], bias: Float[Tensor, "P"], kept_rows: tuple[slice, ...] = ()
) -> HeadGradient:
    """Start adding up from zero."""
    return HeadGradient(torch.zeros_like(weight), torch.zeros_like(bias), kept_rows)


@dataclass(frozen=True)
class Layers:
    """The layers that M programs go through in each step; the leading 2 is state network, policy network."""

    encoder: Float[Tensor, "2 M seen hidden"]
    recurrent: Float[Tensor, "2 M recurrent Z"]
    action_hidden: Float[Tensor, "M state hidden"]
    action: Float[Tensor, "M units 6"]


@dataclass(frozen=True)
class Generated:
    """All that is generated for M programs: layers, what they start with, and the patch decoder's tensors."""

    layers: Layers
    initial_state: Float[Tensor, "2 M Z"]
    initial_z: Float[Tensor, "M Z"]
    initial_action: Float[Tensor, "M 6"]
    patch: tuple[Tensor, ...]

    def by_head(self) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
        """Return each network's tensors in the order in which its hypernetwork's heads emit them."""
        layers = self.layers
        shared = [(layers.encoder[i], layers.recurrent[i], self.initial_state[i]) for i in range(2)]
        return (
            (*shared[0], *self.patch, self.initial_z),
            (*shared[1], layers.action_hidden, layers.action, self.initial_action),
        )


def blank(
    num_programs: int, shapes: tuple[NetworkShapes, NetworkShapes], like: Tensor, patch: tuple[Tensor, ...]
) -> Generated:
    """Make room for the recurrences of M programs, on the device and in the type of ``like``.

    Args:
        num_programs: M.
        shapes: Of the state network and the policy network.
        like: Any tensor.
        patch: The patch decoder's tensors, which are there already.
    """
    state, policy = shapes
    hidden, size = state.hidden_size, state.state_size

    def room(*shape: int) -> Tensor:
        return like.new_empty(shape)

    layers = Layers(
        encoder=room(2, num_programs, state.input_size + 1, hidden),
        recurrent=room(2, num_programs, hidden + size + 1, size),
        action_hidden=room(num_programs, size + 1, hidden),
        action=room(num_programs, hidden + 1, policy.initial_size),
    )
    return Generated(
        layers,
        initial_state=room(2, num_programs, size),
        initial_z=room(num_programs, state.initial_size),
        initial_action=room(num_programs, policy.initial_size),
        patch=patch,
    )


def generate(heads: tuple[HeadInput, HeadInput], shapes: tuple[NetworkShapes, NetworkShapes]) -> Generated:
    """Run both heads for a chunk of programs: ``W_m = sum_u features_mu H_u + B``, layer by layer."""
    num_programs, like = len(heads[0].features), heads[0].weight
    patch = tuple(like.new_empty(num_programs, *shape) for head in shapes[0].decoder for shape in head.shapes)
    made = blank(num_programs, shapes, like, patch)
    for head, tensors in zip(heads, made.by_head(), strict=True):
        narrow = head.features.dtype
        weight, bias = head.weight.to(narrow), head.bias.to(narrow)
        for tensor, rows in zip(tensors, _rows(tensors), strict=True):
            flat = tensor.flatten(1)
            if narrow == flat.dtype:
                torch.addmm(bias[rows], head.features, weight[rows].mT, out=flat)
            else:
                flat.copy_(torch.addmm(bias[rows], head.features, weight[rows].mT))
    return made


def generate_plainly(heads: tuple[HeadInput, HeadInput], shapes: tuple[NetworkShapes, NetworkShapes]) -> Generated:
    """Run both heads by operations whose derivatives autograd knows: :func:`generate`, slower."""
    patch = tuple(heads[0].weight.new_empty(0, *shape) for head in shapes[0].decoder for shape in head.shapes)
    by_head = []
    for head, tensors in zip(heads, blank(0, shapes, heads[0].weight, patch).by_head(), strict=True):
        narrow = head.features.dtype
        flat = torch.addmm(head.bias.to(narrow), head.features, head.weight.to(narrow).mT).to(head.weight.dtype)
        pieces = flat.split([prod(tensor.shape[1:]) for tensor in tensors], -1)
        by_head.append([piece.unflatten(-1, tensor.shape[1:]) for piece, tensor in zip(pieces, tensors, strict=True)])
    (*state, initial_z), (*policy, action_hidden, action, initial_action) = by_head
    encoder, recurrent, initial_state = (torch.stack(pair) for pair in zip(state, policy, strict=False))
    layers = Layers(encoder, recurrent, action_hidden, action)
    return Generated(layers, initial_state, initial_z, initial_action, tuple(state[3:]))


def add_gradients(
    errors: Generated,
    heads: tuple[HeadInput, HeadInput],
    sums: tuple[HeadGradient | None, HeadGradient | None],
    wanted: tuple[bool, bool] = (True, True),
) -> tuple[Tensor, Tensor]:
    """Carry the error of a chunk's layers back through both heads.

        dL/dH = sum_m features_m e_m^T,  dL/dB = sum_m e_m,  dL/dfeatures_m = H^T e_m

    Args:
        errors: dL/dW of each generated layer.
        heads: What the layers were generated from.
        sums: To which the gradients of the heads' weights and biases are added; None where these are fixed.
        wanted: Whether the gradient of each head's features is asked for; else it is left at zero.

    Returns:
        The gradients of both heads' features.
    """
    gradients = []
    for head, total, tensors, asked in zip(heads, sums, errors.by_head(), wanted, strict=True):
        gradient = torch.zeros_like(head.features, dtype=head.weight.dtype)
        for error, rows in zip(tensors, _rows(tensors), strict=True):
            flat = error.flatten(1)
            narrow, weight = flat.to(head.features.dtype), head.weight[rows].to(head.features.dtype)
            learned = total if total is not None and total.wants(rows) else None
            if learned is not None:
                learned.bias[rows] += flat.sum(0)
            if narrow.dtype == flat.dtype:
                if asked:
                    gradient.addmm_(flat, weight)
                if learned is not None:
                    learned.weight[rows].addmm_(flat.mT, head.features)
            else:
                if asked:
                    gradient += narrow @ weight
                if learned is not None:
                    learned.weight[rows] += narrow.mT @ head.features
        gradients.append(gradient.to(head.features.dtype))
    return gradients[0], gradients[1]


def _rows(tensors: tuple[Tensor, ...]) -> list[slice]:
    """Return the rows of a head that make each tensor."""
    rows, start = [], 0
    for tensor in tensors:
        stop = start + prod(tensor.shape[1:])
        rows.append(slice(start, stop))
        start = stop
    return rows
