"""Models of other authors that figures compare with: each is one file and one line here.

A run whose ``--model.name`` is in the table is built by its file, and is otherwise a run like any other: the same
training loop, budget, batches and seeds.
"""

from examples.paper.baselines import air
from rnp_pyro.api.pair import Builder, build_pair
from rnp_pyro.config import Config

BASELINES: dict[str, Builder] = {"air": air.build}


def builder_of(config: Config) -> Builder:
    """Return what builds the model and the guide of a run."""
    return BASELINES.get(config.model.name, build_pair)
