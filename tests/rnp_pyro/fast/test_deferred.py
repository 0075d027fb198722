"""Deferred products: autograd's numbers, formed once."""

import pytest
import torch

from rnp_pyro.fast.deferred import defer


def walk(multiply, x: torch.Tensor) -> torch.Tensor:
    """Three steps, each taking the one before."""
    for _ in range(3):
        x = torch.tanh(multiply(x))
    return x.square().sum()


def test_values_and_gradients_are_autograds():
    weight, x = torch.randn(2, 5, 4, 4, requires_grad=True), torch.randn(2, 5, 4, requires_grad=True)
    plain = walk(lambda row: (row[..., None, :] @ weight).squeeze(-2), x)
    expected = torch.autograd.grad(plain, (weight, x))
    deferred = walk(defer(weight).multiply, x)
    assert torch.allclose(deferred, plain, rtol=1e-14)
    for found, wanted in zip(torch.autograd.grad(deferred, (weight, x)), expected, strict=True):
        assert torch.allclose(found, wanted, rtol=1e-12)


def test_two_walks_share_one_gradient():
    weight = torch.randn(5, 4, 4, requires_grad=True)
    first, second = torch.randn(5, 4), torch.randn(5, 4)
    apart = walk(defer(weight).multiply, first) + walk(defer(weight).multiply, second)
    shared = defer(weight)
    together = walk(shared.multiply, first) + walk(shared.multiply, second)
    (expected,), (found,) = torch.autograd.grad(apart, weight), torch.autograd.grad(together, weight)
    assert torch.allclose(found, expected, rtol=1e-12)


def test_frozen_weights_let_the_gradient_through():
    weight, x = torch.randn(5, 4, 4), torch.randn(5, 4, requires_grad=True)
    (found,) = torch.autograd.grad(walk(defer(weight).multiply, x), x)
    (expected,) = torch.autograd.grad(walk(lambda row: (row[..., None, :] @ weight).squeeze(-2), x), x)
    assert torch.allclose(found, expected, rtol=1e-12)


def test_the_gradient_check_of_one_product():
    weight, x = torch.randn(2, 3, 4, requires_grad=True), torch.randn(2, 3, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w, row: defer(w).multiply(row), (weight, x))


def test_weights_that_nothing_multiplies_with_have_no_gradient():
    weight = torch.randn(5, 4, 4, requires_grad=True)
    (found,) = torch.autograd.grad(defer(weight).token, weight)
    assert torch.equal(found, torch.zeros_like(weight))


def test_a_second_backward_pass_gives_the_same():
    weight = torch.randn(5, 4, 4, requires_grad=True)
    value = walk(defer(weight).multiply, torch.randn(5, 4))
    first, second = (torch.autograd.grad(value, weight, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


def test_a_pass_that_left_the_weights_out_is_not_added():
    weight, x = torch.randn(5, 4, 4, requires_grad=True), torch.randn(5, 4, requires_grad=True)
    value = walk(defer(weight).multiply, x)
    torch.autograd.grad(value, x, retain_graph=True)
    with pytest.raises(RuntimeError, match="reach its weights"):
        torch.autograd.grad(value, weight)
