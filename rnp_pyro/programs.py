"""What every Pyro program here begins with: a name of its own, and a look at the images that it is given."""

from itertools import count
from typing import Any

import torch

from rnp_pyro.errors import UserError

SLACK = 0.01
"""How far pixels may leave [0, 1]: resizing overshoots by rounding."""

FAR = 16.0
"""How far pixels may leave [0, 1] where a guide reads what a model drew: sums of parts and normal noise do."""

_numbers = count(1)


def unique_name(kind: str) -> str:
    """Return a name for a program's parameters in Pyro's store, such as ``rnp_1``.

    The store is global, and one entry for each name: of two programs with equal names ``SVI`` would train the first
    one's parameters, in silence, whichever it is given.
    """
    return f"{kind}_{next(_numbers)}"


def check_images(images: Any, image_shape: tuple[int, int, int], batched: bool = True, slack: float = SLACK) -> None:
    """Refuse images that a program was not built for, before a parameter changes.

    Values are looked at where there are any: not on the meta device, nor under ``vmap`` or a tracer.

    Args:
        images: What a program was given.
        image_shape: Channels, rows and columns that it was built for.
        batched: Whether it needs a batch of them.
        slack: How far values may leave [0, 1].

    Raises:
        UserError: If it is not a floating-point tensor ``[... N C H W]`` of numbers within [0, 1].
    """
    if not isinstance(images, torch.Tensor):
        raise UserError(f"expected images as a tensor, got {type(images).__name__}: torch.as_tensor(images) makes one")
    if not images.is_floating_point():
        raise UserError(
            f"expected pixels as floats within [0, 1], got {images.dtype}: images / 255 makes them of bytes"
        )
    if images.dim() < 3 + batched or tuple(images.shape[-3:]) != image_shape:
        wanted = ", ".join(["images", *map(str, image_shape)])
        raise UserError(f"expected images [{wanted}], as the program was built for, got {list(images.shape)}")
    if _has_values(images):
        low, high = torch.stack(torch.aminmax(images.detach())).tolist()
        if not (low >= -slack and high <= 1 + slack):
            raise UserError(f"expected pixels within [0, 1], got {low:g} to {high:g}{_way_on(low, high)}")


def _way_on(low: float, high: float) -> str:
    return ": divide by 255" if low >= 0 and 1 < high <= 255 else ""


def _has_values(images: torch.Tensor) -> bool:
    return not (
        images.is_meta
        or images.numel() == 0
        or torch.jit.is_tracing()
        or torch.compiler.is_compiling()
        or torch._C._functorch.is_functorch_wrapped_tensor(images)  # pyright: ignore[reportAttributeAccessIssue]
    )
