"""Which parts of a model and its guide are trained, and which are kept as they are: ``--train.only, --train.freeze``.

A kept parameter takes no gradient, and the optimizer does not know of it. The state hypernetwork's last layer generates
the state network and the patch decoder alike: where one is trained and the other kept, its rows are held apart.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from itertools import accumulate, pairwise
from math import prod
from typing import Any

import torch
from pyro.nn import PyroModule
from torch import nn

from rnp_pyro.config import TrainConfig
from rnp_pyro.errors import UserError
from rnp_pyro.heads import NetworkShapes
from rnp_pyro.hypernet import Hypernet
from rnp_pyro.shapes import Float, Tensor
from rnp_pyro.tree import Tree

PARTS = ("guide", "model", "state_hypernet", "policy_hypernet", "patch_decoder", "leak")
"""What options may name. The model is all but the guide's own networks; the others are within it, and the patch
decoder's rows within the state hypernetwork."""


def read_parts(option: str, text: str | None) -> frozenset[str]:
    """Read names of parts with commas between them.

    Raises:
        UserError: If one is no part.
    """
    names = [name.strip() for name in (text or "").split(",") if name.strip()]
    for name in names:
        if name not in PARTS:
            raise UserError(f"{option}: expected one or more of {', '.join(PARTS)} with commas between, got {name}")
    return frozenset(names)


def owners(model: nn.Module, guide: nn.Module) -> dict[nn.Parameter, frozenset[str]]:
    """Return the parts that each parameter belongs to; the rows of the patch decoder are their head's."""
    found: dict[nn.Parameter, frozenset[str]] = {one: frozenset({"model"}) for one in model.parameters()}
    tree = model.decoder
    if isinstance(tree, Tree):
        for part, nets in (
            ("state_hypernet", tree.hypernets.state_hypernets),
            ("policy_hypernet", tree.hypernets.policy_hypernets),
        ):
            found |= {one: frozenset({"model", part}) for one in nets.parameters()}
        if tree.leak_logit is not None:
            found[tree.leak_logit] = frozenset({"model", "leak"})
    return found | {one: frozenset({"guide"}) for one in guide.parameters() if one not in found}


def check_parts(config: TrainConfig, model: PyroModule, guide: PyroModule) -> None:
    """Refuse parts that this model and guide do not have, and settings that leave nothing to train.

    Raises:
        UserError: In one line, with what there is.
    """
    choice = Choice(config)
    there = frozenset[str]().union(*owners(model, guide).values())
    if isinstance(model.decoder, Tree):
        there |= {"patch_decoder"}
    for option, names in (("--train.only", choice.only), ("--train.freeze", choice.freeze)):
        for name in sorted(names - there):
            known = ", ".join(part for part in PARTS if part in there)
            raise UserError(f"{option}: this model has no {name}: expected one or more of {known}")
    with trained_parts(config, model, guide):
        if not any(one.requires_grad for module in (model, guide) for one in module.parameters()):
            raise UserError("--train.only and --train.freeze leave nothing to train: name fewer parts to freeze")


class Choice:
    """What settings say of parts.

    Args:
        config: The settings.
    """

    def __init__(self, config: TrainConfig) -> None:
        self.only = read_parts("--train.only", config.only)
        self.freeze = read_parts("--train.freeze", config.freeze)

    def __bool__(self) -> bool:
        return bool(self.only or self.freeze)

    def trains(self, parts: frozenset[str]) -> bool:
        """Return whether what belongs to these parts is trained."""
        return bool(not self.only or parts & self.only) and not parts & self.freeze


