"""The last part of a budget: where it begins, what is in force there, and that a run passes into it."""

from dataclasses import replace
from math import inf, nan

import pytest
import torch
from lightning_fabric import Fabric

from inference.objectives.iwae import ImportanceWeightedELBO
from inference.training.finish import check_finish, part_at, settings_of_parts
from inference.training.loop import train
from inference.training.schedule import make_progress
from inference.training.task import Task, Weights
from rnp_pyro.config import FinishConfig, TrainConfig
from rnp_pyro.data import to_unit
from rnp_pyro.errors import UserError

LAST = FinishConfig(share=0.25, objective="iwae", num_particles=3, learning_rate=2e-3)
CONFIG = TrainConfig(minutes=None, steps=8, batch_size=4, log_every=1, checkpoint_minutes=1e9, finish=LAST)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize("share", [0.0, 0.2, 0.99])
def test_parts_cover_the_budget_each_from_0_to_1(share: float):
    config = replace(CONFIG, finish=replace(LAST, share=share))
    found = [part_at(config, step / 1000) for step in range(1000)]
    assert found == sorted(found)
    assert [part for part, _ in found].count(1) == pytest.approx(1000 * share, abs=1)
    assert all(0 <= within < 1 for _, within in found)


def test_without_a_last_part_progress_is_what_it_was():
    config = TrainConfig()
    assert settings_of_parts(config) == (config,)
    assert all(part_at(config, step / 7) == (0, step / 7) for step in range(7))


def test_the_last_part_has_its_own_objective_and_no_warm_up():
    first, last = settings_of_parts(replace(CONFIG, free_bits=2.0))
    assert first.free_bits == 2
    assert (last.objective, last.num_particles, last.learning_rate) == ("iwae", 3, 2e-3)
    assert (last.free_bits, last.lr_warmup, last.kl_warmup) == (0, 0, 0)


@pytest.mark.thorough_after(1)
@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"share": -0.1}, "--train.finish.share must be at least 0 and below 1, got -0.1"),
        ({"share": 1.0}, "--train.finish.share must be at least 0 and below 1, got 1"),
        ({"share": nan}, "--train.finish.share must be at least 0 and below 1, got nan"),
        ({"learning_rate": 0.0}, "--train.finish.learning_rate must be above 0 and finite, got 0"),
        ({"learning_rate": inf}, "--train.finish.learning_rate must be above 0 and finite, got inf"),
    ],
)
def test_what_is_no_part_is_refused(changes: dict, message: str):
    with pytest.raises(UserError) as caught:
        check_finish(replace(CONFIG, finish=replace(LAST, **changes)))
    assert str(caught.value) == message


class Keeper:
    """An observer that keeps rows and states."""

    def __init__(self) -> None:
        self.rows: list[dict] = []
        self.states: list[dict] = []

    def row(self, row: dict) -> None:
        self.rows.append(row)

    def save(self, state: dict) -> None:
        self.states.append({**state, "weights": {key: one.clone() for key, one in state["weights"].items()}})

    def warn(self, message: str) -> None:
        raise AssertionError(message)

    def should_stop(self) -> bool:
        return False


def run(make_pair, config: TrainConfig, recorded: list[float] | None = None, resumed: dict | None = None) -> Keeper:
    """Train a tiny pair for the recorded steps or the budget."""
    torch.set_default_dtype(torch.float32)
    torch.manual_seed(0)
    pixels = torch.randint(0, 256, (20, 1, 12, 12), dtype=torch.uint8)
    model, guide = make_pair("rnp", "resnet")
    task = Task(model, guide, pixels, to_unit(pixels[:0]), lambda images, step: to_unit(images).round(), seed=3)
    fabric = Fabric(accelerator="cpu", devices=1)
    fabric.launch()
    kept = Keeper()
    train(task, config, make_progress(config, 20, recorded), fabric, kept, resumed)
    kept.states[-1]["final"] = Weights(model, guide).state_dict()
    return kept


@pytest.mark.thorough
def test_a_run_passes_into_its_last_part(make_pair, monkeypatch):
    asked = []
    loss = ImportanceWeightedELBO.differentiable_loss

    def counted(self, *arguments):
        asked.append(self.num_particles)
        return loss(self, *arguments)

    monkeypatch.setattr(ImportanceWeightedELBO, "differentiable_loss", counted)
    rows = run(make_pair, CONFIG).rows
    assert asked == [3, 3]  # a quarter of eight steps
    rates = [row["learning_rate"] for row in rows]
    assert rates[6] == 2e-3  # no second rise
    assert rates[5] < CONFIG.learning_rate
    assert rates[7] < rates[6]
    assert [row["kl_weight"] for row in rows][6:] == [1, 1]


@pytest.mark.thorough
@pytest.mark.parametrize("stop", [5, 7])  # before the last part, and within it
def test_a_resumed_run_is_the_same_bit_for_bit(make_pair, stop: int):
    whole = run(make_pair, CONFIG)
    schedule = [step / 8 for step in range(stop)]
    part = run(make_pair, CONFIG, recorded=schedule)
    state = part.states[-1]
    assert state["step"] == stop
    again = run(make_pair, CONFIG, resumed=state)
    for name, value in whole.states[-1]["final"].items():
        assert torch.equal(value, again.states[-1]["final"][name]), name
