"""One step's loss and gradient, and the optimizer that takes it: what training runs and the benchmark times."""

import torch
from lightning_fabric import Fabric
from torch import nn
from torch.optim import Optimizer
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from inference.objectives.elbo import WeighLatents
from rnp_pyro.config import TrainConfig
from rnp_pyro.shapes import Canvas, Tensor


def clipped_gradient(
    fabric: Fabric, loss: nn.Module, optimizer: Optimizer, images: Canvas, kl_weight: float, limit: float
) -> tuple[Tensor, Tensor]:
    """Compute the gradient of one batch's loss, clip it, and leave it in the parameters.

    Args:
        fabric: A launched Fabric.
        loss: Its module that returns the negative bound of a batch, nats.
        optimizer: Its optimizer.
        images: What the likelihood observes.
        kl_weight: Above 0; 1 is the honest bound.
        limit: Largest norm of the gradient; may be infinite.

    Returns:
        The loss in nats per image, and the gradient's norm before it was clipped.
    """
    optimizer.zero_grad()
    value = add_gradient(fabric, loss, images, kl_weight)
    return value, clip_gradient(fabric, loss, optimizer, limit)


def add_gradient(fabric: Fabric, loss: nn.Module, images: Canvas, kl_weight: float, share: float = 1.0) -> Tensor:
    """Add the gradient of some images' loss to what is in the parameters.

    Args:
        fabric: A launched Fabric.
        loss: Its module that returns the negative bound of images, nats.
        images: What the likelihood observes.
        kl_weight: Above 0; 1 is the honest bound.
        share: How much of a device's images these are.

    Returns:
        The loss in nats per image.
    """
    with WeighLatents(kl_weight):
        value = loss(images) / images.shape[-4]
    fabric.backward(value * share)
    return value


def clip_gradient(fabric: Fabric, loss: nn.Module, optimizer: Optimizer, limit: float) -> Tensor:
    """Clip the gradient that is in the parameters to a norm, and return its norm before."""
    norm = fabric.clip_gradients(loss, optimizer, max_norm=limit, error_if_nonfinite=False)
    assert norm is not None
    return norm


def make_optimizer(config: TrainConfig, weights: nn.Module) -> Optimizer:
    """Build the optimizer that the settings name."""
    kind = {"adam": torch.optim.Adam, "adamw": torch.optim.AdamW}[config.optimizer]
    trained = [one for one in weights.parameters() if one.requires_grad]  # kept parts take no state
    return kind(trained, lr=config.learning_rate, weight_decay=config.weight_decay, fused=True)


def make_average(weights: nn.Module, decay: float) -> AveragedModel:
    """Make a copy of modules that averages their weights and buffers, exponentially, with a decay per update."""
    return AveragedModel(weights, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
