"""k-hat, r-hat and effective sample size: ArviZ's own numbers, and what they are where there is nothing to compute."""

import subprocess
import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest

from inference import diagnostics
from inference.diagnostics import ess, import_arviz, is_legacy, psis, reff_for_0_23, rhat, tail_size

ROOT = Path(__file__).resolve().parents[2]


def log_weights(particles: int = 200, images: int = 6, spread: float = 2.0) -> np.ndarray:
    """Log weights whose tail grows from image to image."""
    return np.random.default_rng(0).standard_normal((particles, images)) * np.linspace(0.3, spread, images) - 100


def pareto_log_weights(khat: float, particles: int) -> np.ndarray:
    """Weights whose tail is exactly a Pareto distribution of this shape."""
    quantiles = (np.arange(particles) + 0.5) / particles
    return -khat * np.log1p(-quantiles)[:, None]


# -- k-hat


@pytest.mark.parametrize("khat", [0.2, 0.5, 0.9])
def test_khat_finds_the_tail_of_a_pareto_distribution(khat: float):
    found = psis(pareto_log_weights(khat, 40_000)).khat
    assert found[0] == pytest.approx(khat, abs=0.05)


def test_smoothed_weights_are_normalised_and_keep_the_order():
    raw = log_weights()
    smoothed = psis(raw)
    assert np.exp(smoothed.log_weight).sum(0) == pytest.approx(np.ones(6))
    assert (smoothed.log_weight.argsort(0) == raw.argsort(0)).all()


def test_only_the_tail_is_smoothed():
    raw = log_weights()
    smoothed = psis(raw)
    order = raw.argsort(0)[: -tail_size(200)]
    body = np.take_along_axis(raw - smoothed.log_weight, order, 0)
    assert np.ptp(body, axis=0) == pytest.approx(np.zeros(6), abs=1e-12)
    # What was taken off is the log of the sum of the smoothed weights.
    assert body[0] - np.log(200) == pytest.approx(smoothed.log_mean)


def test_a_benign_evidence_is_left_as_it_is():
    raw = log_weights(4000, spread=0.6)
    expected = np.logaddexp.reduce(raw, axis=0) - np.log(4000)
    assert psis(raw).log_mean == pytest.approx(expected, abs=1e-3)


def test_a_constant_in_all_weights_moves_the_evidence_alone():
    one, other = psis(log_weights()), psis(log_weights() + 1000)
    assert other.log_mean == pytest.approx(one.log_mean + 1000)
    assert other.khat == pytest.approx(one.khat)
    assert other.log_weight == pytest.approx(one.log_weight)


@pytest.mark.thorough_after(3)
@pytest.mark.parametrize("particles", [30, 100, 225, 226, 500, 1000])
def test_it_is_arvizs_own(particles: int):
    """As a user calls it: 0.23 with the ``reff`` that we name, 1.x with its default and the other sign."""
    raw = log_weights(particles)
    if is_legacy():
        weights, khat = import_arviz().psislw(raw.T, reff=reff_for_0_23(particles))
    else:
        from arviz_stats.base import array_stats

        weights, khat = array_stats.psislw(-raw.T)
    smoothed = psis(raw)
    assert smoothed.khat == pytest.approx(khat)
    assert smoothed.log_weight == pytest.approx(weights.T)


def test_the_tail_is_as_long_as_arviz_1_counts_it():
    assert [tail_size(particles) for particles in (30, 99, 225, 226, 500, 900)] == [6, 19, 45, 45, 67, 90]


@pytest.mark.parametrize("particles", [30, 99, 100, 225, 226, 500, 1000, 5000])
def test_reff_makes_the_tail_of_0_23_as_long(particles: int):
    assert np.ceil(min(particles / 5, 3 * (particles / reff_for_0_23(particles)) ** 0.5)) == tail_size(particles)


def test_no_images_have_no_khat():
    smoothed = psis(np.zeros((50, 0)))
    assert smoothed.log_weight.shape == (50, 0)
    assert smoothed.log_mean.shape == smoothed.khat.shape == (0,)


# -- where there is nothing to fit


def unsmoothed(raw: np.ndarray) -> float:
    """Check that the weights of one image are only normalised; give k-hat."""
    smoothed = psis(raw[:, None])
    total = np.logaddexp.reduce(raw)
    assert smoothed.log_weight[:, 0] == pytest.approx(raw - total)
    assert smoothed.log_mean[0] == pytest.approx(total - np.log(len(raw)))
    return float(smoothed.khat[0])


@pytest.mark.parametrize("particles", [1, 2, 5, 29])
def test_few_particles_have_no_khat(particles: int):
    assert np.isnan(unsmoothed(log_weights(particles)[:, 0]))


