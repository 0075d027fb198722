"""Stochastic variational inference of any (model, guide) pair, within a budget, resumable step for step.

Batch order and each step's noise are functions of (seed, step): on one machine's CPU a resumed run equals an
uninterrupted one bit for bit.
"""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, suppress
from math import inf, isfinite
from typing import Any

import pyro
import torch
from jaxtyping import Int64
from lightning_fabric import Fabric
from pyro.nn import PyroModule

from inference.bounds import elbo_terms
from inference.contexts import seeded
from inference.objectives import build_objective
from inference.objectives.elbo import Terms
from inference.refinement import refined
from inference.training.devices import averaged, for_devices, largest, unsynchronised
from inference.training.finish import part_at, settings_of_parts
from inference.training.gradient import add_gradient, clip_gradient, make_average, make_optimizer
from inference.training.parts import trained_parts
from inference.training.runaway import NotFiniteError, way_on
from inference.training.schedule import Progress, Rates, check_batch_size, rates
from inference.training.task import Observer, Outcome, Task, Weights
from inference.training.union import TakeRows, rows_of_part
from inference.training.window import Window
from rnp_pyro.config import TrainConfig
from rnp_pyro.data import batch_indices
from rnp_pyro.errors import UserError
from rnp_pyro.fast.recall import remembering
from rnp_pyro.shapes import Canvas, Tensor
from rnp_pyro.streams import mix_seed

LEAST_KL = 1.0
"""Nats per image below which a trained posterior has collapsed into the prior."""


def train(
    task: Task,
    config: TrainConfig,
    progress: Progress,
    fabric: Fabric,
    observer: Observer,
    resumed: dict[str, Any] | None = None,
) -> Outcome:
    """Maximise the evidence lower bound until progress reaches 1.

    The task's modules are trained in place; with ``config.ema`` they end with the averaged weights.

    Args:
        task: What is trained on what.
        config: Optimisation.
        progress: The budget.
        fabric: A launched Fabric.
        observer: Takes rows, states and warnings.
        resumed: A state that the observer saved, to go on from.

    Raises:
        NotFiniteError: If the loss, its gradient, a weight or the bound of the validation images is no longer finite.
            The state before that step is saved where its bound says that its weights had not run away by then.
        UserError: If a program refuses a step; the state before it is saved likewise.
    """
    with pyro.get_param_store().scope(), trained_parts(config, task.model, task.guide):
        return _Run(task, config, progress, fabric, observer, resumed).to_end(begins=resumed is None)


