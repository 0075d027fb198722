"""A small classifier of a data set's own images, whose features measure distances between pictures."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn

from rnp_pyro.data import ImageData, batch_indices, to_unit
from rnp_pyro.networks import keep_variance, reduced
from rnp_pyro.shapes import ByteImages, Canvas, Float, Tensor

WIDTH, FEATURES = 32, 64
BATCH, RATE = 64, 1e-3
CHUNK = 500


class Classifier(nn.Module):
    """Three convolutions, a layer of features, and one of classes.

    Args:
        image_shape: Channels, rows and columns.
        num_classes: How many.
    """

    def __init__(self, image_shape: tuple[int, int, int], num_classes: int) -> None:
        super().__init__()
        channels, rows, columns = image_shape
        sizes = [(channels, WIDTH, 2), (WIDTH, 2 * WIDTH, 2), (2 * WIDTH, 2 * WIDTH, 1)]
        layers = [keep_variance(nn.Conv2d(one, other, 3, stride, padding=1)) for one, other, stride in sizes]
        self.convolutions = nn.Sequential(*(part for layer in layers for part in (layer, nn.ReLU())))
        flat = 2 * WIDTH * reduced(rows) * reduced(columns)
        self.to_features = keep_variance(nn.Linear(flat, FEATURES))
        self.to_classes = nn.Linear(FEATURES, num_classes)

    def forward(self, images: Canvas) -> Float[Tensor, "N features"]:
        """Return the features of images in [0, 1]."""
        return F.relu(self.to_features(self.convolutions(images).flatten(1)))


@dataclass(frozen=True)
class Judge:
    """A trained classifier.

    Args:
        network: Its features.
        task: What it was trained on: classes, or turns.
        accuracy: On test images, 0 to 1.
    """

    network: Classifier
    task: str
    accuracy: float


def train_judge(data: ImageData, steps: int, seed: int) -> Judge:
    """Train a classifier of the data's classes, or where there are none of four quarter turns; a function of the seed.

    Args:
        data: Trained on its training images, measured on test images, or on validation images where the
            test has other classes.
        steps: Of 64 images.
        seed: Of weights and batches.
    """
    labelled = data.train_labels is not None and data.test_labels is not None
    train, labels = (data.train, data.train_labels) if labelled else _turned(data.train)
    test, test_labels = (data.test, data.test_labels) if labelled else _turned(data.test)
    assert labels is not None
    assert test_labels is not None
    if data.validation_labels is not None and not set(test_labels.tolist()) <= set(labels.tolist()):
        test, test_labels = data.validation, data.validation_labels  # the test's classes are others, as Omniglot's
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        network = Classifier(data.image_shape, 1 + int(max(labels.max(), test_labels.max())))
    optimizer = torch.optim.Adam(network.parameters(), lr=RATE)
    for step in range(steps):
        chosen = batch_indices(seed, step, BATCH, len(train))
        optimizer.zero_grad()
        scores = network.to_classes(network(to_unit(train[chosen])))
        F.cross_entropy(scores, labels[chosen]).backward()
        optimizer.step()
    with torch.no_grad():
        guessed = torch.cat([network.to_classes(network(to_unit(chunk))).argmax(-1) for chunk in test.split(CHUNK)])
    accuracy = float((guessed == test_labels).double().mean())
    return Judge(network.eval(), "classes" if labelled else "quarter turns", accuracy)


def _turned(images: ByteImages) -> tuple[ByteImages, Tensor]:
    """Turn each image by a quarter more than the one before; the label says how far."""
    labels = torch.arange(len(images)) % 4
    turned = torch.stack([image.rot90(int(turn), (-2, -1)) for image, turn in zip(images, labels, strict=True)])
    return turned, labels
