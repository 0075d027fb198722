"""Activations know their slopes from their values; compression leaves the usual alone and keeps a slope far out."""

import pickle
from math import asinh

import pytest
import torch

from rnp_pyro.activations import STATE_ACTIVATIONS, Compressed, Paint, compress, recurrence_activations
from rnp_pyro.choices import PatchActivation, StateActivation


@pytest.mark.parametrize("name", STATE_ACTIVATIONS)
@pytest.mark.parametrize("compressing", [False, True])
def test_slopes_follow_from_values(name: StateActivation, compressing: bool):
    x = torch.tensor([-300.0, -30, -3, -0.3, -1e-3, 1e-3, 0.3, 3, 30, 300], requires_grad=True)
    activations = recurrence_activations(name, compressing)
    for activation in (activations.state, activations.policy, activations.action):
        value = activation(x)
        (expected,) = torch.autograd.grad(value.sum(), x)
        torch.testing.assert_close(activation.slope(value.detach()), expected, rtol=1e-6, atol=1e-12)


def test_what_is_usual_is_left_alone():
    x = torch.linspace(-1, 1, 21)
    assert (compress(x, 10.0) - x).abs().max() < 0.002
    assert recurrence_activations("identity", compress=False).state is STATE_ACTIVATIONS["identity"]


def test_what_is_far_out_becomes_its_logarithm_and_keeps_a_slope():
    far = torch.tensor([1e6, 1e37], dtype=torch.float32)
    found = Compressed(STATE_ACTIVATIONS["identity"], 10.0)(far)
    torch.testing.assert_close(found, torch.tensor([10 * asinh(1e5), 10 * asinh(1e36)], dtype=torch.float32))
    assert (Compressed(STATE_ACTIVATIONS["identity"], 10.0).slope(found) > 0).all()


@pytest.mark.parametrize("activation", ["sigmoid", "relu6", "softplus"])
def test_paint_compresses_before_its_activation(activation: PatchActivation):
    x = torch.randn(50) * 20
    plain = Paint(activation, compress=False)
    torch.testing.assert_close(Paint(activation)(x), plain(4 * torch.asinh(x / 4)))
    assert plain.start == (pytest.approx(-2.197, abs=1e-3) if activation == "sigmoid" else 0)


@pytest.mark.parametrize("ink", [0.001, 0.02, 0.1, 0.5, 0.9])
@pytest.mark.parametrize("compressing", [False, True])
def test_paint_starts_at_the_ink(ink: float, compressing: bool):
    paint = Paint("sigmoid", compressing, ink)
    assert paint(torch.tensor(paint.start)).item() == pytest.approx(ink)


@pytest.mark.thorough
def test_a_model_can_be_pickled(make_tree):
    """To be sent to a process, or copied: no function of it is without a name."""
    tree = make_tree()
    again = pickle.loads(pickle.dumps(tree))
    z = torch.randn(2, tree.latent_size)
    assert torch.equal(again.fold(again.unfold(z)), tree.fold(tree.unfold(z)))
