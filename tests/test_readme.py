"""What the README, CONTRIBUTING and the page on guides show must run."""

import re
from pathlib import Path

import pyro
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

from models import MODELS
from rnp_pyro.config import GuideConfig, ModelConfig
from rnp_pyro.errors import UserError

README = Path(__file__).parents[1] / "README.md"
CONTRIBUTING = README.parent / "CONTRIBUTING.md"
GUIDES_PAGE = README.parent / "docs" / "guides.md"


def blocks(page: Path) -> list[str]:
    """Return a page's blocks of Python."""
    return re.findall(r"```python\n(.*?)```", page.read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture(autouse=True)
def _single_precision():
    """A user runs the blocks under PyTorch's default type."""
    before = torch.get_default_dtype()
    torch.set_default_dtype(torch.float32)
    yield
    torch.set_default_dtype(before)


def test_the_library_example_is_that_of_the_librarys_page():
    """Where it is run, twice: tests/rnp_pyro/api/test_library.py."""
    assert blocks(README) == blocks(README.parent / "docs" / "library.md")[:1]


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("page", "block", "module", "node_latents"),
    [
        (CONTRIBUTING, 0, "guides.linear", "none"),
        (CONTRIBUTING, 0, "guides.linear", "both"),
        (GUIDES_PAGE, 1, "guides.glance", "both"),
        (GUIDES_PAGE, 1, "guides.glance", "state"),
    ],
)
def test_guide_examples_train(page: Path, block: int, module: str, node_latents: str):
    namespace: dict = {"__name__": module}
    exec(compile(blocks(page)[block], str(page), "exec"), namespace)
    pyro.clear_param_store()
    model = MODELS["rnp"](ModelConfig(node_latents=node_latents), (1, 28, 28))
    guide = namespace["build"](GuideConfig(), model.decoder)
    svi = SVI(model, guide, Adam({"lr": 1e-3}), Trace_ELBO())
    images = (torch.rand(8, 1, 28, 28) < 0.1).float()
    losses = [svi.step(images) for _ in range(8)]
    assert losses[-1] < losses[0]
    latents = [set(pyro.poutine.trace(program).get_trace(images).stochastic_nodes) for program in (model, guide)]
    assert latents[0] == latents[1]
    pyro.clear_param_store()


def test_the_guide_example_refuses_a_model_without_random_nodes():
    namespace: dict = {"__name__": "guides.glance"}
    exec(compile(blocks(GUIDES_PAGE)[1], str(GUIDES_PAGE), "exec"), namespace)
    for name in ("rnp", "vae"):
        with pytest.raises(UserError, match="the glance guide infers latents at nodes"):
            namespace["build"](GuideConfig(), MODELS[name](ModelConfig(name=name), (1, 28, 28)).decoder)


@pytest.mark.thorough
def test_pyros_own_guides_example(capsys):
    pyro.clear_param_store()
    exec(compile(blocks(GUIDES_PAGE)[0], str(GUIDES_PAGE), "exec"), {})
    assert capsys.readouterr().out.splitlines()[1:] == ["torch.Size([3, 4, 32])", "torch.Size([4])"]
    pyro.clear_param_store()


def test_the_readme_is_short():
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_the_readme_names_every_command():
    commands = [path for path in (README.parent / "examples").glob("*.py") if "__main__" in path.read_text("utf-8")]
    assert len(commands) > 10
    text = README.read_text(encoding="utf-8")
    assert [path.stem for path in commands if f"python -m examples.{path.stem}" not in text] == []


def test_readme_names_every_preset():
    text = README.read_text(encoding="utf-8")
    presets = [path.stem for path in (README.parent / "rnp_pyro" / "api" / "presets").glob("*.yaml")]
    assert presets
    assert all(f"`{preset}`" in text for preset in presets)
