"""What every Pyro program begins with: names that do not meet in Pyro's store, and images that it was built for."""

import subprocess
import sys
from pathlib import Path

import pyro
import pytest
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam

from rnp_pyro.errors import UserError
from rnp_pyro.programs import check_images, unique_name

SHAPE = (1, 12, 12)


@pytest.mark.thorough
@pytest.mark.parametrize(
    ("name", "guide"), [("rnp", "resnet"), ("rnp", "ladder"), ("rnp", "flow"), ("vae", "full_rank")]
)
def test_a_second_pair_in_the_same_process_trains_as_the_first(make_pair, images, name, guide):
    """Under Pyro's stock SVI, without clearing its store in between."""
    trained = []
    for _ in range(2):
        pyro.set_rng_seed(0)
        pair = make_pair(name, guide)
        before = [parameter.detach().clone() for program in pair for parameter in program.parameters()]
        svi = SVI(*pair, Adam({"lr": 1e-2}), Trace_ELBO())
        for _ in range(2):
            svi.step(images)
        after = [parameter.detach().clone() for program in pair for parameter in program.parameters()]
        assert sum(not torch.equal(one, other) for one, other in zip(before, after, strict=True)) > len(after) / 2
        trained.append(after)
    assert all(torch.equal(one, other) for one, other in zip(*trained, strict=True))


@pytest.mark.thorough
def test_a_tree_under_two_names_is_trained_once(make_pair, images):
    """The ladder walks the model's tree: one step of plain SGD moves its weights by the rate times the gradient."""
    model, guide = make_pair("rnp", "ladder")
    tree = next(model.tree.parameters())
    pyro.set_rng_seed(1)
    Trace_ELBO().loss_and_grads(model, guide, images)
    expected = tree.detach() - 1e-3 * tree.grad
    for parameter in (*model.parameters(), *guide.parameters()):
        parameter.grad = None
    pyro.set_rng_seed(1)
    SVI(model, guide, pyro.optim.SGD({"lr": 1e-3}), Trace_ELBO()).step(images)
    assert torch.allclose(tree.detach(), expected, rtol=1e-10, atol=0)


def test_names_are_unique():
    assert unique_name("rnp") != unique_name("rnp")


GOOD = torch.rand(3, *SHAPE)
REFUSED = {
    "bytes": ((GOOD * 255).byte(), "images / 255"),
    "floats up to 255": (GOOD * 255, "divide by 255"),
    "nan": (GOOD.clone().index_fill_(0, torch.tensor([1]), torch.nan), "got nan to nan"),
    "infinite": (GOOD / 0, "got inf"),
    "negative": (GOOD - 0.5, r"within \[0, 1\]"),
    "no channels": (GOOD[:, 0], r"\[images, 1, 12, 12\], as the program was built for, got \[3, 12, 12\]"),
    "one image": (GOOD[0], r"got \[1, 12, 12\]"),
    "another size": (torch.rand(3, 1, 10, 12), r"got \[3, 1, 10, 12\]"),
    "colour": (torch.rand(3, 3, 12, 12), r"got \[3, 3, 12, 12\]"),
    "an array": (GOOD.numpy(), "got ndarray"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name):
    images, message = REFUSED[name]
    with pytest.raises(UserError, match=message) as caught:
        check_images(images, SHAPE)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "images",
    [
        GOOD,
        GOOD.half(),
        GOOD.double() * 1.000001,
        GOOD[:0],
        GOOD.expand(2, 3, *SHAPE),
        GOOD.to("meta") * 300,
        GOOD.clone().requires_grad_(),
    ],
    ids=["floats", "half", "double", "none", "particles", "meta", "gradient"],
)
def test_taken(images):
    check_images(images, SHAPE)


def test_batches_of_images_under_vmap():
    def total(images):
        check_images(images, SHAPE)
        return images.sum()

    assert torch.equal(torch.vmap(total)(GOOD.expand(2, 3, *SHAPE)), GOOD.sum().expand(2))


@pytest.mark.thorough
def test_model_and_guides_refuse_before_a_parameter_changes():
    """Outside pytest's checked annotations, as a user calls them."""
    code = """
import torch, pyro
from guides import GUIDES
from models import MODELS
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import Adam
from rnp_pyro.config import GuideConfig, ModelConfig
from rnp_pyro.errors import UserError

good, refused = torch.rand(3, 1, 28, 28).round(), 0
for name, guide, nodes in [("rnp", "resnet", "none"), ("rnp", "ladder", "both"), ("vae", "flow", "none")]:
    model = MODELS[name](ModelConfig(name=name, node_latents=nodes), (1, 28, 28))
    pair = model, GUIDES[guide](GuideConfig(guide), model.decoder)
    svi = SVI(*pair, Adam({"lr": 1e-3}), Trace_ELBO())
    before = [p.clone() for one in pair for p in one.parameters()]
    for bad in (good * 255, good.byte(), good[:, 0], good / 0, good[..., 1:], good.expand(-1, 3, -1, -1)):
        for call in (svi.step, *pair):
            try:
                call(bad)
            except UserError:
                refused += 1
    assert all(torch.equal(one, p) for one, p in zip(before, (p for one in pair for p in one.parameters())))
print(refused)
"""
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == 3 * 6 * 3
