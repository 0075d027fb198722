"""Training on several devices: each has its share of every batch, and a copy of all weights."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from lightning_fabric import Fabric
from torch import nn

from rnp_pyro.shapes import Canvas, Tensor


class EveryParameter(nn.Module):
    """A loss whose gradient reaches every parameter, those that it does not use with zeros.

    Devices exchange the gradient of each parameter, and would wait forever for one that never comes. With feedback, a
    program of one step never looks at what it drew, so that its feedback layer has no gradient. A user's guide may have
    branches. An empty slice of each parameter costs next to nothing, and needs no search for the unused ones.

    Args:
        loss: A module that returns the negative bound of a batch, nats.
    """

    def __init__(self, loss: nn.Module) -> None:
        super().__init__()
        self.loss = loss

    def forward(self, images: Canvas) -> Tensor:
        """Compute the loss of images ``[images C H W]``."""
        nothing = [parameter.flatten()[:0].sum() for parameter in self.parameters() if parameter.requires_grad]
        value: Tensor = self.loss(images)
        return value + sum(nothing)


def for_devices(fabric: Fabric, loss: nn.Module) -> nn.Module:
    """Return a loss that any number of devices can train."""
    return loss if fabric.world_size == 1 else EveryParameter(loss)


def averaged(fabric: Fabric, values: dict[str, float]) -> dict[str, float]:
    """Average numbers over devices, whose shares of a batch are equally large. Every device gets the same averages."""
    if fabric.world_size == 1:
        return values
    ours = torch.tensor(list(values.values()), dtype=torch.float64, device=fabric.device)
    everybody: Any = fabric.all_reduce(ours, reduce_op="mean")
    return dict(zip(values, everybody.tolist(), strict=True))


def largest(fabric: Fabric, value: int) -> int:
    """Return the largest of the devices' numbers, below 2^24, to all of them."""
    if fabric.world_size == 1:
        return value
    found: Any = fabric.all_reduce(torch.tensor(float(value), device=fabric.device), reduce_op="max")
    return int(found)


def unsynchronised(fabric: Fabric, loss: Any, wanted: bool) -> AbstractContextManager[None]:
    """Add up gradients without exchanging them, where more are to come and there are others to exchange them with."""
    return fabric.no_backward_sync(loss) if wanted and fabric.world_size > 1 else nullcontext()
