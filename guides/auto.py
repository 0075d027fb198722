"""Pyro's own guides, for one fixed small set of images: parameters for each image, and no network that reads pixels.

They need only the model, whose sites they look up: an RNP is an ordinary Pyro program. What they fit cannot be used for
other images. For a few images they show how much of the bound amortization costs.
"""

from pyro.infer.autoguide import AutoDelta, AutoGuide, AutoLowRankMultivariateNormal, AutoNormal
from pyro.nn import PyroModule

from rnp_pyro.errors import UserError

AUTO_GUIDES: dict[str, type[AutoGuide]] = {
    "auto_normal": AutoNormal,
    "auto_delta": AutoDelta,
    "auto_low_rank": AutoLowRankMultivariateNormal,
}
"""Name to class: independent normals; points (maximum a posteriori); one normal of low rank over all latents of all
images. Only the first has a density of each image, so that only its particles can be weighed."""


def build(name: str, model: PyroModule) -> AutoGuide:
    """Build one of Pyro's own guides.

    Args:
        name: auto_normal, auto_delta or auto_low_rank.
        model: The generative program itself, not its decoder. The first call fixes the number of images.

    Raises:
        UserError: If there is no such guide.
    """
    if name not in AUTO_GUIDES:
        raise UserError(f"expected one of {', '.join(AUTO_GUIDES)}, got {name}")
    return AUTO_GUIDES[name](model)
