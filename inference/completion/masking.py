"""The likelihood of the seen part of an image."""

from typing import Any

import torch
from pyro.distributions import Independent
from pyro.poutine.messenger import Messenger

from rnp_pyro.shapes import Bool, Tensor
from rnp_pyro.sites import IMAGE


class SeenPixels(Messenger):
    """Leave the log likelihood of unseen pixels out of the site ``image``, whatever the likelihood of a pixel is.

    Pixels are independent given the canvas: the site's ``p(x | canvas)`` is a product over them, and the unseen ones'
    factors are replaced by 1, in the base distribution, before ``to_event(3)`` adds them up.

    Args:
        seen: Which pixels count, ``[C H W]`` or one such mask for each image, ``[images C H W]``.
    """

    def __init__(self, seen: Bool[Tensor, "*#batch C H W"]) -> None:
        super().__init__()
        self.seen = seen

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] != IMAGE:
            return
        fn = msg["fn"]
        if not isinstance(fn, Independent) or fn.reinterpreted_batch_ndims != 3:
            raise ValueError(f"pixels must be independent, joined by to_event(3), to be left out, got {fn}")
        msg["fn"] = fn.base_dist.mask(self.seen.to(msg["value"].device)).to_event(3)


def hide(images: Tensor, seen: Bool[Tensor, "*#batch C H W"]) -> Tensor:
    """Set unseen pixels to 0, the empty canvas."""
    return torch.where(seen.to(images.device), images, 0)
