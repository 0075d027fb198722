"""Training on two devices: two processes of this machine, which exchange gradients through gloo."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from inference.objectives.elbo import RecordingELBO
from inference.training.devices import EveryParameter
from inference.training.loop import train
from inference.training.schedule import make_progress
from inference.training.task import Task, Weights
from rnp_pyro.config import TrainConfig
from rnp_pyro.data import to_unit

ROOT = Path(__file__).resolve().parents[3]

SCRIPT = """
import hashlib, json, sys
import torch
from lightning_fabric import Fabric
from guides import GUIDES
from inference.training.loop import train
from inference.training.schedule import make_progress
from inference.training.task import Task, Weights
from models import MODELS
from rnp_pyro.config import GuideConfig, ModelConfig, TrainConfig, TreeConfig
from rnp_pyro.data import to_unit
from torch.optim.optimizer import register_optimizer_step_pre_hook

class Rows(list):
    row = list.append
    save = warn = lambda self, what: None
    should_stop = lambda self: False

devices, accumulate, steps, out = int(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
torch.set_num_threads(1)
torch.set_default_dtype(torch.float64)
torch.manual_seed(0)
tiny = TreeConfig((1, 2), (8,), patch_size=5, hypernet_layers=3, hypernet_size=8, hidden_size=8, feedback=True)
model = MODELS["rnp"](ModelConfig(latent_size=6, node_latents="both", tree=tiny), (1, 12, 12))
guide = GUIDES["ladder"](GuideConfig("ladder"), model.decoder)
images = torch.randint(0, 256, (16, 1, 12, 12)).byte()
task = Task(model, guide, images, images[:0].double(), lambda batch, step: to_unit(batch).round().double(), seed=0)
config = TrainConfig(
    minutes=None, steps=steps, batch_size=8, log_every=1, lr_warmup=0.0, learning_rate=1e-4, accumulate=accumulate
)
gradients = []
def look(optimizer, args, kwargs):
    if not gradients:
        parameters = optimizer.param_groups[0]["params"]
        gradients.extend(torch.zeros_like(p) if p.grad is None else p.grad.clone() for p in parameters)
register_optimizer_step_pre_hook(look)
fabric = Fabric(accelerator="cpu", devices=devices, precision="64-true")
fabric.launch()
rows = Rows()
train(task, config, make_progress(config, len(images)), fabric, rows)
state = Weights(model, guide).state_dict()
whole = hashlib.sha256(b"".join(value.numpy().tobytes() for value in state.values())).hexdigest()
gradient = torch.cat([one.flatten() for one in gradients])
torch.save({"rows": list(rows), "hash": whole, "gradient": gradient, "weights": state}, f"{out}.{fabric.global_rank}")
"""


def trained(tmp_path: Path, devices: int, accumulate: int = 1, steps: int = 4) -> list[dict[str, Any]]:
    """Train the same tiny pair, with feedback below a program of one step, on so many processes; what each found."""
    script, out = tmp_path / "script.py", tmp_path / f"{devices}-{accumulate}"
    script.write_text(SCRIPT, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(devices), str(accumulate), str(steps), str(out)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment, check=False)
    assert found.returncode == 0, found.stderr[-3000:]
    return [torch.load(f"{out}.{rank}") for rank in range(devices)]


def assert_same_training(first: dict[str, Any], second: dict[str, Any]) -> None:
    """Gradient, weights and rows are equal to rounding: every image has the same noise, whoever computes it."""
    scale = float(first["gradient"].abs().max())
    assert float((first["gradient"] - second["gradient"]).abs().max()) < 1e-6 * scale
    for name, value in first["weights"].items():
        torch.testing.assert_close(second["weights"][name], value, rtol=1e-6, atol=1e-9, msg=name)
    for one, other in zip(first["rows"], second["rows"], strict=True):
        for name in ("step", "loss", "reconstruction", "kl", "gradient_norm", "kl_weight", "learning_rate"):
            assert other[name] == pytest.approx(one[name], rel=1e-5), name


@pytest.mark.distributed
@pytest.mark.thorough
def test_two_devices_train_as_one(tmp_path: Path):
    """Rows are means over all images of a batch, not over the first device's share; a parameter may be unused."""
    (one,), two = trained(tmp_path, 1), trained(tmp_path, 2)
    assert [row["step"] for row in two[0]["rows"]] == [1, 2, 3, 4]
    assert two[1]["rows"] == [], "the first process reports"
    assert two[0]["hash"] == two[1]["hash"]
    assert_same_training(one, two[0])


@pytest.mark.distributed
@pytest.mark.slow
def test_fifty_steps_of_two_devices(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Parameters are equal bit for bit across processes, and to rounding with those of one."""
    (one,), two = trained(tmp_path, 1, steps=50), trained(tmp_path, 2, accumulate=2, steps=50)
    assert two[0]["hash"] == two[1]["hash"]
    assert torch.equal(two[0]["gradient"], two[1]["gradient"])
    assert_same_training(one, two[0])
    difference = float((one["gradient"] - two[0]["gradient"]).abs().max() / one["gradient"].abs().max())
    with capsys.disabled():
        print(f"\n2 processes: bit-equal after 50 steps; their gradient differs from one's by {difference:.1e} of it")


@pytest.mark.thorough
@pytest.mark.parametrize("name", ["rnp", "vae"])
def test_a_batch_in_parts_trains_as_a_whole(name: str, train_tiny: Callable[..., dict[str, Any]]):
    whole, parts = train_tiny(name, accumulate=1), train_tiny(name, accumulate=4)
    for key, value in whole.items():
        torch.testing.assert_close(parts[key], value, rtol=1e-6, atol=1e-9, msg=key)


@pytest.fixture
def train_tiny(make_pair: Callable[..., tuple], images: torch.Tensor) -> Callable[..., dict[str, Any]]:
    """Train a tiny pair in this process, and return its weights."""

    def train_one(name: str, **settings: Any) -> dict[str, Any]:
        torch.manual_seed(0)
        model, guide = make_pair(name, "ladder" if name == "rnp" else "flow")
        pixels = (255 * images).byte().repeat(4, 1, 1, 1)
        task = Task(model, guide, pixels, images[:0], lambda batch, step: to_unit(batch).double(), seed=0)
        config = TrainConfig(minutes=None, steps=3, batch_size=8, lr_warmup=0.0, **settings)
        fabric = Fabric(accelerator="cpu", devices=1, precision="64-true")
        fabric.launch()
        train(task, config, make_progress(config, len(pixels)), fabric, Silent())
        return Weights(model, guide).state_dict()

    return train_one


class Silent:
    """An observer that keeps nothing."""

    row = save = warn = lambda self, what: None
    should_stop = lambda self: False  # noqa: E731


def test_every_parameter_has_a_gradient(make_pair: Callable[..., tuple], images: torch.Tensor):
    """Zero where it is unused, and otherwise the loss's own."""
    pair = make_pair(tree={"num_steps": (1, 2), "feedback": True})
    loss = RecordingELBO(max_plate_nesting=1)(*pair)
    found = []
    for module in (loss, EveryParameter(loss)):
        torch.manual_seed(0)
        nn.ModuleList(pair).zero_grad()
        module(images).backward()
        found.append({name: parameter.grad for name, parameter in nn.ModuleList(pair).named_parameters()})
    plain, every = found
    unused = [name for name, gradient in plain.items() if gradient is None]
    assert unused == ["0.tree.feedback.1.weight", "0.tree.feedback.1.bias"]
    for name, gradient in every.items():
        expected = torch.zeros_like(gradient) if name in unused else plain[name]
        torch.testing.assert_close(gradient, expected, msg=name)
