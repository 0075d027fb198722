"""What hypernetworks generate: the layers and values of a program's two small networks (fig. 2c)."""

from collections.abc import Callable
from dataclasses import dataclass
from math import prod
from typing import Any, Protocol, runtime_checkable

from rnp_pyro.shapes import Float, Tensor


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
