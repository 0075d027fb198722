"""The encoder that guides share, and the baseline's decoder."""

from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from rnp_pyro.networks import BLOCK_STRIDES, ConvDecoder, ResNetBlock, ResNetEncoder, reduced

IMAGE_SHAPES = [(1, 28, 28), (3, 50, 50), (1, 20, 24), (3, 7, 9), (1, 1, 1)]
Randomise = Callable[[nn.Module], None]


def layers(module: nn.Module, kind: type[nn.Module]) -> int:
    return sum(isinstance(layer, kind) for layer in module.modules())


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("shape", IMAGE_SHAPES, ids=str)
def test_any_size_of_image_can_be_encoded_and_decoded(shape: tuple[int, int, int]):
    assert ResNetEncoder(shape)(torch.rand(2, *shape)).shape == (2, 64)
    assert ConvDecoder(5, shape)(torch.randn(2, 5)).shape == (2, *shape)


@pytest.mark.parametrize("length", range(1, 60))
def test_the_reduced_size_is_what_the_convolutions_leave(length: int):
    row = torch.zeros(1, 1, 1, length)
    for stride in BLOCK_STRIDES:
        row = nn.functional.conv2d(row, torch.zeros(1, 1, 3, 3), stride=stride, padding=1)
    assert row.shape[-1] == reduced(length)


def test_the_encoder_is_the_appendixs():
    """Five ResNet blocks of 32 channels, four fully connected layers of 64 units."""
    encoder = ResNetEncoder((1, 28, 28))
    blocks = [block for block in encoder.modules() if isinstance(block, ResNetBlock)]
    assert [block.second.out_channels for block in blocks] == [32] * 5
    linear = [layer for layer in encoder.modules() if isinstance(layer, nn.Linear)]
    assert [layer.out_features for layer in linear] == [64] * 4
    assert linear[0].in_features == 32 * 7 * 7


def sizes_of_blocks(module: nn.Module, argument: torch.Tensor) -> list[tuple[torch.Size, torch.Size]]:
    """Rows and columns that each ResNet block takes and gives, in the order of their calls."""
    sizes: list[tuple[torch.Size, torch.Size]] = []
    for block in module.modules():
        if isinstance(block, ResNetBlock):
            block.register_forward_hook(lambda _, inputs, output: sizes.append((inputs[0].shape[2:], output.shape[2:])))
    module(argument)
    return sizes


def test_the_decoder_mirrors_the_encoder():
    """As many layers of each kind; block by block from its end, the decoder works at the size that the encoder left."""
    encoder, decoder = ResNetEncoder((1, 28, 28)), ConvDecoder(32, (1, 28, 28))
    assert layers(decoder, nn.Linear) == layers(encoder, nn.Linear)
    assert layers(decoder, ResNetBlock) == layers(encoder, ResNetBlock)
    encoded = sizes_of_blocks(encoder, torch.rand(1, 1, 28, 28))
    decoded = sizes_of_blocks(decoder, torch.randn(1, 32))
    assert [given for given, _ in decoded] == [left for _, left in reversed(encoded)]


def test_the_decoder_doubles_by_repeating_pixels(randomise: Randomise):
    decoder, calls = ConvDecoder(5, (1, 12, 12)), []
    randomise(decoder)
    for layer in (*decoder.blocks, decoder.to_pixels):
        layer.register_forward_hook(lambda _, inputs, output: calls.append((inputs[0], output)))
    decoder(torch.randn(2, 5))
    doubled = 0
    for (_, left), (given, _) in pairwise(calls):
        if given.shape != left.shape:
            left = left.repeat_interleave(2, -1).repeat_interleave(2, -2)
            doubled += 1
        assert torch.equal(given, left)
    assert (doubled, len(calls)) == (2, 6)


@pytest.mark.thorough
def test_floating_point_operations_are_those_stated():
    """The numbers of :class:`ConvDecoder`'s docstring; the baseline must never be slowed down."""
    counted = []
    for network, argument in (
        (ConvDecoder(32, (1, 28, 28)), torch.randn(1, 32)),
        (ResNetEncoder((1, 28, 28)), torch.rand(1, 1, 28, 28)),
    ):
        with FlopCounterMode(display=False) as counter:
            network(argument)
        counted.append(counter.get_total_flops())
    assert counted == [pytest.approx(20.5e6, rel=0.02), pytest.approx(16.7e6, rel=0.02)]
    assert ConvDecoder.__doc__ is not None
    assert "20.5 million" in ConvDecoder.__doc__
    assert "16.7 million" in ConvDecoder.__doc__


def test_a_block_starts_as_its_skip_connection():
    features = torch.randn(2, 4, 6, 6)
    with torch.no_grad():
        same, halving = ResNetBlock(4, 4), ResNetBlock(4, 8, stride=2)
        for block in (same, halving):
            assert block.second.bias is not None
            block.second.bias.zero_()
        torch.testing.assert_close(same(features), features.relu())
        torch.testing.assert_close(halving(features), halving.skip(features).relu())


def test_a_block_adds_two_convolutions_to_its_skip_connection(randomise: Randomise):
    block, features = ResNetBlock(4, 4), torch.randn(2, 4, 6, 6)
    randomise(block)
    expected = (features + block.second(block.first(features).relu())).relu()
    torch.testing.assert_close(block(features), expected)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("shape", IMAGE_SHAPES[:3], ids=str)
def test_an_images_code_does_not_depend_on_its_batch(shape: tuple[int, int, int], randomise: Randomise):
    encoder, decoder = ResNetEncoder(shape), ConvDecoder(5, shape)
    images, z = torch.rand(3, *shape), torch.randn(3, 5)
    for network, batch in ((encoder, images), (decoder, z)):
        randomise(network)
        together = network(batch)
        assert (together[0] != together[1]).any()
        for index in range(3):
            torch.testing.assert_close(network(batch[index : index + 1])[0], together[index])
        network.eval()
        torch.testing.assert_close(network(batch), together)


def test_leading_dimensions_are_kept(randomise: Randomise):
    encoder, decoder = ResNetEncoder((1, 12, 12)), ConvDecoder(5, (1, 12, 12))
    randomise(encoder)
    randomise(decoder)
    images, z = torch.rand(3, 2, 1, 12, 12), torch.randn(3, 2, 5)
    torch.testing.assert_close(encoder(images), encoder(images.flatten(0, 1)).unflatten(0, (3, 2)))
    torch.testing.assert_close(encoder(images[0, 0]), encoder(images)[0, 0])
    torch.testing.assert_close(decoder(z), decoder(z.flatten(0, 1)).unflatten(0, (3, 2)))


def test_a_flipped_image_has_another_code(glyph: torch.Tensor, randomise: Randomise):
    encoder = ResNetEncoder((1, 12, 12))
    randomise(encoder)
    codes = [encoder(image[None]) for image in (glyph, glyph.flip(-1), glyph.flip(-2), glyph.mT)]
    assert all((one - other).abs().max() > 1e-4 for i, one in enumerate(codes) for other in codes[:i])


def test_the_decoder_names_its_latents_site():
    assert ConvDecoder(5, (1, 12, 12)).root_site == "z.0"
