"""Training on two devices: two processes of this machine, which exchange gradients through gloo."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from inference.objectives.elbo import RecordingELBO
from inference.training.devices import EveryParameter

ROOT = Path(__file__).resolve().parents[3]

SCRIPT = """
import json, sys
from dataclasses import replace
import torch
from lightning_fabric import Fabric
from guides import GUIDES
from inference.training.loop import train
from inference.training.schedule import make_progress
from inference.training.task import Task, Weights
from models import MODELS
from rnp_pyro.config import GuideConfig, ModelConfig, TrainConfig, TreeConfig
from rnp_pyro.data import to_unit

class Rows(list):
    row = list.append
    save = warn = lambda self, what: None
    should_stop = lambda self: False

torch.set_num_threads(1)
torch.manual_seed(0)
tiny = TreeConfig((1, 2), (8,), patch_size=5, hypernet_layers=3, hypernet_size=8, hidden_size=8, feedback=True)
model = MODELS["rnp"](ModelConfig(latent_size=6, tree=tiny), (1, 12, 12))
guide = GUIDES["resnet"](GuideConfig(), model.decoder)
guide.loc_and_scale.bias.data[6:] = -40  # draws next to their means: devices differ in their noise
images = torch.randint(0, 256, (16, 1, 12, 12)).byte() * (torch.arange(16) < 6).byte()[:, None, None, None]
task = Task(model, guide, images, images[:0].float(), lambda batch, step: to_unit(batch).round(), seed=0)
config = TrainConfig(
    minutes=None, steps=4, batch_size=8, objective="analytic_kl", log_every=1, lr_warmup=0.0, learning_rate=1e-4
)
devices = int(sys.argv[1])
fabric = Fabric(accelerator="cpu", devices=devices, **({"strategy": "ddp"} if devices > 1 else {}))
fabric.launch()
rows = Rows()
train(task, config, make_progress(config, len(images)), fabric, rows)
if fabric.is_global_zero:
    total = sum(float(value.abs().sum()) for value in Weights(model, guide).state_dict().values())
    open(sys.argv[2], "w").write(json.dumps({"rows": rows, "weights": total}))
"""


def trained(tmp_path: Path, devices: int) -> dict[str, Any]:
    """Train the same tiny pair with feedback below a program of one step, on so many processes."""
    script, out = tmp_path / "script.py", tmp_path / f"{devices}.json"
    script.write_text(SCRIPT, encoding="utf-8")
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    command = [sys.executable, str(script), str(devices), str(out)]
    found = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment, check=False)
    assert found.returncode == 0, found.stderr[-3000:]
    return json.loads(out.read_text(encoding="utf-8"))


@pytest.mark.thorough
def test_two_devices_train_as_one(tmp_path: Path):
    """Rows are means over all images of a batch, not over the first device's share; a parameter may be unused."""
    one, two = (trained(tmp_path, devices) for devices in (1, 2))
    assert [row["step"] for row in two["rows"]] == [1, 2, 3, 4]
    for first, second in zip(one["rows"], two["rows"], strict=True):
        for name in ("loss", "reconstruction", "gradient_norm", "kl_weight", "learning_rate"):
            assert second[name] == pytest.approx(first[name], rel=2e-3), name
        # One draw's log q: half a chi square with six degrees of freedom, over eight images, twice.
        assert second["kl"] == pytest.approx(first["kl"], abs=4 * (6 / 2 / 8 * 2) ** 0.5)
    assert two["weights"] == pytest.approx(one["weights"], rel=1e-5)


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
