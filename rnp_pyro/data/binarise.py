"""Grey pixels as probabilities of ink: dynamic binarisation, a transform of the data."""

import torch
from jaxtyping import Int64

from rnp_pyro.shapes import ByteImages, Float, Tensor
from rnp_pyro.streams import Purpose, keys_of, stream_key, uniforms

Images = Float[Tensor, "N C H W"]


def to_unit(images: ByteImages) -> Images:
    """Bytes 0 to 255 as float32 in [0, 1]."""
    return images.to(torch.float32) / 255


def binarise(images: Images, seed: int, step: int) -> Images:
    """Draws every pixel again in each training step: 1 with the pixel's value as probability, else 0.

    Args:
        images: Values in [0, 1].
        seed: The run's seed.
        step: The training step; the noise is a function of (seed, step, position in the batch) only.

    Returns:
        Zeros and ones in the type and on the device of ``images``.
    """
    key = stream_key(Purpose.TRAINING_NOISE, seed, step)
    return _draw(images, keys_of(key, torch.arange(len(images), device=images.device)))


def binarise_fixed(images: Images, seed: int, indices: Int64[Tensor, "N"]) -> Images:
    """Draws every pixel once and for all, for evaluation.

    Args:
        images: Values in [0, 1].
        seed: The evaluation's seed.
        indices: Position of each image in its data set; the noise is a function of (seed, index) only, so it depends
            neither on the batch an image comes in nor on the number of images.

    Returns:
        Zeros and ones in the type and on the device of ``images``.
    """
    key = stream_key(Purpose.EVALUATION_NOISE, seed)
    return _draw(images, keys_of(key, indices.to(images.device)))


def _draw(images: Images, keys: Int64[Tensor, "N"]) -> Images:
    """Bernoulli draws, one stream per image. Compared in float32, so a float64 run sees the same pixels."""
    if not images.is_floating_point():
        raise TypeError(f"images must be floats in [0, 1], got {images.dtype}: call to_unit first")
    noise = uniforms(keys, images[0].numel() if len(images) else 0).view(images.shape)
    return (noise < images.to(torch.float32)).to(images.dtype)