class _Run:
    """The state of one run, and its loop."""

    def __init__(
        self,
        task: Task,
        config: TrainConfig,
        progress: Progress,
        fabric: Fabric,
        observer: Observer,
        resumed: dict[str, Any] | None,
    ) -> None:
        self.task, self.config, self.progress = task, config, progress
        self.fabric, self.observer = fabric, observer
        check_batch_size(config, fabric.world_size)
        self.parts = settings_of_parts(config)
        self.elbos = [build_objective(part) for part in self.parts]
        self.weights = Weights(task.model, task.guide)
        self.bound = self.elbos[0](task.model, self._posterior(self.weights))
        loss = for_devices(fabric, self.bound)
        self.loss, self.optimizer = fabric.setup(loss, make_optimizer(config, self.weights))
        self.step, self.seconds, self.schedule = 0, 0.0, list[float]()
        self.window = Window()
        self.first_bound: float | None = None
        if resumed is not None:
            self._load(resumed)
        self.average = make_average(self.weights, config.ema) if config.ema > 0 else None
        if self.average is not None and resumed is not None and resumed["average"] is not None:
            self.average.load_state_dict(resumed["average"])

    def to_end(self, begins: bool) -> Outcome:
        """Train, and leave the final weights in the task's modules.

        Args:
            begins: No state of the run has been saved yet.
        """
        saved_at, stopped = self.seconds, False
        self.weights.train()  # a model that is evaluated leaves its part term out
        if begins:
            self._save()  # so that a run which is ended before its first minute can be gone on with
        with pyro.validation_enabled(False), warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Encountered NaN", UserWarning)  # _check_finite says it, and stops
            warnings.filterwarnings("ignore", ".*was not registered in the param store", UserWarning)  # kept parts
            validates = True  # shapes and supports are the same in each step; checking takes a quarter of a step
            while (now := self._now()) < 1 and not stopped:
                with pyro.validation_enabled(validates):
                    self._take_step(now)
                validates = False
                if self.step % self.config.log_every == 0:
                    self._report()
                if self.seconds - saved_at >= 60 * self.config.checkpoint_minutes:
                    saved_at = self.seconds
                    self._keep()
                stopped = bool(largest(self.fabric, self.observer.should_stop()))
        self._keep()
        if self.average is not None:
            self.weights.load_state_dict(self.average.module.state_dict())
        rate = self.step * self.config.batch_size / max(self.seconds, 1e-9)
        finished = self._now() >= 1
        return Outcome(self.step, self.seconds, rate, finished, self.schedule)

    def _take_step(self, now: float) -> None:
        begin = time.perf_counter()
        part, within = part_at(self.config, now)
        setting = rates(self.parts[part], within, self.step)
        self.bound.elbo = self.elbos[part]
        for group in self.optimizer.param_groups:
            group["lr"] = setting.learning_rate
        try:
            numbers = averaged(self.fabric, self._gradient(setting))
        except UserError:  # for example because the refinement diverges
            self._save_if_sound()
            raise
        gradient_norm = numbers.pop("gradient")
        self._check_finite(loss=numbers["loss"], gradient=gradient_norm)
        if self.first_bound is None:
            self.first_bound = numbers["neg_elbo"]
        self.optimizer.step()
        if self.average is not None:
            self.average.update_parameters(self.weights)
        self.step += 1
        self.schedule.append(now)
        self.seconds += (seconds := time.perf_counter() - begin)
        self.window.add(
            seconds_per_step=seconds,
            progress=now,
            gradient_norm=gradient_norm,
            learning_rate=setting.learning_rate,
            kl_weight=setting.kl_weight,
            **numbers,
        )

    def _gradient(self, setting: Rates) -> dict[str, float]:
        """Leave the gradient in the parameters, part by part of this process's share of the batch.

        Returns:
            Means of loss and bound, nats per image, and the gradient's norm.
        """
        batch, parts, found = self._images(), self.config.accumulate, []
        elbo: Any = self.bound.elbo
        self.optimizer.zero_grad()
        for part in range(parts):
            rank = self.fabric.global_rank + part * self.fabric.world_size
            rows = rows_of_part(len(batch), rank, parts * self.fabric.world_size)
            walked = remembering(self.task.model.decoder if elbo.one_walk else None)
            with self._noise(rows), walked, unsynchronised(self.fabric, self.loss, part < parts - 1):
                loss = add_gradient(self.fabric, self.loss, batch[rows], setting.kl_weight, 1 / parts)
            found.append({"loss": loss.item(), **_means(elbo.terms)})
        norm = clip_gradient(self.fabric, self.loss, self.optimizer, self.config.clip or inf)
        return {"gradient": norm.item(), **{name: sum(one[name] for one in found) / parts for name in found[0]}}

    @contextmanager
    def _noise(self, rows: Int64[Tensor, " images"]) -> Iterator[None]:
        """Draw from the step's generator; of a batch that is divided, what falls to some of its images."""
        size = self.config.batch_size
        taken = TakeRows(rows, size) if len(rows) < size else nullcontext()
        with seeded(mix_seed(self.task.seed, self.step), self.fabric.device), taken:
            yield

    def _posterior(self, pair: Weights) -> PyroModule:
        """Return the guide of a pair of modules, refined if it is to be."""
        return refined(pair.model, pair.guide, self.task.refinement)

    def _now(self) -> float:
        """Read progress off the first process's clock: all must take the same steps."""
        return self.fabric.broadcast(self.progress(self.step, self.seconds))

    def _images(self) -> Canvas:
        """Return the step's images, all of them: the number of processes changes no pixel."""
        indices = batch_indices(self.task.seed, self.step, self.config.batch_size, len(self.task.images))
        return self.task.prepare(self.task.images[indices].to(self.fabric.device), self.step)

    def _check_finite(self, **values: float) -> None:
        if getattr(self.fabric.strategy.precision, "scaler", None) is not None:
            del values["gradient"]  # float16 scales the loss until gradients overflow, and then skips the step
        bad = [name for name, value in values.items() if not isfinite(value)]
        if bad:
            self._save_if_sound()
            raise self._not_finite(f"the {bad[0]} is not finite ({values[bad[0]]}) at step {self.step}")

    def _not_finite(self, what: str) -> NotFiniteError:
        return NotFiniteError(what, way_on(self.config, self.task.model.decoder))

    def _report(self, **validation: float) -> None:
        """Report the window's means, and start a new window."""
        if len(self.window) or validation:
            row = {"step": self.step, "seconds": round(self.seconds, 3), **self.window.means()}
            if "seconds_per_step" in row:
                row["images_per_second"] = round(self.config.batch_size / row.pop("seconds_per_step"), 1)
            if self.fabric.is_global_zero:
                self.observer.row({**row, **validation})
        self.window = Window()

    def _keep(self) -> None:
        """Validate and save, unless the bound is not finite. Warn of a posterior collapsed after the KL's warm-up."""
        if (found := self._validate()) is not None:
            if not isfinite(found["neg_elbo"]):
                bound = found["neg_elbo"]
                raise self._not_finite(f"the bound of validation images is not finite ({bound}) after step {self.step}")
            self._report(validation_neg_elbo=found["neg_elbo"], validation_kl=found["kl"])
        self._save()
        if found is not None:
            self._warn_of_collapse(found["kl"])

    def _validate(self) -> dict[str, float] | None:
        """Return the bound of the validation images, if there are any, nats per image."""
        if not len(self.task.validation):
            return None
        pair: Weights = self.weights if self.average is None else self.average.module  # type: ignore[assignment]
        images = self.task.validation.to(self.fabric.device, next(pair.parameters()).dtype)
        with pyro.validation_enabled(False):  # which would say it in many lines
            return _means(elbo_terms(pair.model, self._posterior(pair), images, self.task.seed))

    def _save_if_sound(self) -> None:
        """Save the state before a step that failed, unless its weights have run away already.

        Bounds are finite for some steps after weights run away, but far worse than in the beginning.
        """
        with suppress(UserError):
            found = self._validate()
            if found is None or self.first_bound is None:
                return
            if found["neg_elbo"] <= self.first_bound + abs(self.first_bound):  # false for NaN
                self._save()

    def _warn_of_collapse(self, kl: float) -> None:
        """Warn of a posterior that has become the prior, from its KL in nats per image."""
        warm = self.schedule and self.schedule[-1] >= self.config.kl_warmup
        if warm and kl < LEAST_KL and self.fabric.is_global_zero:
            self.observer.warn(
                f"the posterior has collapsed: KL {kl:.2f} nats on validation images, expected {LEAST_KL:g} or more; "
                "try another --seed, a smaller --train.learning_rate or a longer --train.kl_warmup"
            )

    def _save(self) -> None:
        """Let the observer keep the state.

        Raises:
            NotFiniteError: If a weight is not: no such state may replace an earlier one.
        """
        if not all(weight.isfinite().all() for weight in self.weights.state_dict().values()):
            raise self._not_finite(f"a weight is not finite after step {self.step}")
        if self.fabric.is_global_zero:
            state = {
                "step": self.step,
                "seconds": self.seconds,
                "schedule": torch.tensor(self.schedule, dtype=torch.float64),
                "weights": self.weights.state_dict(),
                "optimizer": self.optimizer.state_dict(),
                "average": None if self.average is None else self.average.state_dict(),
            }
            self.observer.save(state)

    def _load(self, state: dict[str, Any]) -> None:
        self.step, self.seconds, self.schedule = state["step"], state["seconds"], state["schedule"].tolist()
        self.weights.load_state_dict(state["weights"])
        # The moments are the checkpoint's, the settings are this run's.
        settings = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({**state["optimizer"], "param_groups": settings})


def _means(terms: Terms | None) -> dict[str, float]:
    assert terms is not None
    reconstruction, kl = float(terms.reconstruction.mean()), float(terms.kl.mean())
    return {"neg_elbo": reconstruction + kl, "reconstruction": reconstruction, "kl": kl}
