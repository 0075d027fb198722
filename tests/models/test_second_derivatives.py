"""Gradients of gradients: the curvature of the log joint, on the fast path and on the plain loop."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from pyro import poutine
from pyro.infer.autoguide import AutoLaplaceApproximation, init_to_mean
from pyro.nn import PyroModule

from rnp_pyro.draw import mean
from rnp_pyro.tree import Tree

MakePair = Callable[..., tuple[PyroModule, PyroModule]]
LogJoint = Callable[[torch.Tensor], torch.Tensor]
PATHS: dict[str, Any] = {
    "fast": {},
    "fast, recomputed in chunks": {"chunk": 1, "recompute": True},
    "plain loop": {"feedback": False},
    "plain loop with feedback": {"feedback": True},
}


@pytest.fixture(params=PATHS, ids=str)
def log_joint(
    request: pytest.FixtureRequest, make_pair: MakePair, images: torch.Tensor, randomise: Callable[..., None]
) -> LogJoint:
    """log p(x, z) of two images as a function of their latents, by Pyro; smooth where the tree is."""
    # Bilinear interpolation has kinks in the poses, whose second derivative is zero almost everywhere.
    settings = {"interpolation": "bicubic", "state_activation": "tanh", **PATHS[request.param]}
    model, _ = make_pair(tree=settings, likelihood="normal", part_term_weight=0.0)
    randomise(model, 0.05)
    if request.param == "plain loop":
        original = Tree.unfold
        request.getfixturevalue("monkeypatch").setattr(Tree, "unfold", lambda self, z, _: original(self, z, mean))

    def value(z: torch.Tensor) -> torch.Tensor:
        conditioned = poutine.condition(model, data={model.tree.root_site: z})
        return poutine.trace(conditioned).get_trace(images[:2]).log_prob_sum()

    return value


def by_differences(log_joint: LogJoint, z: torch.Tensor, step: float = 1e-5) -> torch.Tensor:
    """The Hessian from central differences of gradients, which other tests hold right."""
    rows = []
    for direction in torch.eye(z.numel()).view(-1, *z.shape):
        ends = [(z + sign * step * direction).requires_grad_() for sign in (1, -1)]
        upper, lower = (torch.autograd.grad(log_joint(end), end)[0] for end in ends)
        rows.append((upper - lower) / (2 * step))
    return torch.stack(rows).view(*z.shape, *z.shape)


@pytest.mark.thorough
def test_the_hessian_of_the_log_joint_is_that_of_finite_differences(log_joint: LogJoint):
    z = torch.randn(2, 6)
    expected = by_differences(log_joint, z)
    found = torch.autograd.functional.hessian(log_joint, z)
    assert (expected.flatten(2).flatten(0, 1) + torch.eye(12)).abs().max() > 0.05  # there is more than the prior's
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.thorough
def test_a_product_with_the_hessian_is_that_of_finite_differences(log_joint: LogJoint):
    z, direction = torch.randn(2, 6), torch.randn(2, 6)
    expected = torch.einsum("izjw,jw->iz", by_differences(log_joint, z), direction)
    for product in (torch.autograd.functional.hvp, torch.autograd.functional.vhp):
        torch.testing.assert_close(product(log_joint, z, direction)[1], expected, rtol=1e-5, atol=1e-6)


def test_the_gradients_gradient_reaches_the_weights(make_pair: MakePair, images: torch.Tensor):
    """Of a squared gradient with respect to the latents, by the parameters: fast path and plain loop alike."""
    model, _ = make_pair(tree={"state_activation": "tanh"})
    tree, z = model.tree, torch.randn(2, 6, requires_grad=True)
    found = []
    for draw in (None, mean):
        (slope,) = torch.autograd.grad(tree.fold(tree.unfold(z, draw)).square().sum(), z, create_graph=True)
        found.append(torch.autograd.grad(slope.square().sum(), [z, *tree.parameters()]))
    assert found[0][0].abs().max() > 1e-4
    for one, other in zip(*found, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.thorough
@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")  # torch's own
@pytest.mark.filterwarnings("ignore:There is a performance drop:UserWarning")
def test_transforms_of_torch_func_see_through_the_tree(make_pair: MakePair):
    """Backwards, that is: PyTorch has no forward derivative of interpolation, and says so."""
    model, _ = make_pair(tree={"interpolation": "bicubic", "state_activation": "tanh"})
    tree, z = model.tree, torch.randn(6)

    def value(z: torch.Tensor) -> torch.Tensor:
        return tree.fold(tree.unfold(z)).square().sum()

    expected = torch.autograd.functional.jacobian(value, z)
    torch.testing.assert_close(torch.func.grad(value)(z), expected)
    torch.testing.assert_close(torch.func.jacrev(value)(z), expected)
    torch.testing.assert_close(
        torch.func.jacrev(torch.func.jacrev(value))(z), torch.autograd.functional.hessian(value, z)
    )
    with pytest.raises(NotImplementedError, match="forward AD with grid_sampler"):
        torch.func.hessian(value)(z)
    batch = torch.randn(3, 6)
    looped = torch.stack([torch.autograd.functional.jacobian(value, one) for one in batch])
    torch.testing.assert_close(torch.func.vmap(torch.func.grad(value))(batch), looped)


@pytest.mark.thorough
def test_a_laplace_approximation_is_as_wide_as_the_curvature_says(make_pair: MakePair, images: torch.Tensor):
    model, _ = make_pair(
        tree={"state_activation": "tanh", "interpolation": "bicubic"}, likelihood="normal", pixel_scale=2.0
    )
    model.eval()
    guide = AutoLaplaceApproximation(model, init_loc_fn=init_to_mean)
    guide(images[:2])
    with torch.no_grad():
        guide.loc.normal_(std=0.1)  # at 0 stands the kink of every elu's slope
    found = guide.laplace_approximation(images[:2])
    z = guide.loc.detach().view(2, 6)

    def value(z: torch.Tensor) -> torch.Tensor:
        conditioned = poutine.condition(model, data={model.tree.root_site: z})
        return poutine.trace(conditioned).get_trace(images[:2]).log_prob_sum()

    precision = -by_differences(value, z).view(12, 12)
    factor = found.scale[:, None] * found.scale_tril
    torch.testing.assert_close(factor @ factor.mT @ precision, torch.eye(12), rtol=1e-5, atol=1e-5)
