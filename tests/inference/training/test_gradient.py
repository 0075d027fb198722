"""One step's gradient: its loss, its norm, and where it is clipped."""

from math import inf

import pytest
import torch
from lightning_fabric import Fabric

from inference.contexts import seeded
from inference.objectives.elbo import RecordingELBO
from inference.training.gradient import clipped_gradient, make_optimizer
from rnp_pyro.config import TrainConfig


@pytest.fixture
def step(make_pair, images):
    """Compute a step's loss and norm, and the norm of what it leaves in the parameters."""
    torch.set_default_dtype(torch.float32)
    model, guide = make_pair()
    elbo = RecordingELBO(max_plate_nesting=1)(model, guide)
    fabric = Fabric(accelerator="cpu", devices=1)
    loss, optimizer = fabric.setup(elbo, make_optimizer(TrainConfig(), elbo))

    def take(limit: float, kl_weight: float = 1.0) -> tuple[float, float, float]:
        with seeded(0, fabric.device):
            value, norm = clipped_gradient(fabric, loss, optimizer, images.float(), kl_weight, limit)
        left = torch.stack([p.grad.norm() for p in elbo.parameters() if p.grad is not None]).norm()
        return value.item(), norm.item(), left.item()

    return take


@pytest.mark.thorough
def test_a_limit_clips_what_is_left_and_says_what_was(step):
    loss, norm, left = step(inf)
    assert left == pytest.approx(norm, rel=1e-4)
    assert step(2 * norm) == pytest.approx((loss, norm, norm), rel=1e-4)
    # Gradients of the step before are gone: what is left is half the norm, not more.
    assert step(norm / 2) == pytest.approx((loss, norm, norm / 2), rel=1e-4)


@pytest.mark.thorough
def test_the_loss_is_per_image_and_the_kl_is_weighed(step):
    heavy, light, half = (step(inf, weight)[0] for weight in (1.0, 1e-6, 0.5))
    assert half == pytest.approx((heavy + light) / 2, rel=1e-4)
    assert abs(heavy - light) > 1e-3


@pytest.mark.parametrize(("name", "kind"), [("adam", torch.optim.Adam), ("adamw", torch.optim.AdamW)])
def test_the_optimizer_is_the_settings(name, kind):
    layer = torch.nn.Linear(2, 2)
    optimizer = make_optimizer(TrainConfig(optimizer=name, learning_rate=0.125, weight_decay=0.25), layer)
    assert type(optimizer) is kind
    (group,) = optimizer.param_groups
    assert (group["lr"], group["weight_decay"], group["fused"]) == (0.125, 0.25, True)
