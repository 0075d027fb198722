"""Start a run from another run's weights, wherever name and shape agree: ``--init RUN``.

Levels are counted from the leaves, so that trees of different depths share their lower levels: a deeper tree's root is
new, and a tree that is cut off above keeps what is below.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import nn

from inference.training.parts import owners, patch_rows, read_parts
from rnp_pyro.api.pair import Pair
from rnp_pyro.api.run import Run
from rnp_pyro.checkpoint import INIT as INIT
from rnp_pyro.checkpoint import write_json
from rnp_pyro.errors import UserError
from rnp_pyro.hypernet import Hypernet
from rnp_pyro.shapes import Tensor
from rnp_pyro.tree import Tree

BY_LEVEL = ("hypernets.level_embedding", "node_scales.log_scales.")
"""Parameters with a row for each level, the lowest first: of trees of different depths the common rows are taken."""


@dataclass(frozen=True)
class Started:
    """What a run began with.

    Args:
        run: The folder of the run that the weights came from.
        taken: Parameters that were taken, by name.
        new: Those that start as new ones, by name, each with the reason.
        left: Those of the other run that have no place here.
    """

    run: str
    taken: tuple[str, ...]
    new: dict[str, str]
    left: tuple[str, ...]

    def lines(self) -> list[str]:
        """Return what was taken and left, in a line each."""
        news: dict[str, list[str]] = {}
        for name, reason in self.new.items():
            news.setdefault(reason, []).append(name)
        known = {*self.taken, *self.new}
        return [
            f"init: {len(self.taken)} of {len(known)} tensors taken from {self.run}: {brief(self.taken, known)}",
            *(f"init: new, {reason}: {brief(names, known)}" for reason, names in news.items()),
            *([f"init: left in {self.run}: {brief(self.left, {*self.left, *self.taken})}"] if self.left else []),
        ]

    def write(self, folder: Path) -> None:
        """Write the names into a run's folder."""
        write_json(folder / INIT, asdict(self))


@torch.no_grad()
def start_from(pair: Pair, run: Run, parts: str | None = None) -> Started:
    """Copy a run's weights into a new pair of model and guide, in place.

    A tree with separate hypernetworks for each level takes the shared pair of another run for all its levels.

    Args:
        pair: New model and guide.
        run: The other run.
        parts: Names of the parts to take, with commas between; None: all.

    Raises:
        UserError: If a part is unknown, or nothing fits.
    """
    wanted = read_parts("--init_parts", parts)
    theirs, ours = named(run.pair), named(pair)
    belongs = owners(pair.model, pair.amortized)
    shared = isinstance(tree := run.pair.model.decoder, Tree) and len(tree.hypernets.state_hypernets) == 1
    spread = shared and run.config.model.tree.hypernets == "shared"
    rows = _rows_of_patches(pair)
    taken, new, used = [], dict[str, str](), set[str]()
    for name, value in ours.items():
        source = _first_pair(name) if spread and name not in theirs else name
        given = theirs.get(source)
        of_patch = name in rows and "patch_decoder" in wanted and not wanted & belongs[value]
        if wanted and not wanted & belongs[value] and not of_patch:
            new[name] = "of no part that --init_parts names"
        elif given is None:
            new[name] = "not there"
        elif _by_level(name) and given.shape[1:] == value.shape[1:]:
            count = min(len(given), len(value))
            value[:count] = given[:count]
            taken.append(name)
        elif given.shape != value.shape:
            new[name] = f"{_size(given)} there, {_size(value)} here"
        else:
            span = rows[name] if of_patch else slice(None)
            value[span] = given[span].to(value)
            taken.append(name)
        if taken and taken[-1] == name:
            used.add(source)
    if not taken:
        raise UserError(
            f"--init: nothing of {run.name} fits this run: its sizes differ, or what --init_parts names is not "
            "there: name another run, or its sizes here, such as "
            f"--model.latent_size {run.config.model.latent_size}"
        )
    return Started(run.name, tuple(taken), new, tuple(name for name in theirs if name not in used))


def named(pair: Pair) -> dict[str, nn.Parameter]:
    """Return parameters by name, those that model and guide share once, under the model's."""
    return dict(pair.modules.named_parameters())


def brief(names: Iterable[str], known: Iterable[str]) -> str:
    """Join names; where all that begin alike are named, ``beginning.*`` stands for them."""
    chosen, others = list(names), set(known) - set(names)
    found = dict[str, None]()
    for name in chosen:
        words = name.split(".")
        heads = (".".join(words[:count]) for count in range(1, len(words)))
        alone = (head for head in heads if not any(other.startswith(f"{head}.") for other in others))
        found[next((f"{head}.*" for head in alone), name)] = None
    return ", ".join(found)


def _rows_of_patches(pair: Pair) -> dict[str, slice]:
    """Return, for each parameter of a state hypernetwork's last layer, the rows that generate the patch decoder."""
    modules: Mapping[str, nn.Module] = dict(pair.modules.named_modules())
    nets = {name: net for name, net in modules.items() if isinstance(net, Hypernet) and ".state_hypernets." in name}
    return {f"{name}.heads.{kind}": patch_rows(net.shapes) for name, net in nets.items() for kind in ("weight", "bias")}


def _by_level(name: str) -> bool:
    return any(kind in name for kind in BY_LEVEL)


def _first_pair(name: str) -> str:
    """Return the name that a hypernetwork of any level has in a run whose levels share one."""
    words = name.split(".")
    for number, word in enumerate(words[:-1]):
        if word in ("state_hypernets", "policy_hypernets"):
            words[number + 1] = "0"
    return ".".join(words)


def _size(tensor: Tensor) -> str:
    return "x".join(map(str, tensor.shape)) or "a number"