@pytest.mark.parametrize("particles", [30, 500])
def test_equal_weights_have_no_khat(particles: int):
    assert np.isnan(unsmoothed(np.full(particles, -80.0)))


def test_ties_have_no_khat():
    assert np.isnan(unsmoothed(np.arange(100) // 50 * 1.0))


def test_one_weight_above_all_others_is_infinitely_bad():
    assert unsmoothed(np.array([0.0] + [-1000.0] * 99)) == np.inf
    assert unsmoothed(np.array([0.0] + [-np.inf] * 99)) == np.inf


def test_a_few_weights_of_zero_change_nothing_else():
    raw = log_weights()
    some = np.concatenate([raw[:-20], np.full((20, 6), -np.inf)])
    smoothed = psis(some)
    assert np.isfinite(smoothed.khat).all()
    assert np.exp(smoothed.log_weight).sum(0) == pytest.approx(np.ones(6))
    assert (smoothed.log_weight[-20:] == -np.inf).all()


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_weights_that_are_no_numbers_have_no_khat(bad: float):
    raw = log_weights()
    raw[3, 1] = bad
    khat = psis(raw).khat
    assert np.isnan(khat[1])
    assert np.isfinite(np.delete(khat, 1)).all()


def test_weights_that_are_all_zero_have_no_khat():
    smoothed = psis(np.full((50, 1), -np.inf))
    assert np.isnan(smoothed.khat[0])
    assert smoothed.log_mean[0] == -np.inf


# -- r-hat and effective sample size


def chains(*event: int) -> np.ndarray:
    return np.random.default_rng(1).standard_normal((4, 500, *event))


def test_chains_that_agree():
    assert (rhat(chains(3, 2)) < 1.02).all()
    assert (ess(chains(3, 2)) > 1500).all()
    assert (ess(chains(3, 2), "tail") > 1200).all()


def test_chains_that_disagree():
    apart = chains(3) + np.arange(4)[:, None, None]
    assert (rhat(apart) > 1.3).all()
    assert (ess(apart) < 20).all()


def test_each_number_has_its_own():
    draws = chains(2, 3)
    for compute in (rhat, ess):
        whole = compute(draws)
        assert whole.shape == (2, 3)
        assert whole[1, 2] == compute(draws[..., 1, 2])
        assert compute(draws[..., 1, 2]).shape == ()


def test_correlated_chains_are_worth_fewer():
    walk = chains().cumsum(1)
    assert ess(walk) < 100 < ess(chains())


def test_where_they_are_not_defined():
    draws = chains(4)
    draws[0, 0, 1] = np.nan
    draws[0, 0, 2] = np.inf
    draws[..., 3] = 5.0
    assert np.isnan(rhat(draws)).tolist() == np.isnan(ess(draws)).tolist() == [False, True, True, True]
    assert np.isnan(rhat(draws[:, :3])).all()
    assert np.isnan(ess(draws[:, :3])).all()
    assert np.isnan(rhat(draws[:1])).all()
    assert ess(draws[:1])[0] > 300


# -- where it runs


@pytest.mark.thorough
def test_neither_torch_nor_arviz_is_imported():
    code = "import inference.diagnostics, sys; print([name in sys.modules for name in ('torch', 'arviz', 'pyro')])"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "[False, False, False]"


class Calls:
    """Stands for either version of ArviZ and keeps what it is called with."""

    def psislw(self, *arguments: np.ndarray, **options: float):
        self.arguments, self.options = arguments, options
        return arguments[0] - np.logaddexp.reduce(arguments[0]), 0.5


def test_0_23_takes_the_log_weights(monkeypatch: pytest.MonkeyPatch):
    arviz, raw = Calls(), log_weights()[:, :1]
    monkeypatch.setattr(diagnostics, "is_legacy", lambda: True)
    monkeypatch.setattr(diagnostics, "import_arviz", lambda: arviz)
    psis(raw)
    assert (arviz.arguments[0] == raw[:, 0]).all()
    assert arviz.options == {"reff": reff_for_0_23(200)}


def test_1_takes_minus_the_log_weights(monkeypatch: pytest.MonkeyPatch):
    arviz, raw = Calls(), log_weights()[:, :1]
    monkeypatch.setattr(diagnostics, "is_legacy", lambda: False)
    monkeypatch.setitem(sys.modules, "arviz_stats", ModuleType("arviz_stats"))
    monkeypatch.setitem(sys.modules, "arviz_stats.base", SimpleNamespace(array_stats=arviz))  # type: ignore[arg-type]
    psis(raw)
    assert (arviz.arguments[0] == -raw[:, 0]).all()
    assert arviz.options == {}
