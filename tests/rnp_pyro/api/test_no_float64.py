"""A device without float64, such as Apple's MPS: nothing there is ever of that type.

No such device is at hand, so one is made up: weights are marked as lying on it, what is computed from marked tensors or
asked for on their device is marked too, and whatever is marked and float64 is refused, as MPS refuses it.
"""

from collections.abc import Callable, Mapping
from typing import Any

import pytest
import torch
from torch.overrides import TorchFunctionMode
from torch.utils._pytree import tree_leaves, tree_map

from rnp_pyro.api import fitting

ELSEWHERE = torch.device("mps")
"""What marked tensors say is their device."""

LEAVE = {torch.Tensor.cpu, torch.Tensor.numpy, torch.Tensor.item, torch.Tensor.tolist}
"""What brings numbers back to the CPU."""


def mark(tensor: torch.Tensor) -> None:
    tensor._elsewhere = True  # pyright: ignore[reportAttributeAccessIssue]


def is_marked(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and "_elsewhere" in vars(value)


class WithoutFloat64(TorchFunctionMode):
    """Follow marked tensors, and refuse float64 among them."""

    def __torch_function__(
        self, function: Callable, types: Any, args: tuple = (), kwargs: Mapping | None = None
    ) -> Any:
        given = tree_leaves((args, kwargs or {}))
        marked = any(map(is_marked, given))
        if getattr(function, "__self__", None) is torch.Tensor.device:
            return ELSEWHERE if marked else function(*args)
        moved = any(isinstance(value, torch.device) and value == ELSEWHERE for value in given)
        args, kwargs = tree_map(
            lambda value: torch.device("cpu") if isinstance(value, torch.device) else value, (args, dict(kwargs or {}))
        )
        found = function(*args, **kwargs)
        if (marked or moved) and function not in LEAVE and not (function is torch.Tensor.to and _to_cpu(given)):
            for tensor in tree_leaves(found):
                if isinstance(tensor, torch.Tensor):
                    if tensor.dtype == torch.float64:
                        raise RuntimeError(f"no float64 on this device: {getattr(function, '__name__', function)}")
                    mark(tensor)
        elif function in LEAVE and isinstance(found, torch.Tensor) and is_marked(found):
            return found.detach().clone() if not found.requires_grad else found.clone()
        return found


def _to_cpu(given: list) -> bool:
    return any(
        value == "cpu" or (isinstance(value, torch.device) and value.type == "cpu")
        for value in given
        if isinstance(value, str | torch.device)
    )


def test_the_device_refuses_float64():
    weight = torch.ones(2)
    with WithoutFloat64():
        mark(weight)
        assert is_marked(weight * 2)
        assert is_marked(torch.arange(3, device=weight.device))
        assert weight.cpu().double().dtype == torch.float64
        assert not is_marked(torch.ones(2) * 2)
        for mistake in (
            lambda: weight.double(),
            lambda: (weight * 2).to(torch.float64),
            lambda: torch.ones(2, dtype=torch.float64).to(weight.device),
            lambda: torch.zeros(2, dtype=torch.float64, device=weight.device),
            lambda: weight * torch.ones(2, dtype=torch.float64),
            lambda: weight.sum(dtype=torch.float64),
        ):
            with pytest.raises(RuntimeError, match="no float64"):
                mistake()


SETTINGS: list[dict[str, Any]] = [
    {},
    {"guide": {"name": "full_rank"}},
    {"guide": {"name": "ladder"}, "model.node_latents": "both"},
]


@pytest.mark.thorough
@pytest.mark.parametrize("settings", SETTINGS, ids=["resnet", "full_rank", "ladder"])
def test_training_and_what_comes_after_need_none(fit, images, monkeypatch, settings):
    build = fitting.build_pair
    used: list[Any] = []

    def build_elsewhere(*given: Any, **more: Any) -> Any:
        pair = build(*given, **more)
        for tensor in (*pair.modules.parameters(), *pair.modules.buffers()):
            mark(tensor)
        used.append(pair)
        return pair

    monkeypatch.setattr(fitting, "build_pair", build_elsewhere)
    monkeypatch.setattr(torch.mps, "get_rng_state", lambda device: torch.zeros(1, dtype=torch.uint8))
    monkeypatch.setattr(torch.mps, "set_rng_state", lambda state, device: None)
    with WithoutFloat64():
        run = fit(images, steps=2, **settings)
        assert is_marked(next(run.guide.parameters()))
        assert is_marked(run.parse(images[:2])[0].canvas)
        run.sample(2)
        run.encode(images[:2])
        assert run.evaluate(images[:2], particles=4, progress=False).nll_by_image.dtype == torch.float64
        run.complete(images[:1], num=2, particles=8, rounds=1)
    assert used