@contextmanager
def trained_parts(config: TrainConfig, model: PyroModule, guide: PyroModule) -> Iterator[None]:
    """Let the chosen parts alone take a gradient; afterwards all parameters do again, under their usual names.

    A level's embedding is an input of both hypernetworks: freezing either keeps it, and training one alone does not
    change it.
    """
    choice, tree = Choice(config), model.decoder
    if not choice:
        yield
        return
    changed = [one for one in dict.fromkeys((*model.parameters(), *guide.parameters())) if one.requires_grad]
    divided: list[Hypernet] = []
    try:
        parts_of = owners(model, guide)
        for parameter in changed:
            parameter.requires_grad_(choice.trains(parts_of[parameter]))
        if isinstance(tree, Tree):
            embedding = tree.hypernets.level_embedding
            if embedding is not None and choice.freeze & {"state_hypernet", "policy_hypernet"}:
                embedding.requires_grad_(False)
            state = frozenset({"model", "state_hypernet"})
            rest, patch = choice.trains(state), choice.trains(state | {"patch_decoder"})
            if rest != patch:
                divided = [one for one in tree.hypernets.state_hypernets if isinstance(one, Hypernet)]
            for hypernet in divided:
                heads = DividedHeads(hypernet.heads, patch_rows(hypernet.shapes), patch, rest)
                hypernet.heads, hypernet.kept_rows = heads, heads.kept_rows  # type: ignore[assignment]
        yield
    finally:
        for hypernet in divided:
            if isinstance(heads := hypernet.heads, DividedHeads):
                hypernet.heads, hypernet.kept_rows = heads.joined(), ()
        for parameter in changed:
            parameter.requires_grad_(True)


def patch_rows(shapes: NetworkShapes) -> slice:
    """Return the rows of a state hypernetwork's last layer that generate the patch decoder."""
    sizes = [sum(prod(shape) for shape in head.shapes) for head in shapes.heads]
    ends = [0, *accumulate(sizes)]
    return slice(ends[-2 - len(shapes.decoder)], ends[-2])  # the initial output comes last


class DividedHeads(nn.Module):
    """A linear layer whose rows are three pieces: before the patch decoder's, these, and after them.

    Its state has the names of the layer that it stands for, so that a checkpoint fits either.

    Args:
        linear: The layer, whose parameters are put back by :meth:`joined`.
        rows: The patch decoder's.
        inside: Whether these are trained.
        outside: Whether the others are.
    """

    def __init__(self, linear: nn.Linear, rows: slice, inside: bool, outside: bool) -> None:
        super().__init__()
        self.linear = [linear]  # in a list: no child of this module
        cuts = (0, rows.start, rows.stop, linear.out_features)
        trained = (outside, inside, outside)
        self.spans = [slice(*ends) for ends in pairwise(cuts)]
        self.kept_rows = tuple(span for span, trains in zip(self.spans, trained, strict=True) if not trains)
        for name in ("weight", "bias"):
            pieces = [getattr(linear, name).detach()[span].clone() for span in self.spans]
            parameters = [nn.Parameter(piece, trains) for piece, trains in zip(pieces, trained, strict=True)]
            for number, parameter in enumerate(parameters):
                self.register_parameter(f"{name}_{number}", parameter)

    @property
    def weight(self) -> Float[Tensor, "P U"]:
        """All rows."""
        return torch.cat(self._pieces("weight"))

    @property
    def bias(self) -> Float[Tensor, " P"]:
        """All biases."""
        return torch.cat(self._pieces("bias"))

    def forward(self, features: Float[Tensor, "*batch U"]) -> Float[Tensor, "*batch P"]:
        """Apply the layer."""
        return nn.functional.linear(features, self.weight, self.bias)

    @torch.no_grad()
    def joined(self) -> nn.Linear:
        """Return the layer that this stands for, with what was trained."""
        (linear,) = self.linear
        for name in ("weight", "bias"):
            getattr(linear, name).copy_(getattr(self, name)).requires_grad_(True)
        return linear

    def _pieces(self, name: str) -> list[Tensor]:
        return [getattr(self, f"{name}_{number}") for number in range(len(self.spans))]

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        for name in ("weight", "bias"):
            destination[prefix + name] = getattr(self, name).detach()

    @torch.no_grad()
    def _load_from_state_dict(
        self,
        state_dict: Any,
        prefix: str,
        local_metadata: Any,
        strict: Any,
        missing_keys: Any,
        unexpected_keys: Any,
        error_msgs: Any,
    ) -> None:
        for name in ("weight", "bias"):
            if (value := state_dict.get(prefix + name)) is None:
                missing_keys.append(prefix + name)
                continue
            for piece, span in zip(self._pieces(name), self.spans, strict=True):
                piece.copy_(value[span])
