"""Noise of a whole batch, of which a process takes its own images' share.

A batch may be divided among devices, and once more into parts that one device computes in turn. Each part then draws
the noise of the whole batch, from the same generator, and takes its images' rows: an image's noise depends on its place
in the batch, and not on who computes it. So the gradient is that of one device, to rounding.
"""

from typing import Any

import torch
from jaxtyping import Int64
from pyro.poutine.messenger import Messenger
from pyro.poutine.util import site_is_subsample
from torch.overrides import TorchFunctionMode

from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Tensor

FILLS = (torch.Tensor.normal_, torch.Tensor.uniform_, torch.Tensor.exponential_)
"""What distributions draw their noise with, in place."""

OTHERS = (torch.normal, torch.randn, torch.rand, torch.randn_like, torch.rand_like, torch.bernoulli, torch.multinomial)
"""Noise that is not taken apart by images."""


def rows_of_part(batch_size: int, part: int, num_parts: int) -> Int64[Tensor, " images"]:
    """Return the places in the batch of one part's images: every ``num_parts``-th."""
    return torch.arange(part, batch_size, num_parts)


class TakeRows(Messenger):
    """Draw latents with the noise of a whole batch, and take the rows of some of its images.

    To be entered before the plate ``images``, which is at dimension -1.

    Args:
        rows: The images' places in the batch.
        batch_size: Images in the whole batch.
    """

    def __init__(self, rows: Int64[Tensor, " images"], batch_size: int) -> None:
        super().__init__()
        self.rows, self.batch_size = rows, batch_size

    def _pyro_sample(self, msg: Any) -> None:
        if msg["is_observed"] or site_is_subsample(msg) or msg["value"] is not None:
            return
        axis = -1 - len(msg["fn"].event_shape)
        with _RowsOfNoise(self.rows, self.batch_size, axis, msg["name"]):
            msg["value"] = msg["fn"](*msg["args"], **msg["kwargs"])
        msg["done"] = True


class _RowsOfNoise(TorchFunctionMode):
    """Fill a tensor with rows of a larger tensor's noise."""

    def __init__(self, rows: Int64[Tensor, " images"], batch_size: int, axis: int, site: str) -> None:
        super().__init__()
        self.rows, self.batch_size, self.axis, self.site = rows, batch_size, axis, site

    def __torch_function__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if func in OTHERS:
            raise UserError(
                f"a batch is divided by images, and {self.site} draws noise that is not: expected one device and "
                "--train.accumulate 1"
            )
        if func not in FILLS:
            return func(*args, **(kwargs or {}))
        tensor, *rest = args
        if tensor.dim() < -self.axis or tensor.shape[self.axis] != len(self.rows):
            raise ValueError(f"expected noise of {len(self.rows)} images at {self.site}, got {tuple(tensor.shape)}")
        shape = list(tensor.shape)
        shape[self.axis] = self.batch_size
        whole = func(tensor.new_empty(shape), *rest, **(kwargs or {}))
        return tensor.copy_(whole.index_select(self.axis, self.rows.to(tensor.device)))
