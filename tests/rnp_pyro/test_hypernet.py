"""Hypernetworks: what they generate at the start, how it is cut, and who shares it."""

from dataclasses import fields
from math import prod, sqrt

import pytest
import torch

from rnp_pyro.build import build_tree
from rnp_pyro.choices import Sharing
from rnp_pyro.config import ModelConfig, TreeConfig
from rnp_pyro.heads import Matrix, NetworkParams, NetworkShapes, split_params
from rnp_pyro.hypernet import ELU_MEAN_SQUARE, MODULATION, Hypernet, LevelHypernets
from rnp_pyro.program import decoder_heads, network_shapes

SHAPES = NetworkShapes(14, hidden_size=16, state_size=8, initial_size=8, decoder=decoder_heads(8, 16, 20))


def make_levels(sharing: Sharing, num_levels: int = 3) -> LevelHypernets:
    return LevelHypernets(4, *network_shapes(4, 8, decoder_heads(4, 8, 9)), 3, 8, num_levels, sharing)


def count(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


# -- the start


def test_elu_mean_square_is_that_of_a_standard_normal():
    squares = torch.nn.functional.elu(torch.randn(1_000_000)).square()
    assert (squares.mean() - ELU_MEAN_SQUARE).abs() <= 4 * squares.std() / 1000 + 5e-4


@pytest.mark.thorough
@pytest.mark.parametrize("num_layers", [2, 6])
def test_generated_layers_start_at_the_variance_of_an_ordinary_initialisation(num_layers: int):
    """Mean squares, in units of 1/(3 fan-in) for layers and of 1 for values, over hypernetworks and many z.

    The bias gives the share 1 - MODULATION^2 and z gives the rest, if the hidden units' mean square is that of elu. It
    may be larger by up to 1/ELU_MEAN_SQUARE: the first layer's input is z, of mean square 1, and no elu's output.
    """
    replicates = []
    with torch.no_grad():
        for _ in range(100):
            flat = Hypernet(8, SHAPES, num_layers, 16)(torch.randn(64, 8))
            counts = [sum(prod(shape) for shape in head.shapes) for head in SHAPES.heads]
            variances = [1 / (3 * head.fan_in) if head.fan_in else 1.0 for head in SHAPES.heads]
            pieces = zip(flat.split(counts, dim=-1), variances, strict=True)
            replicates.append(torch.stack([piece.square().mean() / variance for piece, variance in pieces]))
    measured = torch.stack(replicates)
    error = 4 * measured.std(0) / sqrt(len(replicates))
    assert (measured.mean(0) >= 1 - error).all()
    assert (measured.mean(0) <= 1 + MODULATION**2 * (1 / ELU_MEAN_SQUARE - 1) + error).all()
    assert error[0] < 0.04


@pytest.mark.thorough
def test_generated_parameters_have_no_offset():
    with torch.no_grad():
        means = torch.stack([Hypernet(8, SHAPES, 3, 16)(torch.randn(64, 8)).mean() for _ in range(60)])
    assert means.mean().abs() <= 4 * means.std() / sqrt(60)


@pytest.mark.thorough
def test_programs_start_as_modulations_of_one_network():
    """The standard deviation over z of a parameter is a small share of its standard deviation over parameters."""
    with torch.no_grad():
        flat = torch.stack([Hypernet(8, SHAPES, 6, 64)(torch.randn(256, 8)) for _ in range(20)])
    share = (flat.var(1).mean() / flat.square().mean()).sqrt().item()
    assert 0.3 * MODULATION < share < 1.3 * MODULATION


# -- the cut


def tensors(params: NetworkParams) -> list[torch.Tensor]:
    """All generated tensors in order."""
    values = [getattr(params, field.name) for field in fields(NetworkParams)]
    flat = [one for value in values for one in (value if isinstance(value, tuple) else (value,))]
    return [one.weight if isinstance(one, Matrix) else one for one in flat]


def test_the_split_is_a_partition_in_order():
    flat = torch.arange(2.0 * SHAPES.num_parameters).unflatten(0, (2, -1))
    params = split_params(flat, SHAPES)
    assert [tensor.shape[1:] for tensor in tensors(params)] == [torch.Size(shape) for shape in SHAPES.tensors]
    assert torch.equal(torch.cat([tensor.flatten(1) for tensor in tensors(params)], dim=-1), flat)


def test_the_gradient_of_the_split_reaches_every_parameter_once():
    flat = torch.randn(3, SHAPES.num_parameters, requires_grad=True)
    params = split_params(flat, SHAPES)
    sum(tensor.sum() for tensor in tensors(params)).backward()
    assert flat.grad is not None
    assert torch.equal(flat.grad, torch.ones_like(flat))


def test_heads_and_tensors_agree():
    assert SHAPES.num_parameters == sum(prod(shape) for head in SHAPES.heads for shape in head.shapes)
    assert SHAPES.num_parameters == sum(
        (14 * 16 + 16, 16 * 8, 8 * 8, 8, 8, 8 * 16 + 16, 16 * 20 + 20, 8)  # the heads; the decoder has two layers
    )


def test_the_default_sizes_are_those_of_the_design():
    """About 20,000 generated parameters per program, and 1.34 million parameters of the decoder."""
    config = ModelConfig()
    assert isinstance(config.tree, TreeConfig)
    heads = decoder_heads(config.latent_size, config.tree.hidden_size, config.tree.patch_size**2)
    state, policy = network_shapes(config.latent_size, config.tree.hidden_size, heads)
    assert state.num_parameters + policy.num_parameters == pytest.approx(20_000, rel=0.01)
    assert count(build_tree(config.tree, config.latent_size, (1, 28, 28))) == pytest.approx(1.34e6, rel=0.003)


# -- sharing


def test_sharing_decides_how_many_parameters_there_are():
    pair = count(make_levels("shared", num_levels=1))
    assert count(make_levels("shared")) == pair
    assert count(make_levels("level_embedding")) == pair + 3 * 4
    assert count(make_levels("per_level")) == 3 * pair


def generated(hypernets: LevelHypernets, z: torch.Tensor, level: int) -> torch.Tensor:
    with torch.no_grad():
        return torch.cat(hypernets(z, level), dim=-1)


def test_shared_hypernetworks_do_not_know_the_level():
    hypernets, z = make_levels("shared"), torch.randn(5, 4)
    assert torch.equal(generated(hypernets, z, 1), generated(hypernets, z, 3))


@pytest.mark.parametrize("sharing", ["level_embedding", "per_level"])
def test_the_others_do(sharing: Sharing):
    hypernets, z = make_levels(sharing), torch.randn(5, 4)
    levels = [generated(hypernets, z, level) for level in (1, 2, 3)]
    assert all((one - other).abs().max() > 1e-3 for i, one in enumerate(levels) for other in levels[:i])


def test_an_embedding_shifts_z():
    hypernets, z = make_levels("level_embedding"), torch.randn(5, 4)
    assert hypernets.level_embedding is not None
    shift = (hypernets.level_embedding[1] - hypernets.level_embedding[0]).detach()
    torch.testing.assert_close(generated(hypernets, z, 2), generated(hypernets, z + shift, 1))


@pytest.mark.parametrize("sharing", ["level_embedding", "per_level"])
def test_a_level_of_its_own_leaves_the_others_alone(sharing: Sharing):
    hypernets, z = make_levels(sharing), torch.randn(5, 4)
    before = [generated(hypernets, z, level) for level in (1, 2, 3)]
    with torch.no_grad():
        if hypernets.level_embedding is not None:
            hypernets.level_embedding[1] += 1
        else:
            hypernets.state_hypernets[1].heads.bias += 1
    after = [generated(hypernets, z, level) for level in (1, 2, 3)]
    assert [torch.equal(one, other) for one, other in zip(before, after, strict=True)] == [True, False, True]


def test_batched_equals_looped():
    hypernets, z = make_levels("shared"), torch.randn(2, 3, 4)
    batched = generated(hypernets, z, 1)
    for i in range(2):
        for j in range(3):
            torch.testing.assert_close(batched[i, j], generated(hypernets, z[i, j], 1))
