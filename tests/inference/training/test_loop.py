"""Training: resumable step for step, replayable, tidy, and loud when it goes wrong."""

import random
from collections.abc import Callable, Iterator
from dataclasses import replace
from io import BytesIO
from math import inf, nan
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyro
import pytest
import torch
from lightning_fabric import Fabric
from pairs import PAIRS
from torch.optim.optimizer import register_optimizer_step_pre_hook

from inference.training import loop as training
from inference.training.loop import train
from inference.training.runaway import NotFiniteError
from inference.training.schedule import make_progress
from inference.training.task import COLUMNS, Outcome, Task, Weights
from inference.training.window import Window
from models import MODELS
from rnp_pyro.config import TrainConfig
from rnp_pyro.data import batch_indices, binarise, to_unit
from rnp_pyro.errors import UserError
from rnp_pyro.streams import mix_seed

SEED = 3
CONFIG = TrainConfig(minutes=None, batch_size=8, log_every=2, checkpoint_minutes=1e9, kl_warmup=0.5)
TIMES = ("seconds", "images_per_second")


@pytest.fixture(autouse=True)
def _float32(_regime: None) -> None:
    """Bytes become float32; the project's tests otherwise run in float64."""
    torch.set_default_dtype(torch.float32)


class Recorder:
    """An observer that keeps everything, and asks to stop after ``stop_after`` steps."""

    def __init__(self, stop_after: float = inf) -> None:
        self.rows: list[dict[str, float]] = []
        self.states: list[dict[str, Any]] = []
        self.warnings: list[str] = []
        self.stop_after, self.steps = stop_after, 0

    def row(self, row: dict[str, float]) -> None:
        self.rows.append(row)

    def save(self, state: dict[str, Any]) -> None:
        file = BytesIO()
        torch.save(state, file)
        file.seek(0)
        self.states.append(torch.load(file, weights_only=True))

    def warn(self, message: str) -> None:
        self.warnings.append(message)

    def should_stop(self) -> bool:
        self.steps += 1
        return self.steps >= self.stop_after


class Run:
    """A tiny run, and what came of it."""

    outcome: Outcome

    def __init__(self, task: Task) -> None:
        self.task = task
        self.observer = Recorder()

    def train(
        self,
        resumed: dict[str, Any] | None = None,
        recorded: list[float] | None = None,
        stop_after: float = inf,
        precision: Any = "32-true",
        **settings: Any,
    ) -> "Run":
        config = replace(CONFIG, **settings)
        progress = make_progress(config, len(self.task.images), recorded)
        fabric = Fabric(accelerator="cpu", devices=1, precision=precision)
        fabric.launch()
        self.observer = Recorder(stop_after)
        self.outcome = train(self.task, config, progress, fabric, self.observer, resumed)
        return self

    @property
    def weights(self) -> dict[str, torch.Tensor]:
        state = Weights(self.task.model, self.task.guide).state_dict()
        return {name: value.clone() for name, value in state.items()}

    @property
    def state(self) -> dict[str, Any]:
        return self.observer.states[-1]

    @property
    def trained_rows(self) -> list[dict[str, float]]:
        """Rows of training, without what depends on the machine, and without validation."""
        rows = [row for row in self.observer.rows if "loss" in row]
        return [{name: row[name] for name in row if name not in TIMES and "validation" not in name} for row in rows]


MakeRun = Callable[..., Run]


@pytest.fixture
def make_run(make_pair: Any) -> MakeRun:
    """Build a tiny pair, always with the same weights, and images of noise."""
    pixels = torch.randint(0, 256, (20, 1, 12, 12), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))

    def make(name: str = "rnp", guide: str = "resnet", seed: int = SEED, **changes: Any) -> Run:
        torch.manual_seed(0)
        model, guide_module = make_pair(name, guide)

        def prepare(images: torch.Tensor, step: int) -> torch.Tensor:
            return binarise(to_unit(images), seed, step)

        task = Task(model, guide_module, pixels, to_unit(pixels[:4]).round(), prepare, seed)
        return Run(replace(task, **changes))

    return make


def assert_same(first: Any, second: Any) -> None:
    """Equal bit for bit, however nested."""
    if isinstance(first, dict):
        assert first.keys() == second.keys()
        for key in first:
            assert_same(first[key], second[key])
    elif isinstance(first, list | tuple):
        assert len(first) == len(second)
        for one, other in zip(first, second, strict=True):
            assert_same(one, other)
    elif isinstance(first, torch.Tensor):
        assert first.dtype == second.dtype
        assert torch.equal(first, second)
    else:
        assert type(first) is type(second)
        assert first == second


