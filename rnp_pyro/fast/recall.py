"""Walks whose result is known, so that a second walk down the same tree computes nothing again.

A guide that walks the tree and the model that scores the walk ask for the same programs, proposals and patches. A walk
is a function of the root's latent and of what is drawn on the way. So a walk is recorded, what was asked and what was
answered; while a later one gets the very same answers, it is asked the same, and in the end its result is the same.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import torch

from rnp_pyro.draw import Context, Draw
from rnp_pyro.parse import Parse
from rnp_pyro.shapes import Latent, Tensor

Walk = Callable[[Latent, Draw], Parse]
"""A tree's way down from the root's latent, which draws every node."""


@dataclass(frozen=True)
class Question:
    """What a walk asked, and the answer: the arguments of :class:`~rnp_pyro.draw.Draw`, and what it returned."""

    name: str
    loc: Tensor
    scale: Tensor | None
    context: Context
    answer: Tensor


@dataclass(frozen=True, eq=False)
class Record:
    """A walk that came to its end.

    Args:
        root: The root's latent.
        with_gradients: Whether autograd was on.
        questions: In their order.
        parse: The result.
    """

    root: Latent
    with_gradients: bool
    questions: tuple[Question, ...]
    parse: Parse


@dataclass(frozen=True, eq=False)
class Memory:
    """The walks so far.

    Latents are compared by what they are, not by their numbers: gradients must be those of the same latents.
    """

    records: list[Record] = field(default_factory=list)

    def recall(self, walk: Walk, z: Latent, draw: Draw) -> Parse:
        """Walk down from a root, or follow a walk that is known as far as the answers are the same.

        Args:
            walk: The tree's way down; it must have no other effect than to ask.
            z: The root's latent.
            draw: Answers. It is asked once for each node.
        """
        answers: list[Tensor] = []
        known = [one for one in self.records if one.root is z and one.with_gradients == torch.is_grad_enabled()]
        while known:
            questions, at = known[0].questions, len(answers)
            if at == len(questions):
                return known[0].parse
            asked = questions[at]
            answer = draw(asked.name, asked.loc, asked.scale, asked.context)
            answers.append(answer)
            known = [one for one in known if one.questions[at].answer is answer]
        return self._walk(walk, z, draw, answers)

    def _walk(self, walk: Walk, z: Latent, draw: Draw, answers: list[Tensor]) -> Parse:
        """Walk and record; the first answers are given already."""
        given, questions = iter(answers), list[Question]()

        def record(name: str, loc: Tensor, scale: Tensor | None, context: Context) -> Tensor:
            answer = next(given, None)
            answer = draw(name, loc, scale, context) if answer is None else answer
            questions.append(Question(name, loc, scale, context, answer))
            return answer

        parse = walk(z, record)
        self.records.append(Record(z, torch.is_grad_enabled(), tuple(questions), parse))
        return parse


@runtime_checkable
class Remembers(Protocol):
    """What has a memory while it is asked to, and at no other time."""

    memory: Memory | None


@contextmanager
def remembering(decoder: object, separate: bool = False) -> Iterator[None]:
    """Walk down a tree once, however often the very same latents are drawn, while this lasts.

    A guide that walks the tree and the model that scores the walk need the same programs, proposals and patches;
    computed once, their gradients are added up. Weights must not change meanwhile, nor whether they want gradients.
    For a decoder that does not remember it does nothing.

    Args:
        decoder: A tree.
        separate: Whether to start from nothing inside another such walk, and go back to what it knew; else the
            outer one serves.
    """
    if not isinstance(decoder, Remembers) or (decoder.memory is not None and not separate):
        yield
        return
    outer, decoder.memory = decoder.memory, Memory()
    try:
        yield
    finally:
        decoder.memory = outer
