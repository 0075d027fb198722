"""Budgets, learning rates and the KL's weight, as functions of a run's progress."""

from dataclasses import replace
from math import ceil, inf, nan

import pytest

from inference.training.schedule import DIGITS, check_schedule, make_progress, rates
from rnp_pyro.config import TrainConfig
from rnp_pyro.errors import UserError

PLAIN = TrainConfig(minutes=None)


def progress_of(num_images=100, recorded=None, **budget):
    return make_progress(replace(PLAIN, **budget), num_images, recorded)


# Budgets


def test_steps():
    progress = progress_of(steps=4)
    assert [progress(step, 1e9) for step in range(5)] == [0, 0.25, 0.5, 0.75, 1]


@pytest.mark.parametrize("epochs", [1, 2.5, 0.01])
def test_epochs(epochs):
    progress = progress_of(num_images=100, epochs=epochs, batch_size=8)
    steps = ceil(epochs * 100 / 8)  # the last batch is full too
    assert progress(0, 0) == 0
    assert progress(steps - 1, 1e9) < 1
    assert progress(steps, 0) == 1


def test_minutes():
    progress = progress_of(minutes=2)
    assert progress(0, 0) == 0
    assert progress(10**6, 60) == 0.5
    assert progress(0, 119.99) < 1
    assert progress(0, 120) == 1


def test_live_minutes_are_rounded_as_recorded():
    now = progress_of(minutes=1)(0, 20.0)
    assert now == round(now, DIGITS) == 0.333333


def test_replay():
    """A recorded schedule replaces any budget, and ends where the recording does."""
    recorded = [0.0, 0.2, 0.9]
    for budget in ({}, {"minutes": 5.0}, {"steps": 2}):
        progress = progress_of(recorded=recorded, **budget)
        assert [progress(step, 1e9) for step in range(3)] == recorded
        assert progress(3, 0) == 1


def test_replay_of_nothing_ends_at_once():
    assert progress_of(recorded=[])(0, 0) == 1


@pytest.mark.parametrize(
    ("budget", "came"),
    [
        ({}, "got none"),
        ({"minutes": 1.0, "steps": 3}, "got minutes 1, steps 3"),
        ({"steps": 3, "epochs": 0.5}, "got steps 3, epochs 0.5"),
        ({"minutes": 1.0, "steps": 3, "epochs": 2.0}, "got minutes 1, steps 3, epochs 2"),
    ],
)
def test_exactly_one_budget(budget, came):
    with pytest.raises(
        UserError, match=r"expected one budget of --train.minutes, --train.steps and --train.epochs"
    ) as caught:
        progress_of(**budget)
    assert str(caught.value).endswith(came)


@pytest.mark.parametrize("name", ["minutes", "steps", "epochs"])
@pytest.mark.parametrize("value", [0, -1])
def test_a_budget_is_above_zero(name, value):
    with pytest.raises(UserError, match=f"--train.{name} must be above 0 and finite, got {value}"):
        progress_of(**{name: value})


# Rates

CONFIG = TrainConfig(learning_rate=0.5, lr_warmup=0.2, lr_final=0.1, kl_warmup=0.4, kl_floor=0.05)


def learning_rate(progress, step=1000, **changes):
    return rates(replace(CONFIG, **changes), progress, step).learning_rate


def kl_weight(progress, **changes):
    return rates(replace(CONFIG, **changes), progress, 1000).kl_weight


def test_learning_rate_rises_to_its_largest_at_the_end_of_the_warm_up():
    assert learning_rate(0.1) == pytest.approx(0.25)
    assert learning_rate(0.2) == pytest.approx(0.5)
    assert learning_rate(0.2) == max(learning_rate(step / 100) for step in range(100))


def test_the_first_step_moves():
    assert learning_rate(0) == pytest.approx(0.5e-3)
    assert learning_rate(0, step=0) == pytest.approx(0.5e-3)


def test_a_short_budget_rises_over_as_many_steps_as_a_long_one():
    """Of 200 steps the share of the warm-up is 20; the rise takes 100."""
    rise = [learning_rate(step / 200, step, lr_warmup=0.1, lr_decay="constant") for step in range(200)]
    assert rise[50] == pytest.approx(0.25)
    assert rise[99] < rise[100] == 0.5


