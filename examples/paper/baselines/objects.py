"""What AIR makes of images: the two objects, each alone, and where their windows are."""

from dataclasses import dataclass

import torch

from examples.paper.baselines.air import OBJECTS, Windows, pose_of
from inference.bounds import latent_means
from rnp_pyro.api.pair import Pair
from rnp_pyro.api.report import EVALUATION_SEED
from rnp_pyro.shapes import ByteImages, Float, Tensor


@dataclass(frozen=True)
class Drawn:
    """What AIR makes of images at the guide's means.

    Args:
        canvases: The reconstructions.
        objects: Each object alone on the image.
        poses: Of the windows.
    """

    canvases: Float[Tensor, "n C H W"]
    objects: Float[Tensor, "n T C H W"]
    poses: Float[Tensor, "n T 2 3"]


@torch.no_grad()
def objects_of(pair: Pair, images: ByteImages) -> Drawn:
    """Draw the objects that the guide expects on each image."""
    windows: Windows = pair.model.decoder
    means = latent_means(pair.guide, pair.prepare_fixed(images, EVALUATION_SEED))
    where, what = (torch.stack([means[f"{kind}.{step}"] for step in range(OBJECTS)], 1) for kind in ("where", "what"))
    objects = windows(where, what)
    return Drawn(windows.compose(objects), objects, pose_of(where))
