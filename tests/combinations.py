"""Everything that can be chosen independently, combined; and few combinations in which any two choices meet."""

from itertools import combinations, product
from typing import NamedTuple, get_args

from guides import GUIDES
from inference.objectives import OBJECTIVES
from models import MODELS
from models.likelihood import LIKELIHOODS
from rnp_pyro.choices import NodeLatents, Prior
from rnp_pyro.config import GuideConfig

ROOTED = (*GUIDES, "ladder/full_rank", "ladder/flow")
"""Guides by name, and the ladder with the roots that others are named after."""


class Combination(NamedTuple):
    """One choice of each kind."""

    model: str
    guide: str
    objective: str
    likelihood: str
    node_latents: str
    prior: str

    @property
    def guide_config(self) -> GuideConfig:
        """The guide's settings."""
        name, _, root = self.guide.partition("/")
        return GuideConfig(name, root=root or None)

    @property
    def refusal(self) -> str | None:
        """What a user is told who asks for it, as a regular expression; None if it fits."""
        if self.model == "vae" and self.node_latents != "none":
            return "the vae has no nodes: expected --model.node_latents none"
        if self.guide.startswith("ladder") and self.node_latents == "none":
            return "the ladder guide infers latents at nodes: expected --model.name rnp with --model.node_latents"
        return None


ALL = [
    Combination(*one)
    for one in product(MODELS, ROOTED, OBJECTIVES, LIKELIHOODS, get_args(NodeLatents), get_args(Prior))
]
VALID = [one for one in ALL if one.refusal is None]
REFUSED = [one for one in ALL if one.refusal is not None]


def pairwise(all_of_them: list[Combination]) -> list[Combination]:
    """Choose few in which any two choices that occur together do: greedily, the one with the most new pairs first."""
    pairs = {one: set(combinations(enumerate(one), 2)) for one in all_of_them}
    left = set().union(*pairs.values())
    chosen = []
    while left:
        best = max(all_of_them, key=lambda one: len(pairs[one] & left))
        chosen.append(best)
        left -= pairs[best]
    return chosen
