"""Standard errors: over many repetitions they are the estimates' standard deviation."""

from math import inf, isnan, log, nan

import pytest
import torch
from linear_gaussian import LinearGaussian, draw_images, rotated

from inference.estimates import Estimate, difference, log_mean, mean, standard_error
from inference.posterior.annealing import AnnealingSettings, anneal
from inference.posterior.log_joint import log_joint


def calibration(found: list[Estimate]) -> float:
    """Mean standard error over the estimates' standard deviation."""
    values, errors = (torch.tensor([getattr(one, name) for one in found]) for name in ("value", "standard_error"))
    return (errors.mean() / values.std()).item()


def test_of_a_mean():
    found = [mean(row) for row in torch.randn(500, 200)]
    assert abs(torch.tensor([one.value for one in found]).mean()) < 0.03
    assert calibration(found) == pytest.approx(1, abs=0.1)


def test_of_few_values():
    assert standard_error(torch.tensor([1.0, 3.0])) == pytest.approx(1.0)
    assert isnan(standard_error(torch.tensor([1.0])))
    assert isnan(standard_error(torch.tensor([])))


@pytest.mark.thorough
@pytest.mark.parametrize("number", [2, 4, 16, 200])
@pytest.mark.parametrize("spread", [0.1, 0.5, 0.8, 1.2])
def test_of_the_log_of_a_mean(number: int, spread: float):
    """Weights that spread as annealed ones do; the delta method's ratio is 0.75 for four of spread 0.8."""
    found = [log_mean(spread * row) for row in torch.randn(2000, number)]
    assert calibration(found) == pytest.approx(1, abs=0.11)


@pytest.mark.thorough
@pytest.mark.parametrize("population", [4, 16])
def test_of_the_annealed_evidence(population: int):
    """As the reference computation prints it, from four populations."""
    model = rotated(LinearGaussian(scale=0.4))
    image = draw_images(model, 1)
    settings = AnnealingSettings(population=population, leapfrogs=4, settling=1)
    populations = anneal(log_joint(model, image[0]), 4 * 250, settings, seed=0).log_evidence
    found = [log_mean(four) for four in populations.unflatten(0, (250, 4))]
    assert calibration(found) == pytest.approx(1, abs=0.13)


def test_of_equal_and_of_single_weights():
    equal = log_mean(torch.full((9,), -700.0))
    assert (equal.value, equal.standard_error) == (pytest.approx(-700), pytest.approx(0, abs=1e-12))
    assert isnan(log_mean(torch.zeros(1)).standard_error)
    assert log_mean(torch.tensor([0.0, -inf])).value == pytest.approx(-log(2))


def test_where_one_weight_is_all_there_is_the_error_is_infinite():
    """The delta method says 1 nat there."""
    assert log_mean(torch.tensor([0.0, -1e4, -1e4])).standard_error == inf
    assert log_mean(torch.tensor([0.0, -30.0, -30.0])).standard_error > 10
    assert isnan(log_mean(torch.tensor([nan, 0.0])).value)


def test_of_a_difference():
    found = difference(Estimate(3.0, 0.3), Estimate(1.0, 0.4))
    assert (found.value, found.standard_error) == (2.0, pytest.approx(0.5))
