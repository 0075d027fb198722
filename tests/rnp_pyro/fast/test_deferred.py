"""Deferred products: autograd's numbers, formed once."""

import pytest
import torch

from rnp_pyro.fast.deferred import defer


def walk(multiply, x: torch.Tensor) -> torch.Tensor:
    """Three steps, each taking the one before."""
    for _ in range(3):
        x = torch.tanh(multiply(x[..., None, :]).squeeze(-2))
    return x.square().sum()


def plain(weight: torch.Tensor):
    """Autograd's own product."""
    return lambda rows: rows @ weight


def test_values_and_gradients_are_autograds():
    weight, x = torch.randn(2, 5, 4, 4, requires_grad=True), torch.randn(2, 5, 4, requires_grad=True)
    value = walk(plain(weight), x)
    expected = torch.autograd.grad(value, (weight, x))
    deferred = walk(defer(weight).multiply, x)
    assert torch.allclose(deferred, value, rtol=1e-14)
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
    (expected,) = torch.autograd.grad(walk(plain(weight), x), x)
    assert torch.allclose(found, expected, rtol=1e-12)


def test_the_gradient_check_of_one_product():
    weight, x = torch.randn(2, 3, 4, requires_grad=True), torch.randn(2, 5, 3, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w, rows: defer(w).multiply(rows), (weight, x))


def test_the_second_derivatives_of_three_products():
    weight, x = torch.randn(2, 3, 3, requires_grad=True), torch.randn(2, 3, requires_grad=True)
    assert torch.autograd.gradgradcheck(lambda w, row: walk(defer(w).multiply, row), (weight, x))


def test_weights_that_nothing_multiplies_with_have_no_gradient():
    weight = torch.randn(5, 4, 4, requires_grad=True)
    (found,) = torch.autograd.grad(defer(weight).token, weight)
    assert torch.equal(found, torch.zeros_like(weight))


def test_a_second_backward_pass_gives_the_same():
    weight = torch.randn(5, 4, 4, requires_grad=True)
    value = walk(defer(weight).multiply, torch.randn(5, 4))
    first, second = (torch.autograd.grad(value, weight, retain_graph=True)[0] for _ in range(2))
    assert torch.equal(first, second)


# -- passes that follow one another through one graph


def graph():
    """Two inputs, weights, the value of a walk, and the gradients that a pass of its own gives."""
    weight, first, second = (torch.randn(*shape, requires_grad=True) for shape in ((5, 4, 4), (5, 4), (5, 4)))
    shared = defer(weight)
    value = walk(shared.multiply, first) + walk(shared.multiply, 2 * second)
    again = walk(plain(weight), first) + walk(plain(weight), 2 * second)
    inputs = (weight, first, second)
    return value, inputs, torch.autograd.grad(again, inputs)


def assert_full_pass(value: torch.Tensor, inputs: tuple[torch.Tensor, ...], expected: tuple[torch.Tensor, ...]) -> None:
    for one, other in zip(torch.autograd.grad(value, inputs, retain_graph=True), expected, strict=True):
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("partial", [(1,), (2,), (1, 2)], ids=str)
def test_a_pass_that_leaves_the_weights_out_leaves_nothing_to_the_next(partial: tuple[int, ...]):
    value, inputs, expected = graph()
    found = torch.autograd.grad(value, [inputs[index] for index in partial], retain_graph=True)
    for one, index in zip(found, partial, strict=True):
        torch.testing.assert_close(one, expected[index])
    assert_full_pass(value, inputs, expected)


def test_partial_passes_to_different_inputs_and_full_ones_between():
    value, inputs, expected = graph()
    for _ in range(2):
        assert_full_pass(value, inputs, expected)
        for index in (1, 2, 0):
            (found,) = torch.autograd.grad(value, inputs[index], retain_graph=True)
            torch.testing.assert_close(found, expected[index])


def test_a_pass_through_a_part_of_the_products_alone():
    weight, x = torch.randn(5, 4, 4, requires_grad=True), torch.randn(5, 4, requires_grad=True)
    shared, same = defer(weight), plain(weight)
    first, second = walk(shared.multiply, x), walk(shared.multiply, 3 * x)
    torch.autograd.grad(first, x, retain_graph=True)
    for value, other in ((second, walk(same, 3 * x)), (first, walk(same, x)), (first + second, None)):
        (found,) = torch.autograd.grad(value, weight, retain_graph=True)
        wanted = walk(same, x) + walk(same, 3 * x) if other is None else other
        torch.testing.assert_close(found, torch.autograd.grad(wanted, weight)[0])


def test_a_pass_that_breaks_off_leaves_nothing_to_the_next():
    value, inputs, expected = graph()
    broken = inputs[1].register_hook(lambda gradient: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        torch.autograd.grad(value, inputs, retain_graph=True)
    broken.remove()
    assert_full_pass(value, inputs, expected)


def test_notes_do_not_pile_up():
    """Each Jacobian's row is a pass of its own; what a pass noted goes with its end."""
    weight, x = torch.randn(5, 4, 4, requires_grad=True), torch.randn(5, 4, requires_grad=True)
    shared = defer(weight)
    value = walk(shared.multiply, x)
    for _ in range(3):
        torch.autograd.grad(value, x, retain_graph=True)
    assert shared.notes.by_pass == {}


def test_a_pass_inside_of_a_pass():
    """A hook that asks the same graph for another gradient, while notes of the outer pass are there."""
    value, inputs, expected = graph()
    inner: list[torch.Tensor] = []
    weight, first, _ = inputs
    first.register_hook(lambda _: inner.extend(torch.autograd.grad(value, weight, retain_graph=True)) or None)
    found = torch.autograd.grad(value, (first, weight), retain_graph=True)
    torch.testing.assert_close(found, (expected[1], expected[0]))
    assert len(inner) == 1
    torch.testing.assert_close(inner[0], expected[0])


def test_one_gradient_is_differentiated_and_the_next_is_not():
    value, inputs, expected = graph()
    first = torch.autograd.grad(value, inputs, create_graph=True)
    torch.testing.assert_close(tuple(one.detach() for one in first), expected)
    assert_full_pass(value, inputs, expected)
