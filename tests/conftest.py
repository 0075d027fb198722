"""What every test runs under, and tiny trees, models and images to test with.

Annotated shapes are checked: the import hook is set here, before anything that it is to look at is imported. Thorough
tests, which make the same calls more often, go without: it is half of their time.
"""

# ruff: noqa: E402

import inspect
import re
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import jaxtyping
import pyro
import pytest
import torch
from hypothesis import settings
from jaxtyping import install_import_hook
from pyro import poutine
from pyro.nn import PyroModule
from torch import nn

# An int passes for a float, as PEP 484 has it.
install_import_hook(
    ["rnp_pyro", "models", "guides", "flows", "inference"],
    "beartype.beartype(conf=beartype.BeartypeConf(is_pep484_tower=True))",
)

from guides import GUIDES
from models import MODELS
from rnp_pyro.build import build_tree
from rnp_pyro.config import GuideConfig, ModelConfig, TreeConfig
from rnp_pyro.tree import Tree

# The same examples in every run: a test of a change must not fail by chance.
settings.register_profile("rnp", deadline=None, derandomize=True, max_examples=30)
settings.register_profile("fast", settings.get_profile("rnp"), max_examples=8)
settings.load_profile("rnp")


def pytest_configure(config: pytest.Config) -> None:
    """Try fewer examples where only the fast tier is asked for."""
    settings.load_profile("fast" if "not thorough" in config.option.markexpr else "rnp")


@pytest.hookimpl(tryfirst=True)  # before those that -m does not select are left out
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark as thorough all cases of a test but the first, as many as ``thorough_after`` says."""
    cases: Counter[str] = Counter()
    for item in items:
        if (mark := item.get_closest_marker("thorough_after")) is not None:
            test = item.nodeid.split("[")[0]
            cases[test] += 1
            if cases[test] > mark.args[0]:
                item.add_marker("thorough")


@pytest.hookimpl(tryfirst=True)  # before fixtures are made
def pytest_runtest_setup(item: pytest.Item) -> None:
    """Check annotated shapes in all tests but the thorough ones."""
    jaxtyping.config.update("jaxtyping_disable", item.get_closest_marker("thorough") is not None)


MakeTree = Callable[..., Tree]
MakePair = Callable[..., tuple[PyroModule, PyroModule]]

TINY_CANVASES = (10, 8, 7)
"""Canvas sizes below the root, as many as a tree has levels below it."""


@pytest.fixture(autouse=True)
def _regime() -> Iterator[None]:
    """Run in float64 with Pyro's validation on, from a fixed seed, with an empty parameter store."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    with pyro.validation_enabled(True):
        yield
    pyro.clear_param_store()
    torch.set_default_dtype(before)


@pytest.fixture
def glyph() -> torch.Tensor:
    """An F, binary, [1, 12, 12]: no two of its flips, turns and transposes are equal."""
    rows = (
        "            ",
        "  #######   ",
        "  #######   ",
        "  ##        ",
        "  ##        ",
        "  #####     ",
        "  #####     ",
        "  ##        ",
        "  ##        ",
        "  ##        ",
        "  ##        ",
        "            ",
    )
    return torch.tensor([[[float(mark == "#") for mark in row] for row in rows]])


@pytest.fixture
def images(glyph: torch.Tensor) -> torch.Tensor:
    """Four different binary images, [4, 1, 12, 12]: the glyph, shifted, turned and flipped."""
    return torch.stack([glyph, glyph.roll(2, -1), glyph.rot90(1, (-2, -1)), glyph.flip(-2)])


@pytest.fixture(scope="session")
def tiny_config() -> Callable[..., TreeConfig]:
    """Settings of a tree that runs in milliseconds; ``num_steps`` chooses its depth."""

    def make(**changes: Any) -> TreeConfig:
        num_steps = changes.get("num_steps", (2, 2))
        tiny = TreeConfig(
            num_steps=num_steps,
            canvas_sizes=TINY_CANVASES[: len(num_steps) - 1],
            patch_size=5,
            hypernet_layers=3,
            hypernet_size=8,
            hidden_size=8,
        )
        return replace(tiny, **changes)

    return make


@pytest.fixture(scope="session")
def make_tree(tiny_config: Callable[..., TreeConfig]) -> MakeTree:
    """Build a tiny tree; settings of the tree by name."""

    def make(latent_size: int = 6, image_shape: tuple[int, int, int] = (1, 12, 12), **changes: Any) -> Tree:
        return build_tree(tiny_config(**changes), latent_size, image_shape)

    return make


@pytest.fixture(scope="session")
def make_pair(tiny_config: Callable[..., TreeConfig]) -> MakePair:
    """Build a tiny model and its guide by name; settings of the model by name, those of its tree in ``tree``."""

    def make(
        name: str = "rnp",
        guide: str = "resnet",
        image_shape: tuple[int, int, int] = (1, 12, 12),
        tree: dict[str, Any] | None = None,
        **changes: Any,
    ) -> tuple[PyroModule, PyroModule]:
        config = ModelConfig(name=name, latent_size=6, tree=tiny_config(**(tree or {})))
        if guide == "ladder":
            config = replace(config, node_latents="both")
        model = MODELS[name](replace(config, **changes), image_shape)
        return model, GUIDES[guide](GuideConfig(guide), model.decoder)

    return make


@pytest.fixture(scope="session")
def randomise() -> Callable[[nn.Module], None]:
    """Move all parameters off their initial values, some of which are zero and would hide mistakes."""

    def move(module: nn.Module, scale: float = 0.1) -> None:
        with torch.no_grad():
            for parameter in module.parameters():
                parameter.add_(scale * torch.randn_like(parameter))

    return move


@pytest.fixture(scope="session")
def check_shapes() -> Callable[..., None]:
    """Compare the ``# [*batch] | [event]`` of a program's sample lines with its trace's ``format_shapes()``."""

    def check(program: PyroModule, images: torch.Tensor, particles: tuple[int, ...] = ()) -> None:
        sizes = dict(zip("CHW", images.shape[1:], strict=True)) | {"images": len(images), "Z": 6}
        source = inspect.getsource(type(program).forward)
        sampled = re.findall(r"pyro\.sample\(.*", source)
        commented = re.findall(r"pyro\.sample\(.*  # \[(.*)\] \| \[(.*)\]", source)
        assert len(commented) == len(sampled) > 0
        stated = [
            ([*particles, *(sizes[name] for name in batch.split()[1:])], [sizes[name] for name in event.split()])
            for batch, event in commented
            if batch.startswith("*batch ")
        ]
        assert len(stated) == len(commented)

        with pyro.plate_stack("particles", particles, rightmost_dim=-2):
            shapes = poutine.trace(program).get_trace(images).format_shapes()
        rows = re.findall(r"^ *(\S+) dist +([\d ]*)\| *([\d ]*)$", shapes, flags=re.MULTILINE)
        found = [
            ([int(size) for size in batch.split()], [int(size) for size in event.split()])
            for name, batch, event in rows
            if not name.startswith("particles") and name not in ("images", "part_term")
        ]
        assert found == stated

    return check
