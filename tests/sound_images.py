"""Twelve kinds of sound images, some of which used to end in NaN; all drawn here from a seed, ``[N 1 H W]`` bytes."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from rnp_pyro.data import load_images

COUNT = 200
"""Images of a kind, except where few are the point."""


def thin_strokes(random: np.random.Generator, size: int = 28, count: int = COUNT) -> np.ndarray:
    """One straight line of width 1 per image: ink 0.013 on average at 28 pixels."""
    images = np.zeros((count, size, size), np.uint8)
    for image in images:
        (row, column), (last_row, last_column) = random.integers(size // 7, size - size // 7, (2, 2))
        steps = max(abs(last_row - row), abs(last_column - column)) + 1
        rows = np.linspace(row, last_row, steps).round().astype(int)
        columns = np.linspace(column, last_column, steps).round().astype(int)
        image[rows, columns] = 255
    return images


def dots(random: np.random.Generator) -> np.ndarray:
    """Draw one 2x2 dot per image."""
    images = np.zeros((COUNT, 28, 28), np.uint8)
    for image, (row, column) in zip(images, random.integers(4, 22, (COUNT, 2)), strict=True):
        image[row : row + 2, column : column + 2] = 255
    return images


def blobs(random: np.random.Generator, size: int = 28, count: int = COUNT) -> np.ndarray:
    """Draw one thick bright L per image."""
    images = np.zeros((count, size, size), np.uint8)
    arm = max(3, size * 3 // 7)
    thick = max(1, arm // 4)
    for image, (row, column) in zip(images, random.integers(0, size - arm + 1, (count, 2)), strict=True):
        image[row : row + arm, column : column + thick] = 255
        image[row + arm - thick : row + arm, column : column + arm * 3 // 4] = 255
    return images


def photographs(random: np.random.Generator) -> np.ndarray:
    """Draw smooth grey surfaces with a 1 / f spectrum, as photographs have."""
    frequency = np.hypot(*np.meshgrid(np.fft.fftfreq(28), np.fft.fftfreq(28)))
    spectrum = 1 / np.maximum(frequency, 1 / 28)
    noise = np.fft.ifft2(np.fft.fft2(random.standard_normal((COUNT, 28, 28))) * spectrum).real
    low, high = noise.min((1, 2), keepdims=True), noise.max((1, 2), keepdims=True)
    return (255 * (noise - low) / (high - low)).astype(np.uint8)


def digits(random: np.random.Generator) -> np.ndarray:
    """Return the first of the bundled digits."""
    return load_images("mnist-sample").train[:COUNT, 0].numpy()


KINDS: dict[str, Callable[[np.random.Generator], np.ndarray]] = {
    "thin strokes": thin_strokes,
    "dots of 2x2": dots,
    "0/1 masks, scaled": lambda random: 255 * (blobs(random) > 0).astype(np.uint8),
    "black": lambda random: np.zeros((COUNT, 28, 28), np.uint8),
    "white": lambda random: np.full((COUNT, 28, 28), 255, np.uint8),
    "one image, repeated": lambda random: np.repeat(blobs(random, count=1), COUNT, axis=0),
    "photographs": photographs,
    "4 images": lambda random: blobs(random, count=4),
    "8 pixels": lambda random: blobs(random, size=8),
    "64 pixels": lambda random: thin_strokes(random, size=64),
    "dense noise": lambda random: random.integers(0, 256, (COUNT, 28, 28)).astype(np.uint8),
    "digits, inverted": lambda random: 255 - digits(random),
}
"""Name to what draws them."""


def sound_images(kind: str, seed: int) -> Tensor:
    """Draw the images of a kind, ``[N 1 H W]``, 0 to 255."""
    return torch.from_numpy(KINDS[kind](np.random.default_rng(seed)).copy())[:, None]
