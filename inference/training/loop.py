"""Stochastic variational inference of any (model, guide) pair, within a budget, resumable step for step.

Batch order and each step's noise are functions of (seed, step): on one machine's CPU a resumed run equals an
uninterrupted one bit for bit.
"""

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from math import inf, isfinite
from typing import Any

import pyro
import torch
from lightning_fabric import Fabric
from pyro.nn import PyroModule
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from inference.bounds import elbo_terms
from inference.contexts import seeded
from inference.objectives import build_objective
from inference.objectives.elbo import Terms
from inference.refinement import refined
from inference.training.devices import averaged, for_devices
from inference.training.gradient import clipped_gradient, make_optimizer
from inference.training.parts import trained_parts
from inference.training.schedule import Progress, rates
from inference.training.task import Observer, Outcome, Task, Weights
from inference.training.window import Window
from rnp_pyro.config import TrainConfig
from rnp_pyro.data import batch_indices
from rnp_pyro.errors import UserError
from rnp_pyro.fast.recall import remembering
from rnp_pyro.shapes import Canvas
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
        UserError: If the loss or its gradient is no longer finite; the state before that step has been saved. Or if
            the bound of the validation images is not finite. Nothing is saved then, and an earlier checkpoint stays.
    """
    with pyro.get_param_store().scope(), trained_parts(config, task.model, task.guide):
        return _Run(task, config, progress, fabric, observer, resumed).to_end()


def check_batch_size(config: TrainConfig, num_devices: int) -> None:
    """Refuse batches that cannot be shared out evenly.

    Raises:
        UserError: If they cannot.
    """
    if config.batch_size % num_devices:
        raise UserError(f"--train.batch_size must be a multiple of the {num_devices} devices, got {config.batch_size}")


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
        self.elbo = build_objective(config)
        self.weights = Weights(task.model, task.guide)
        loss = for_devices(fabric, self.elbo(task.model, self._posterior(self.weights)))
        self.loss, self.optimizer = fabric.setup(loss, make_optimizer(config, self.weights))
        self.step, self.seconds, self.schedule = 0, 0.0, list[float]()
        self.window = Window()
        if resumed is not None:
            self._load(resumed)
        self.average = _average(self.weights, config.ema) if config.ema > 0 else None
        if self.average is not None and resumed is not None and resumed["average"] is not None:
            self.average.load_state_dict(resumed["average"])

    def to_end(self) -> Outcome:
        """Train, and leave the final weights in the task's modules."""
        saved_at, stopped = self.seconds, False
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
                stopped = self.fabric.broadcast(self.observer.should_stop())
        self._keep()
        if self.average is not None:
            self.weights.load_state_dict(self.average.module.state_dict())
        rate = self.step * self.config.batch_size / max(self.seconds, 1e-9)
        finished = self._now() >= 1
        return Outcome(self.step, self.seconds, rate, finished, self.schedule)

    def _take_step(self, now: float) -> None:
        begin = time.perf_counter()
        setting = rates(self.config, now)
        for group in self.optimizer.param_groups:
            group["lr"] = setting.learning_rate
        images = self._images()
        noise = seeded(mix_seed(self.task.seed, self.step, self.fabric.global_rank), self.fabric.device)
        with noise, remembering(self.task.model.decoder if self.elbo.one_walk else None), self._saved_if_refused():
            loss, norm = clipped_gradient(
                self.fabric, self.loss, self.optimizer, images, setting.kl_weight, self.config.clip or inf
            )
        numbers = averaged(self.fabric, {"loss": loss.item(), "gradient": norm.item(), **_means(self.elbo.terms)})
        gradient_norm = numbers.pop("gradient")
        self._check_finite(loss=numbers["loss"], gradient=gradient_norm)
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

    @contextmanager
    def _saved_if_refused(self) -> Iterator[None]:
        """Save the state before a step that a program refuses, for example because its refinement diverges."""
        try:
            yield
        except UserError:
            self._save()
            raise

    def _posterior(self, pair: Weights) -> PyroModule:
        """Return the guide of a pair of modules, refined if it is to be."""
        return refined(pair.model, pair.guide, self.task.refinement)

    def _now(self) -> float:
        """Read progress off the first process's clock: all must take the same steps."""
        return self.fabric.broadcast(self.progress(self.step, self.seconds))

    def _images(self) -> Canvas:
        """Return this process's share of the step's images. The number of processes changes no pixel."""
        indices = batch_indices(self.task.seed, self.step, self.config.batch_size, len(self.task.images))
        images = self.task.prepare(self.task.images[indices].to(self.fabric.device), self.step)
        return images[self.fabric.global_rank :: self.fabric.world_size]

    def _check_finite(self, **values: float) -> None:
        if getattr(self.fabric.strategy.precision, "scaler", None) is not None:
            del values["gradient"]  # float16 scales the loss until gradients overflow, and then skips the step
        bad = [name for name, value in values.items() if not isfinite(value)]
        if bad:
            self._save()
            raise UserError(
                f"the {bad[0]} is not finite ({values[bad[0]]}) at step {self.step}: the state before it is saved; "
                f"{self._way_on()}"
            )

    def _way_on(self) -> str:
        """Return what helps against numbers that run away; both were tried on images that make them do so."""
        if not getattr(self.task.model.decoder, "compress", True):
            return "begin a new run with --model.tree.compress true, which holds generated networks"
        return f"begin a new run with a smaller step, such as --train.learning_rate {self.config.learning_rate / 10:g}"

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
        pair: Weights = self.weights if self.average is None else self.average.module  # type: ignore[assignment]
        if len(self.task.validation):
            images = self.task.validation.to(self.fabric.device, next(pair.parameters()).dtype)
            with pyro.validation_enabled(False):  # which would say it in many lines
                found = _means(elbo_terms(pair.model, self._posterior(pair), images, self.task.seed))
            if not isfinite(found["neg_elbo"]):
                raise UserError(
                    f"the bound of validation images is not finite ({found['neg_elbo']}) after step {self.step}, which "
                    f"is not saved: {self._way_on()}"
                )
            self._report(validation_neg_elbo=found["neg_elbo"], validation_kl=found["kl"])
            warm = self.schedule and self.schedule[-1] >= self.config.kl_warmup
            if warm and found["kl"] < LEAST_KL and self.fabric.is_global_zero:
                self.observer.warn(
                    f"the posterior has collapsed: KL {found['kl']:.2f} nats on validation images, expected "
                    f"{LEAST_KL:g} or more; try another --seed, a smaller --train.learning_rate or a longer "
                    "--train.kl_warmup"
                )
        self._save()

    def _save(self) -> None:
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


def _average(weights: nn.Module, decay: float) -> AveragedModel:
    return AveragedModel(weights, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
