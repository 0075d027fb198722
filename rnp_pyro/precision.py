"""Numbers no narrower than they are, where autocast would narrow them."""

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from rnp_pyro.shapes import Tensor


def own_precision(like: Tensor) -> AbstractContextManager[Any]:
    """Switch autocast off on a tensor's device: for sums over steps, and draws that are scored later, at full width."""
    kind = like.device.type
    narrows = torch.amp.is_autocast_available(kind) and torch.is_autocast_enabled(kind)
    return torch.autocast(kind, enabled=False) if narrows else nullcontext()