def differ(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return any(not torch.equal(first[name], second[name]) for name in first)


# Every pair trains


@pytest.mark.thorough
@pytest.mark.parametrize(("name", "guide"), PAIRS)
def test_every_model_trains_with_every_guide(make_run, name, guide):
    run = make_run(name, guide)
    before = run.weights
    run.train(steps=3, lr_warmup=0.0)
    after = run.weights
    assert run.outcome.finished
    assert run.outcome.steps == 3
    still = [key for key in before if torch.equal(before[key], after[key])]
    assert not still, "these weights had no gradient"
    assert all(value.isfinite().all() for value in after.values())


@pytest.mark.thorough
def test_the_bound_improves(make_run):
    run = make_run().train(steps=40, learning_rate=1e-2, log_every=10)
    rows = run.trained_rows
    assert rows[-1]["neg_elbo"] < rows[0]["neg_elbo"]


@pytest.mark.thorough
def test_two_models_in_one_process_both_train(make_run):
    """With the bare parameter store of Pyro the second one silently would not."""
    first, second = make_run(), make_run()
    assert_same(first.weights, second.weights)
    before = second.weights
    first.train(steps=3)
    assert_same(second.weights, before)
    second.train(steps=3)
    assert differ(second.weights, before)
    assert_same(first.weights, second.weights)


@pytest.mark.thorough
def test_global_state_is_left_alone(make_run):
    run = make_run()
    pyro.get_param_store().clear()
    pyro.param("of_the_user", torch.ones(2))
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    with pyro.validation_enabled(True):
        run.train(steps=3, ema=0.5)
        assert pyro.settings.get("validate_distributions_pyro")
    assert list(pyro.get_param_store().keys()) == ["of_the_user"]
    assert torch.equal(torch.get_rng_state(), before[0])
    assert np.array_equal(np.random.get_state()[1], before[1])  # noqa: NPY002


@pytest.mark.thorough
def test_pyro_validates_the_first_step_alone(make_run):
    run, validated = make_run(), []

    def prepare(images: torch.Tensor, step: int) -> torch.Tensor:
        validated.append(pyro.settings.get("validate_distributions_pyro"))
        return to_unit(images).round()

    run.task = replace(run.task, prepare=prepare)
    run.train(steps=3)
    assert validated == [True, False, False]
    first = run.state
    run.train(steps=5, resumed=first)
    assert validated[3:] == [True, False], "a resumed run has a first step too"


# Batches, noise, rows


@pytest.mark.thorough
def test_batches_are_a_function_of_seed_and_step(make_run):
    def seen(seed: int, **settings: Any) -> list[tuple[int, torch.Tensor]]:
        batches = []

        def prepare(images: torch.Tensor, step: int) -> torch.Tensor:
            batches.append((step, images.clone()))
            return to_unit(images).round()

        make_run(seed=seed, prepare=prepare).train(**settings)
        return batches

    batches = seen(1, steps=4)
    images = make_run().task.images
    for step, (given, batch) in enumerate(batches):
        assert given == step
        assert torch.equal(batch, images[batch_indices(1, step, 8, len(images))])
    assert_same(seen(1, steps=6, learning_rate=1e-5, ema=0.5)[:4], batches)
    assert not torch.equal(seen(2, steps=1)[0][1], batches[0][1])


@pytest.mark.thorough
def test_runs_are_functions_of_the_seed(make_run):
    runs = [make_run(seed=seed).train(steps=3) for seed in (1, 1, 2)]
    assert_same(runs[0].weights, runs[1].weights)
    assert differ(runs[0].weights, runs[2].weights)
    torch.manual_seed(99)
    assert_same(make_run(seed=1).train(steps=3).weights, runs[0].weights)


def test_seeds_of_steps_differ():
    mixed = [mix_seed(seed, step, rank) for seed in range(20) for step in range(50) for rank in range(4)]
    assert len(set(mixed)) == len(mixed)
    assert all(0 <= seed < 2**63 for seed in mixed)
    torch.manual_seed(mix_seed(2**62, 10**9, 1023))


@pytest.mark.thorough
def test_rows(make_run):
    rows = make_run("vae").train(steps=4, log_every=1, kl_warmup=0.5).observer.rows
    trained = [row for row in rows if "loss" in row]
    assert [row["step"] for row in trained] == [1, 2, 3, 4]
    assert all(set(row) <= set(COLUMNS) for row in rows)
    assert all(set(COLUMNS) - set(row) == {"validation_neg_elbo", "validation_kl"} for row in trained)
    assert [row["kl_weight"] for row in trained] == pytest.approx([0.05, 0.525, 1, 1])
    for row in trained:
        assert row["neg_elbo"] == pytest.approx(row["reconstruction"] + row["kl"], rel=1e-4)
        # The baseline has no part term: the loss is the bound with the KL's weight, from the same draw.
        assert row["loss"] == pytest.approx(row["reconstruction"] + row["kl_weight"] * row["kl"], rel=1e-4)
    assert set(rows[-1]) == {"step", "seconds", "validation_neg_elbo", "validation_kl"}


@pytest.mark.thorough
def test_rows_are_means_of_their_window(make_run):
    single = make_run().train(steps=4, log_every=1).trained_rows
    double = make_run().train(steps=4, log_every=2).trained_rows
    for pair, row in zip([single[:2], single[2:]], double, strict=True):
        for name in ("neg_elbo", "kl", "loss", "gradient_norm", "learning_rate", "progress"):
            assert row[name] == pytest.approx((pair[0][name] + pair[1][name]) / 2, rel=1e-4)


@pytest.mark.thorough
def test_the_part_term_is_in_the_loss_but_in_no_bound(make_run):
    (row,) = make_run("rnp").train(steps=1, log_every=1, kl_warmup=0.0).trained_rows
    assert row["loss"] > row["neg_elbo"] + 1
    assert row["neg_elbo"] == pytest.approx(row["reconstruction"] + row["kl"], rel=1e-4)


def test_window():
    window = Window()
    assert window.means() == {}
    window.add(one=1.0, two=3.0)
    window.add(one=2.0)
    assert len(window) == 2
    assert window.means() == {"one": 1.5, "two": 1.5}


@pytest.mark.thorough
def test_without_validation_images(make_run):
    run = make_run()
    run = make_run(validation=run.task.validation[:0]).train(steps=2)
    assert run.outcome.finished
    assert not any("validation_kl" in row for row in run.observer.rows)
    assert run.state["step"] == 2


# Resuming


@pytest.mark.thorough
@pytest.mark.parametrize("ema", [0.0, 0.8])
@pytest.mark.parametrize("name", list(MODELS))
def test_a_resumed_run_equals_an_uninterrupted_one(make_run, name, ema):
    """Bit for bit: weights, moments, averages, schedule, and metrics except times."""
    whole = make_run(name).train(steps=8, ema=ema)
    stopped = make_run(name).train(steps=8, ema=ema, stop_after=4)
    assert stopped.outcome.steps == 4
    assert not stopped.outcome.finished
    resumed = make_run(name).train(stopped.state, steps=8, ema=ema)
    assert resumed.outcome.finished
    assert_same(resumed.weights, whole.weights)
    assert_same(resumed.outcome.schedule, whole.outcome.schedule)
    for state in (resumed.state, whole.state):
        del state["seconds"]
    assert_same(resumed.state, whole.state)
    assert stopped.trained_rows + resumed.trained_rows == whole.trained_rows
    assert resumed.observer.rows[-1]["validation_neg_elbo"] == whole.observer.rows[-1]["validation_neg_elbo"]


@pytest.mark.thorough
@pytest.mark.parametrize("stops", [(1,), (3, 2, 1)])
def test_stops_may_fall_between_rows(make_run, stops):
    whole = make_run().train(steps=8, ema=0.5)
    state = None
    for stop in stops:
        state = make_run().train(state, steps=8, ema=0.5, stop_after=stop).state
    assert state["step"] == sum(stops)
    assert_same(make_run().train(state, steps=8, ema=0.5).weights, whole.weights)


@pytest.mark.thorough
def test_epochs_resume_too(make_run):
    whole = make_run().train(epochs=1.5)
    state = make_run().train(epochs=1.5, stop_after=2).state
    resumed = make_run().train(state, epochs=1.5)
    assert resumed.outcome.steps == 4
    assert_same(resumed.weights, whole.weights)


@pytest.mark.thorough
def test_a_stop_at_the_last_step_is_an_end(make_run):
    run = make_run().train(steps=3, stop_after=3)
    assert run.outcome.steps == 3
    assert run.outcome.finished


@pytest.mark.thorough
def test_a_run_at_its_end_takes_no_step(make_run):
    whole = make_run().train(steps=3, ema=0.5)
    again = make_run().train(whole.state, steps=3, ema=0.5)
    assert again.outcome.finished
    assert again.outcome.steps == 3
    assert_same(again.weights, whole.weights)


@pytest.mark.thorough
def test_a_larger_budget_goes_on(make_run):
    state = make_run().train(steps=3).state
    run = make_run().train(state, steps=5)
    assert run.outcome.steps == 5
    assert len(run.outcome.schedule) == 5


@pytest.mark.thorough
@pytest.mark.parametrize(("before", "after"), [(0.0, 0.5), (0.5, 0.0)])
def test_averaging_may_begin_or_end_on_resuming(make_run, before, after):
    state = make_run().train(steps=4, stop_after=2, ema=before).state
    resumed = make_run().train(state, steps=4, ema=after)
    assert_same(resumed.state["weights"], make_run().train(steps=4).state["weights"])
    if after == 0:
        assert_same(resumed.weights, resumed.state["weights"])


@pytest.mark.thorough
def test_settings_of_the_optimiser_are_the_resumed_run_s(make_run):
    state = make_run().train(steps=4, stop_after=2).state
    resumed = make_run().train(state, steps=4, weight_decay=0.1)
    assert [group["weight_decay"] for group in resumed.state["optimizer"]["param_groups"]] == [0.1]
    assert differ(resumed.weights, make_run().train(state, steps=4).weights)


# The clock


@pytest.fixture
def clock(monkeypatch) -> None:
    """Let every step take 0.1 to 0.5 seconds, at random."""
    generator, now = random.Random(0), [0.0]

    def perf_counter() -> float:
        now[0] += generator.uniform(0.1, 0.5)
        return now[0]

    monkeypatch.setattr(training, "time", SimpleNamespace(perf_counter=perf_counter))


@pytest.mark.thorough
def test_a_minutes_run_is_replayed_from_its_schedule(make_run, clock):
    live = make_run().train(minutes=2 / 60, ema=0.5)
    assert 4 <= live.outcome.steps <= 20
    assert len(live.outcome.schedule) == live.outcome.steps
    assert live.outcome.schedule == sorted(live.outcome.schedule)
    replay = make_run().train(recorded=live.outcome.schedule, ema=0.5)
    assert replay.outcome.finished
    assert replay.outcome.schedule == live.outcome.schedule
    assert_same(replay.weights, live.weights)
    assert replay.trained_rows == live.trained_rows


@pytest.mark.thorough
def test_a_resumed_minutes_run_is_replayed_too(make_run, clock):
    state = make_run().train(minutes=2 / 60, stop_after=3).state
    live = make_run().train(state, minutes=2 / 60)
    assert_same(make_run().train(recorded=live.outcome.schedule).weights, live.weights)


@pytest.mark.thorough
def test_seconds_and_speed(make_run, clock):
    outcome = make_run().train(minutes=2 / 60).outcome
    assert 2 <= outcome.seconds < 2.5
    assert outcome.images_per_second == pytest.approx(outcome.steps * 8 / outcome.seconds)


@pytest.mark.thorough
def test_checkpoints_come_every_so_many_minutes(make_run, clock):
    run = make_run().train(steps=10, checkpoint_minutes=0.6 / 60)
    assert run.observer.states.pop(0)["step"] == 0, "so that a run can be gone on with that was ended before"
    seconds = [state["seconds"] for state in run.observer.states]
    assert len(seconds) > 2
    gaps = np.diff([0, *seconds[:-1]])
    assert gaps.min() >= 0.6
    assert gaps.max() < 0.6 + 0.5
    assert [state["step"] for state in run.observer.states][-1] == 10
    # Each comes with a validation.
    assert sum("validation_kl" in row for row in run.observer.rows) == len(seconds)
    assert_same(run.weights, make_run().train(steps=10).weights)


# Something goes wrong


@pytest.mark.thorough
def test_a_loss_that_is_not_finite_stops_the_run(make_run):
    def prepare(images: torch.Tensor, step: int) -> torch.Tensor:
        spoilt.extend([nan] if step == 3 else [])
        return to_unit(images).round()

    def sound(images: torch.Tensor, step: int) -> torch.Tensor:
        return to_unit(images).round()

    spoilt: list[float] = []
    run = make_run(prepare=prepare)
    likelihood = run.task.model.likelihood
    run.task.model.likelihood = lambda canvas: likelihood(canvas * spoilt.pop() if spoilt else canvas)
    with pytest.raises(UserError, match=r"the loss is not finite \(nan\) at step 3$"):
        run.train(steps=6, ema=0.5)
    assert_same(run.state["weights"], make_run(prepare=sound).train(steps=6, stop_after=3).state["weights"])
    # The checkpoint can be loaded, and gone on from.
    resumed = make_run(prepare=sound).train(run.state, steps=6, ema=0.5)
    assert_same(resumed.weights, make_run(prepare=sound).train(steps=6, ema=0.5).weights)


def test_a_gradient_that_is_not_finite_stops_the_run(make_run):
    run = make_run()
    run.task.guide.root.loc_and_scale.weight.register_hook(lambda gradient: gradient * inf)
    before = run.weights
    with pytest.raises(UserError, match=r"the gradient is not finite \((nan|inf)\) at step 0$") as caught:
        run.train(steps=6)
    assert caught.value.options == "--train.learning_rate 0.0003"
    assert_same(run.state["weights"], before)
    assert [state["step"] for state in run.observer.states] == [0]


@pytest.mark.thorough
def test_an_explosion_stops_the_run(make_run):
    run = make_run()
    with pytest.raises(UserError, match="is not finite") as caught:
        run.train(steps=50, learning_rate=1e30, lr_warmup=0.0)
    assert "\n" not in str(caught.value)
    assert caught.value.options == "--train.learning_rate 0.003"
    assert run.state["step"] == 0, "what is saved is from before the weights ran away"
    assert make_run().train(run.state, steps=6, learning_rate=0.003).outcome.finished


@pytest.mark.parametrize(
    ("rate", "options"),
    [(1.0, "--model.tree.compress true --train.learning_rate 0.003"), (0.001, "--model.tree.compress true")],
)
def test_what_helps_against_numbers_that_run_away(make_run, rate, options):
    run = make_run()
    run.task.model.decoder.compress = False
    run.task.guide.root.loc_and_scale.weight.register_hook(lambda gradient: gradient * nan)
    with pytest.raises(NotFiniteError) as caught:
        run.train(steps=2, learning_rate=rate)
    assert caught.value.options == options


def test_weights_that_are_not_finite_are_not_saved(make_run):
    """Without validation images nothing else would notice after the last step."""
    run = make_run()
    run = make_run(validation=run.task.validation[:0])
    with pytest.raises(NotFiniteError, match="a weight is not finite after step 1"):
        run.train(steps=1, learning_rate=inf)
    assert [state["step"] for state in run.observer.states] == [0]


def test_an_explosion_in_the_last_step_stops_the_run(make_run):
    """No further step would notice."""
    run = make_run()
    with pytest.raises(
        NotFiniteError, match=r"the bound of validation images is not finite .* after step 1$"
    ) as caught:
        run.train(steps=1, learning_rate=1e30, lr_warmup=0.0)
    assert "\n" not in str(caught.value)
    assert not hasattr(run, "outcome")
    assert run.state["step"] == 0


def place(run: Run, loc: float) -> Run:
    """Make the posterior N(loc, 1) in each of six dimensions, whatever the image: its KL is 3 loc^2."""
    head = run.task.guide.root.loc_and_scale
    with torch.no_grad():
        head.weight.zero_()
        head.bias[:6], head.bias[6:] = loc, 0.5413  # softplus(0.5413) = 1
    return run


@pytest.mark.thorough
def test_a_collapse_is_told(make_run):
    run = place(make_run(), 0.0).train(steps=4, learning_rate=1e-6)
    assert run.observer.rows[-1]["validation_kl"] < 0.1
    (warning,) = run.observer.warnings
    assert warning.startswith("the posterior has collapsed: KL ")
    assert "\n" not in warning


@pytest.mark.thorough
def test_no_collapse_no_warning(make_run):
    run = place(make_run(), 2.0).train(steps=4, learning_rate=1e-6)
    assert run.observer.rows[-1]["validation_kl"] > 5
    assert run.observer.warnings == []


@pytest.mark.thorough
def test_no_warning_before_the_warm_up_has_ended(make_run):
    run = place(make_run(), 0.0).train(steps=10, kl_warmup=0.5, stop_after=4, learning_rate=1e-6)
    assert run.observer.rows[-1]["validation_kl"] < 0.1
    assert run.observer.warnings == []


# Options


@pytest.mark.thorough
def test_modules_that_were_evaluated_train_as_any(make_run):
    """A model in evaluation mode leaves its part term out, and training needs it."""
    first, second = make_run(), make_run()
    second.task.model.eval()
    second.task.guide.eval()
    assert_same(first.train(steps=2).weights, second.train(steps=2).weights)


@pytest.mark.thorough
def test_averaged_weights_end_in_the_modules(make_run):
    schedule = [0.2, 0.4, 0.6]
    runs = [make_run().train(recorded=schedule[:count]) for count in (1, 2, 3)]
    averaged = make_run().train(recorded=schedule, ema=0.75)
    for name, value in averaged.weights.items():
        first, second, third = (run.weights[name] for run in runs)
        expected = 0.75 * (0.75 * first + 0.25 * second) + 0.25 * third
        assert torch.allclose(value, expected, atol=1e-7), name
    # The checkpoint keeps the unaveraged ones, to go on from; the validation saw the averaged ones.
    assert_same(averaged.state["weights"], runs[-1].weights)
    assert averaged.observer.rows[-1]["validation_kl"] != runs[-1].observer.rows[-1]["validation_kl"]


@pytest.fixture
def norms() -> Iterator[list[float]]:
    """Norms of the gradients that reach the optimizer."""
    found: list[float] = []

    def look(optimizer: torch.optim.Optimizer, args: Any, kwargs: Any) -> None:
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        found.append(torch.stack([gradient.norm() for gradient in gradients]).norm().item())

    handle = register_optimizer_step_pre_hook(look)
    yield found
    handle.remove()


@pytest.mark.thorough
@pytest.mark.parametrize("clip", [0.0, 0.5, 1e9])
def test_clipping(make_run, norms, clip):
    rows = make_run().train(steps=3, log_every=1, clip=clip).trained_rows
    told = [row["gradient_norm"] for row in rows]
    assert min(told) > 0.5
    expected = [min(norm, clip or inf) for norm in told]
    assert norms == pytest.approx(expected, rel=1e-4)


@pytest.mark.thorough
@pytest.mark.parametrize("optimizer", ["adam", "adamw"])
def test_optimizers(make_run, optimizer):
    run = make_run().train(steps=2, optimizer=optimizer, weight_decay=0.5, learning_rate=1e-2)
    assert run.outcome.finished


@pytest.mark.thorough
def test_optimizers_differ_in_their_decay(make_run):
    adam, adamw = (make_run().train(steps=2, optimizer=name, weight_decay=0.5) for name in ("adam", "adamw"))
    assert differ(adam.weights, adamw.weights)


@pytest.mark.thorough
def test_mixed_precision_keeps_likelihoods_wide(make_run):
    run = make_run()
    model, seen = run.task.model, {"networks": set(), "likelihood": set(), "posterior": set()}
    likelihood = model.likelihood

    def watch(canvas: torch.Tensor) -> Any:
        distribution = likelihood(canvas)
        seen["likelihood"].add(distribution.mean.dtype)
        return distribution

    model.likelihood = watch
    run.task.guide.root.loc_and_scale.register_forward_hook(lambda module, given, out: seen["networks"].add(out.dtype))
    run.task.guide.register_forward_hook(lambda module, given, out: seen["posterior"].add(out.dtype))
    # The narrow precision is training's only: validations run in full.
    run = Run(replace(run.task, validation=run.task.validation[:0])).train(steps=2, precision="bf16-mixed")
    assert seen == {"networks": {torch.bfloat16}, "likelihood": {torch.float32}, "posterior": {torch.float32}}
    assert {value.dtype for value in run.weights.values()} == {torch.float32}
    assert run.outcome.finished


@pytest.mark.thorough
def test_double_precision(make_run):
    run = make_run().train(steps=2, precision="64-true")
    assert {value.dtype for value in run.weights.values()} == {torch.float64}
    assert "validation_kl" in run.observer.rows[-1]
