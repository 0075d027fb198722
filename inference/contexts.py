"""States that computations run in, each put back afterwards: a seeded generator, evaluation, fixed parameters."""

import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

import torch
from pyro.nn import PyroModule
from torch import nn


@contextmanager
def seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Draw from the generator at ``seed``, and put the global generators back afterwards."""
    on_host = device.type in ("cpu", "meta")
    kept = torch.random.fork_rng([]) if on_host else torch.random.fork_rng([device], device_type=device.type)
    with kept:
        torch.manual_seed(seed)
        yield


@contextmanager
def evaluating(*modules: PyroModule) -> Iterator[None]:
    """Switch modules to evaluation, without gradients, and back."""
    before = [module.training for module in modules]
    try:
        for module in modules:
            module.eval()
        with torch.no_grad():
            yield
    finally:
        for module, training in zip(modules, before, strict=True):
            module.train(training)


@contextmanager
def fixed(parameters: Iterable[nn.Parameter]) -> Iterator[None]:
    """Compute with parameters as if they were constants."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    try:
        for parameter in trained:
            parameter.requires_grad_(False)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*was not registered in the param store", UserWarning)
            yield
    finally:
        for parameter in trained:
            parameter.requires_grad_(True)
