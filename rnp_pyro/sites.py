"""Names of sample sites, and what a name says of its site.

| site | what is drawn there |
|---|---|
| ``z.K`` | the root's latent, at the level of the root |
| ``z.LEVEL.STEP`` | latents of the nodes of a level that one step emits; with feedback ``z.LEVEL.STEP.STEP`` |
| ``action.LEVEL.STEP`` | their actions |
| ``image`` | the image, observed |
| ``part_term`` | the training-only second term of eq. (1), a factor; no bound contains it |

No name is a dotted prefix of another, or Pyro's AutoNormal breaks.
"""

IMAGE = "image"
PART_TERM = "part_term"
STATE = "z"
ACTION = "action"
"""The two kinds of sites that a node has."""


def root_site(num_levels: int) -> str:
    """Name the root latent's site, ``z.K``."""
    return f"{STATE}.{num_levels}"


def node_site(kind: str, level: int, steps: tuple[int, ...]) -> str:
    """Name a node's site: cousins share one, siblings do not.

    Args:
        kind: ``z`` or ``action``.
        level: The node's, 0 for leaves.
        steps: The step that emits it; with feedback the steps on the path from the root to it.
    """
    return ".".join([kind, str(level), *map(str, steps)])


def kind_of(site: str) -> str:
    """Return the kind of a latent's site, ``z`` or ``action``."""
    return site.split(".")[0]


def group_of(site: str) -> str:
    """Return kind and level of a latent's site, ``z.LEVEL`` or ``action.LEVEL``: what all its siblings share."""
    return ".".join(site.split(".")[:2])
