"""ArviZ's diagnostics of draws and weights, the same numbers from ArviZ 0.23 (Python 3.11) and 1.x (3.12 on).

No other module calls ArviZ. NumPy comes in and goes out. torch is never imported, so that a file of weights can be
judged without it. ArviZ is imported when it is first used: 0.23 imports pyplot and warns once a day.
"""

import atexit
import os
import shutil
import tempfile
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import version
from math import isqrt
from typing import Any, Literal

import numpy as np
from jaxtyping import Float

FEWEST = 30
"""Particles below which no Pareto distribution is fitted: a tail of 6 draws is the smallest that ArviZ 1.x fits."""

TRUSTED_KHAT = 0.7
"""Pareto k-hat above which importance sampling is not to be trusted (Vehtari et al. 2024, section 3.2.4)."""

FEWEST_DRAWS = 4
"""Draws of a chain below which neither r-hat nor the effective sample size is defined."""


@dataclass(frozen=True)
class Smoothed:
    """Pareto-smoothed importance weights (Vehtari et al. 2024).

    Args:
        log_weight: Log weights, the largest smoothed, normalised over the particles of an image.
        log_mean: Log of the mean of the smoothed weights before normalisation: an estimate of the log evidence, nats.
        khat: Shape of the generalised Pareto distribution fitted to the largest weights. Above 0.7 neither the weights
            nor the estimate is to be trusted. ``inf`` where the largest weights are so unequal that there is no tail to
            fit (one outweighs another by a factor of 1e308). ``nan`` where k-hat is not defined: fewer than 30
            particles, ties (all weights equal, for one), or a weight that is nan or infinite. Where it is not finite,
            the weights are normalised but not smoothed.
    """

    log_weight: Float[np.ndarray, "particles images"]
    log_mean: Float[np.ndarray, " images"]
    khat: Float[np.ndarray, " images"]


def psis(log_weight: Float[np.ndarray, "particles images"]) -> Smoothed:
    """Smooth each image's importance weights by ArviZ's PSIS.

    Args:
        log_weight: ``log p(x, z) - log q(z | x)`` of each particle, nats; ``-inf`` is a weight of zero.

    Returns:
        Smoothed weights and k-hat, in float64, image by image; see :class:`Smoothed`.
    """
    raw = np.asarray(log_weight, dtype=np.float64)
    columns = [_smooth_one(column) for column in raw.T]
    weights, log_means, khats = zip(*columns, strict=True) if columns else ([], [], [])
    smoothed = np.stack(weights, axis=-1) if columns else raw
    return Smoothed(smoothed, np.array(log_means, dtype=np.float64), np.array(khats, dtype=np.float64))


