"""Calls whose results are known, so that a second walk down the same tree computes nothing anew.

A guide that walks the tree and the model that scores the walk ask for the same programs, proposals and patches of the
very same latents. Results are kept by the identity of the arguments, tensors above all: equal is not enough, since
gradients must be those of the same latents.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch

Result = TypeVar("Result")


class Memory:
    """What was computed from which arguments. It keeps both alive, so that no identity is given out twice."""

    def __init__(self) -> None:
        self.known: dict[tuple[Any, ...], tuple[Any, Any]] = {}

    def call(self, function: Callable[..., Result], *arguments: Any) -> Result:
        """Call a function, or give what it gave for the same arguments before; it must have no other effect.

        Args:
            function: A function, or an object's method.
            arguments: Compared by identity.
        """
        # Bound methods are new objects at each access, so that their own identity would never be found again.
        name, owner = getattr(function, "__func__", function), getattr(function, "__self__", None)
        key = (name, id(owner), torch.is_grad_enabled(), *map(id, arguments))
        if key not in self.known:
            self.known[key] = (owner, arguments), function(*arguments)
        result: Result = self.known[key][1]
        return result


@runtime_checkable
class Remembers(Protocol):
    """What has a memory while it is asked to, and none else."""

    memory: Memory | None


@contextmanager
def remembering(decoder: object, afresh: bool = False) -> Iterator[None]:
    """Compute each step of a walk once, however often the very same latents are walked, while this lasts.

    A guide that walks the tree and the model that scores the walk need the same programs, proposals and patches;
    computed once, their gradients are added up. Weights must not change meanwhile, nor whether they want gradients.
    For a decoder that does not remember it does nothing.

    Args:
        decoder: A tree.
        afresh: Whether to start from nothing inside of another such walk, and go back to what it knew; else the outer
            one serves.
    """
    if not isinstance(decoder, Remembers) or (decoder.memory is not None and not afresh):
        yield
        return
    outer, decoder.memory = decoder.memory, Memory()
    try:
        yield
    finally:
        decoder.memory = outer