def test_a_long_budget_rises_over_its_share():
    assert learning_rate(0.1, step=150) == pytest.approx(0.25)


def test_no_warm_up_is_none_from_the_first_step_on():
    assert learning_rate(0, step=0, lr_warmup=0.0) == 0.5


def test_cosine():
    assert learning_rate(0.6) == pytest.approx(0.5 * (0.1 + 0.9 / 2))  # half of the decay
    assert learning_rate(1) == pytest.approx(0.5 * 0.1)
    after_warmup = [learning_rate(0.2 + step / 125) for step in range(100)]
    assert after_warmup == sorted(after_warmup, reverse=True)


def test_constant():
    assert learning_rate(0.1, lr_decay="constant") == pytest.approx(0.25)
    assert learning_rate(0.2, lr_decay="constant") == learning_rate(1, lr_decay="constant") == 0.5


@pytest.mark.parametrize("decay", ["cosine", "constant"])
def test_no_warm_up(decay):
    assert learning_rate(0, lr_warmup=0.0, lr_decay=decay) == 0.5


def test_all_warm_up():
    """A warm-up over the whole budget never decays, and divides nothing by zero."""
    assert learning_rate(0.5, lr_warmup=1.0) == pytest.approx(0.25)
    assert learning_rate(1, lr_warmup=1.0) == pytest.approx(0.5)


def test_kl_weight():
    assert kl_weight(0) == 0.05
    assert kl_weight(0.2) == pytest.approx(0.05 + 0.95 / 2)
    assert kl_weight(0.4) == pytest.approx(1)
    assert kl_weight(0.7) == kl_weight(1) == 1


@pytest.mark.parametrize("warmup", [0.0, 1e-9, 0.15, 1.0])
@pytest.mark.parametrize("floor", [1e-6, 0.05, 1.0])
def test_kl_weight_is_above_zero_and_never_above_one(warmup, floor):
    """``poutine.scale(scale=0)`` raises."""
    weights = [kl_weight(step / 50, kl_warmup=warmup, kl_floor=floor) for step in range(51)]
    assert min(weights) >= floor
    assert max(weights) <= 1
    assert weights == sorted(weights)


def test_no_kl_warm_up():
    assert kl_weight(0, kl_warmup=0.0) == 1


# Settings that no run can follow


def test_the_defaults_pass():
    check_schedule(TrainConfig())


@pytest.mark.parametrize(
    "changes",
    [
        {"lr_warmup": 0.0, "lr_final": 0.0, "kl_warmup": 0.0, "ema": 0.0, "clip": 0.0, "weight_decay": 0.0},
        {"lr_warmup": 1.0, "lr_final": 1.0, "kl_warmup": 1.0, "kl_floor": 1.0, "ema": 0.9999},
        {"batch_size": 1, "log_every": 1, "validation_images": 1},
    ],
)
def test_limits_pass(changes):
    check_schedule(replace(TrainConfig(), **changes))


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [(name, value, "within [0, 1]") for name in ("lr_warmup", "lr_final", "kl_warmup") for value in (-0.1, 1.1)]
    + [("ema", value, "at least 0 and below 1") for value in (-0.1, 1.0)]
    + [("kl_floor", value, "above 0 and at most 1") for value in (0.0, -1.0, 1.5)]
    + [
        (name, value, "above 0 and finite")
        for name in ("learning_rate", "checkpoint_minutes")
        for value in (0.0, -1.0, nan, inf)
    ]
    + [(name, value, "at least 1") for name in ("batch_size", "log_every", "validation_images") for value in (0, -3)]
    + [(name, value, "at least 0") for name in ("clip", "weight_decay") for value in (-0.5, -inf)]
    + [("lr_warmup_steps", -1, "at least 0")],
)
def test_refused(name, value, expected):
    with pytest.raises(UserError) as caught:
        check_schedule(replace(TrainConfig(), **{name: value}))
    assert str(caught.value) == f"--train.{name} must be {expected}, got {value:g}"