def tail_size(num_particles: int) -> int:
    """Return how many of the largest weights are fitted: a fifth of all, at most three times their root, rounded down.

    ArviZ 1.x counts so. 0.23 rounds up, which :func:`reff_for_0_23` undoes.
    """
    return min(num_particles // 5, isqrt(9 * num_particles))


def reff_for_0_23(num_particles: int) -> float:
    """Return the ``reff`` with which ArviZ 0.23's ``psislw`` fits the same tail as 1.x does with its default.

    It fits ``ceil(3 sqrt(S / reff))`` of S weights, which this ``reff`` makes ``ceil(tail_size - 1 / 2)``.
    """
    return 9 * num_particles / (tail_size(num_particles) - 0.5) ** 2


def rhat(draws: Float[np.ndarray, "chains draws *event"]) -> Float[np.ndarray, "*event"]:
    """Compute rank-normalised split r-hat (Vehtari et al. 2021) of each number.

    Returns:
        r-hat; ``nan`` for one chain, fewer than 4 draws, constant or not finite draws.
    """
    usable = draws.shape[0] > 1
    return _each_number(draws, lambda one: _rhat_one(one) if usable and np.ptp(one) > 0 else np.nan)


def ess(
    draws: Float[np.ndarray, "chains draws *event"], kind: Literal["bulk", "tail"] = "bulk"
) -> Float[np.ndarray, "*event"]:
    """Compute the effective sample size (Vehtari et al. 2021) of each number over all chains.

    Args:
        draws: Of Markov chains.
        kind: Of the middle of the distribution, or of its 5 % and 95 % quantiles, whichever is the smaller.

    Returns:
        The size; ``nan`` for fewer than 4 draws, constant or not finite draws.
    """
    return _each_number(draws, lambda one: _ess_one(one, kind) if np.ptp(one) > 0 else np.nan)


def is_legacy() -> bool:
    """Return whether the ArviZ that is installed is 0.23, the last for Python 3.11."""
    return int(version("arviz").split(".")[0]) < 1


def import_arviz() -> Any:
    """Import ArviZ without its yearly and daily announcements, also where there is no home to note the day in."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return import_module("arviz")
        except (OSError, RuntimeError):  # no home folder, or one that cannot be written to
            with _scratch_home():
                return import_module("arviz")


@contextmanager
def _scratch_home() -> Iterator[None]:
    """Name a new folder as the user's, for as long as this lasts; it is removed when the process ends."""
    folder = tempfile.mkdtemp(prefix="rnp-pyro-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    names = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME")
    before = {name: os.environ.get(name) for name in names}
    os.environ.update(dict.fromkeys(names, folder))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _smooth_one(raw: Float[np.ndarray, " particles"]) -> tuple[Float[np.ndarray, " particles"], float, float]:
    """Return one image's normalised weights, the log of their mean before normalisation, and k-hat."""
    undefined = _why_undefined(raw)
    if undefined is not None:
        with np.errstate(invalid="ignore"):  # nan, or all weights zero
            log_total = np.logaddexp.reduce(raw)
            return raw - log_total, float(log_total - np.log(len(raw))), undefined
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        smoothed, khat = _psislw(raw)
    # The largest weight left of the tail is not smoothed, and so reveals the normaliser.
    cutoff = np.argsort(raw, kind="stable")[-tail_size(len(raw)) - 1]
    log_total = raw[cutoff] - smoothed[cutoff]
    return smoothed, float(log_total - np.log(len(raw))), khat


def _why_undefined(raw: Float[np.ndarray, " particles"]) -> float | None:
    """Return k-hat where there is nothing to fit, else None: both ArviZ versions must see only what they agree on."""
    if len(raw) < FEWEST or np.isnan(raw).any() or not np.isfinite(raw.max()):
        return np.nan
    size = tail_size(len(raw))
    tail = np.sort(raw)[-size - 1 :] - raw.max()
    if tail[0] < np.log(np.finfo(np.float64).tiny):
        return np.inf
    excess = np.exp(tail[1:]) - np.exp(tail[0])
    quartile = excess[int(size / 4 + 0.5) - 1]
    return np.nan if quartile <= excess[0] or excess[0] <= 0 else None


def _psislw(raw: Float[np.ndarray, " particles"]) -> tuple[Float[np.ndarray, " particles"], float]:
    """Call ArviZ; its sign differs: 0.23 takes the log weights, 1.x minus the log weights."""
    if is_legacy():
        smoothed, khat = import_arviz().psislw(raw, reff=reff_for_0_23(len(raw)))
    else:
        from arviz_stats.base import array_stats  # type: ignore[import-not-found]

        smoothed, khat = array_stats.psislw(-raw)
    return np.asarray(smoothed), float(khat)


def _rhat_one(draws: Float[np.ndarray, "chains draws"]) -> float:
    if is_legacy():
        return float(import_arviz().rhat(draws))
    from arviz_stats.base import array_stats  # type: ignore[import-not-found]

    return float(array_stats.rhat(draws))


def _ess_one(draws: Float[np.ndarray, "chains draws"], kind: str) -> float:
    prob = (0.05, 0.95) if kind == "tail" else None
    if is_legacy():
        return float(import_arviz().ess(draws, method=kind, prob=prob))
    from arviz_stats.base import array_stats  # type: ignore[import-not-found]

    return float(array_stats.ess(draws, method=kind, prob=prob))


def _each_number(
    draws: Float[np.ndarray, "chains draws *event"], compute: Callable[[np.ndarray], float]
) -> Float[np.ndarray, "*event"]:
    """Compute one number from each ``[chains, draws]``; nan where draws are too few or not finite."""
    event = draws.shape[2:]
    flat = np.asarray(draws, dtype=np.float64).reshape(*draws.shape[:2], -1)
    usable = draws.shape[1] >= FEWEST_DRAWS
    with np.errstate(all="ignore"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        columns = np.moveaxis(flat, -1, 0)
        values = [compute(one) if usable and np.isfinite(one).all() else np.nan for one in columns]
    return np.array(values, dtype=np.float64).reshape(event)
