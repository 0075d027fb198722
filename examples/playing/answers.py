"""The page's questions, answered by a run. Nothing is kept between them: the page sends its trees back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyro
import torch
from pyro import poutine

from examples.playing.drawings import PLACES, prepare
from examples.playing.requests import HALVES, MOST_DRAWS, Asked
from examples.playing.views import picture, view_of
from inference.bounds import elbo_terms
from inference.completion.fillings import Search
from inference.contexts import evaluating, seeded
from inference.estimates import standard_error
from inference.objectives.elbo import random_sites
from inference.predictive import programs_of, sample_prior
from rnp_pyro.api.answers import alone, fill_in, seen_by
from rnp_pyro.api.run import Run
from rnp_pyro.api.trees import PartTree
from rnp_pyro.figures.colour import PART_COLOURS
from rnp_pyro.part_tree.files import tree_from_json
from rnp_pyro.part_tree.value import select, tree_value
from rnp_pyro.seeds import check_seed

LARGEST_SEED = 2**31 - 1

SEARCH = {"num_particles": 64, "rounds": 2, "num_fillings": 4}
"""Of a completion: enough for a picture at once; the command ``sample --given`` searches longer."""

Answer = dict[str, Any]


@dataclass(frozen=True)
class Player:
    """A run, and its answers by name.

    Args:
        run: Of a model with parts on grey images.
        origin: What trees say of where they come from; nothing, so that no folder is told to the page.
    """

    run: Run
    origin: Mapping[str, str] = field(default_factory=dict)

    def answer(self, name: str, asked: Asked) -> Answer:
        """Answer one question.

        Raises:
            UserError: If what was asked does not fit.
        """
        asked.check_known(name, FIELDS[name])
        return ANSWERS[name](self, asked)

    def observed(self, asked: Asked) -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
        """Return a drawing's bytes, what the likelihood observes of it, and the same within [0, 1]."""
        given = prepare(self.run, asked.ink(), asked.choice("placed", PLACES, "fit"))
        seen = self.run.given(given)
        return given, seen.observed, seen.unit

    def read(self, asked: Asked, name: str = "tree") -> PartTree:
        """Return a tree that the page sent, as one of the run's."""
        value = tree_from_json(asked.tree(name), name, self.run.tree)
        return PartTree(value, None, self.run.tree, self.origin)


def about(player: Player) -> Answer:
    """Describe the run: its images' size and look, its tree, and the colours of parts."""
    run = player.run
    return {
        "run": str(run.path) if run.path is None else run.path.name,
        "data": run.record.name.split(":")[0],
        "side": run.image_shape[-1],
        "digits": run.record.appearance.digits,
        "ink": run.record.ink,
        "num_steps": list(run.tree.assembly.num_steps),
        "colours": [list(colour) for colour in PART_COLOURS],
    }


def parse(player: Player, asked: Asked) -> Answer:
    """Explain a drawing by a tree of parts, at the guide's mean."""
    given, _, unit = player.observed(asked)
    tree = replace(player.run.parse(given)[0], about=player.origin)
    return {**_shown(tree), "given": picture(unit[0]), "squared_error": tree.squared_error}


@torch.no_grad()
def sure(player: Player, asked: Asked) -> Answer:
    """Draw programs from the posterior, and estimate the bound with as many draws."""
    _, observed, _ = player.observed(asked)
    draws, seed = asked.whole("draws", 2, MOST_DRAWS, 8), asked.whole("seed", 0, LARGEST_SEED, 0)
    pair, repeated = player.run.pair, observed.expand(draws, -1, -1, -1)
    with alone(), pyro.validation_enabled(False):
        terms = elbo_terms(pair.model, pair.guide, repeated, seed)
        with evaluating(pair.guide), seeded(seed, observed.device):
            trace = poutine.trace(pair.guide).get_trace(repeated)
        latents = {name: site["value"] for name, site in random_sites(trace).items()}
        means = programs_of(pair.model, latents, player.run.image_shape).mean
    return {
        "neg_elbo": terms.neg_elbo.mean().item(),
        "standard_error": standard_error(terms.neg_elbo),
        "reconstruction": terms.reconstruction.mean().item(),
        "kl": terms.kl.mean().item(),
        "spread": picture(means.std(0)),
        "draws": [picture(one) for one in means],
    }


def move(player: Player, asked: Asked) -> Answer:
    """Shift, turn and scale a part in its parent's frame."""
    shift = (asked.number("right", -4, 4, 0), asked.number("down", -4, 4, 0))
    turn, scale = asked.number("turn", -3600, 3600, 0), asked.number("scale", 0.05, 20, 1)
    return _shown(player.read(asked).move(asked.part(), shift=shift, turn=turn, scale=scale))


def swap(player: Player, asked: Asked) -> Answer:
    """Exchange parts of two trees."""
    one, other, part = player.read(asked), player.read(asked, "other"), asked.part()
    other_part = asked.part("other_part") if "other_part" in asked.fields else None
    both = one.swap(other, part, other_part, asked.flag("with_pose", False))
    return {"trees": [_shown(tree) for tree in both]}


def interpolate(player: Player, asked: Asked) -> Answer:
    """Mix two trees: every node's program and pose, or the root's program alone, which is then unfolded."""
    one, other, weight = player.read(asked), player.read(asked, "other"), asked.number("weight", 0, 1)
    if asked.choice("of", ("all", "root"), "all") == "root":
        return _shown(one.interpolate(other, weight))
    return _shown(one.mix(other, weight))


def sample(player: Player, asked: Asked) -> Answer:
    """Draw one tree from the prior."""
    temperature, seed = asked.number("temperature", 0, 4, 1), asked.whole("seed", 0, LARGEST_SEED, 0)
    check_seed("seed", seed)
    run = player.run
    with alone(), pyro.validation_enabled(False):
        drawn = sample_prior(run.pair.model, run.image_shape, 1, temperature, seed)
    assert drawn.parse is not None, "a run with parts"
    return _shown(PartTree(select(tree_value(run.tree, drawn.parse), 0), None, run.tree, player.origin))


@torch.no_grad()
def complete(player: Player, asked: Asked) -> Answer:
    """Complete a half of a drawing that is hidden: the expected image, and draws."""
    _, observed, unit = player.observed(asked)
    hidden, draws = asked.choice("hidden", HALVES), asked.whole("draws", 1, MOST_DRAWS, 6)
    search = Search(**SEARCH, seed=asked.whole("seed", 0, LARGEST_SEED, 0))
    seen = seen_by(hidden, player.run.image_shape)
    found = fill_in(player.run.pair, observed, unit, seen, draws, search)
    return {
        "given": picture(unit[0]),
        "expected": picture(found.images[0]),
        "draws": [picture(one[0]) for one in found.draws],
        "khat": float(found.khat[0]) if bool(found.khat[0].isfinite()) else None,
        "hidden": hidden,
    }


ANSWERS: dict[str, Callable[[Player, Asked], Answer]] = {
    "parse": parse,
    "sure": sure,
    "move": move,
    "swap": swap,
    "interpolate": interpolate,
    "sample": sample,
    "complete": complete,
}
"""What the page can ask for, by the last word of the address."""


FIELDS = {
    "parse": ("ink", "placed"),
    "sure": ("ink", "placed", "draws", "seed"),
    "move": ("tree", "part", "right", "down", "turn", "scale"),
    "swap": ("tree", "other", "part", "other_part", "with_pose"),
    "interpolate": ("tree", "other", "weight", "of"),
    "sample": ("temperature", "seed"),
    "complete": ("ink", "placed", "hidden", "draws", "seed"),
}
"""What each question may say; docs/play.md has the table."""


def warm_up(player: Player, rounds: int = 3) -> None:
    """Parse a stroke a few times, so that the first of the user's does not wait for what is set up once."""
    ink = [[255 if 40 < column < 50 and 20 < row < 90 else 0 for column in range(112)] for row in range(112)]
    for _ in range(rounds):
        player.answer("parse", Asked({"ink": ink}))


def _shown(tree: PartTree) -> Answer:
    return {"tree": tree.to_json(), "view": view_of(tree.value)}
