"""The numbers of an evaluation: averages, what is not defined, and words."""

import json
from math import inf, nan, sqrt

import pytest
import torch

from examples.evaluation.evidence import active_dimensions, as_json, describe, quantile, verdict
from inference.importance import Evidence


@pytest.fixture
def evidence() -> Evidence:
    """Of four images."""
    return Evidence(
        bounds={1: torch.tensor([-5.0, -7.0, -6.0, -6.0]), 40: torch.tensor([-4.0, -6.0, -5.0, -5.0])},
        kl=torch.tensor([1.0, 3.0, 2.0, 2.0]),
        smoothed=torch.tensor([-3.5, -5.5, -4.5, -4.5]),
        khat=torch.tensor([0.2, 0.6, inf, nan]),
        ess=torch.tensor([1.0, 2.0, 3.0, 4.0]),
    )


ABOUT = {"particles": 40, "images": 4, "split": "test", "seed": 7, "data": "digits", "refine_steps": 0}


def test_averages_over_images(evidence: Evidence):
    errors = torch.full((4, 1, 2, 2), 0.25)
    numbers = as_json(evidence, errors, active=3, seconds=1.234)
    error = sqrt(2 / 3) / 2
    assert numbers == {
        "neg_elbo": 6.0,
        "nll": {"1": 6.0, "40": 5.0},
        "nll_standard_error": {"1": pytest.approx(error), "40": pytest.approx(error)},
        "nll_psis": 4.5,
        "nll_psis_standard_error": pytest.approx(error),
        "kl": 2.0,
        "kl_standard_error": pytest.approx(error),
        "squared_error": 1.0,
        "mse": 0.25,
        "khat": {"0.05": pytest.approx(0.2), "0.25": pytest.approx(0.2), "0.5": pytest.approx(0.6), "0.75": None,
                 "0.95": None},
        "khat_above_0.7": pytest.approx(1 / 3),
        "khat_undefined": 1,
        "ess": 2.5,
        "active_dimensions": 3,
        "seconds": 1.2,
        "nll_by_image": [4.0, 6.0, 5.0, 5.0],
    }  # fmt: skip
    assert "NaN" not in json.dumps(numbers)


def test_what_one_image_does_not_tell():
    one = torch.tensor([-5.0])
    numbers = as_json(Evidence({1: one}, one, one, torch.tensor([nan]), one), torch.zeros(1, 1, 2, 2), None, 0.0)
    assert numbers["nll_standard_error"] == {"1": None}
    assert numbers["khat_above_0.7"] is None
    assert set(numbers["khat"].values()) == {None}
    text = describe(numbers | ABOUT, latent_size=5)
    assert "K =  1  5.00\n" in text
    assert "above 0.7 in - of images" in text
    assert "active latent dimensions: - of 5" in text


def test_lines(evidence: Evidence):
    numbers = as_json(evidence, torch.full((4, 1, 2, 2), 0.25), active=3, seconds=1.234)
    assert describe(numbers | ABOUT, latent_size=5).splitlines() == [
        "4 test images of digits, 40 particles each, seed 7; nats per image, +- standard error over images",
        "-ELBO 6.00 +- 0.41: reconstruction 4.00, KL 2.00 +- 0.41",
        "upper bounds on -log p(x):",
        "  K =  1  6.00 +- 0.41",
        "  K = 40  5.00 +- 0.41",
        "PSIS estimate of -log p(x): 4.50 +- 0.41",
        "squared error 1.000 per image, 0.25000 per pixel",
        "Pareto k-hat: 5% 0.20, 25% 0.20, 50% 0.60, 75% -, 95% -; above 0.7 in 33.3% of images, undefined for 1",
        "effective sample size: 2.5 of 40, mean over images",
        "active latent dimensions: 3 of 5",
        "1.2 seconds",
    ]


def test_words():
    good, bad = torch.tensor([0.1, 0.7]), torch.tensor([0.1, 0.71, inf, nan])
    assert verdict(good, 100) == "k-hat is at most 0.7 for all images: the weights can be trusted"
    assert verdict(bad, 100).startswith("k-hat is above 0.7 for 2 of 3 images: there the guide is not to be trusted")
    assert verdict(torch.tensor([0.1, 0.7, nan]), 100).startswith(
        "k-hat is at most 0.7 for the 2 images where it is defined; of the 1 others"
    )
    assert "needs at least 30 particles" in verdict(torch.full((3,), nan), 29)
    assert "weights are tied" in verdict(torch.full((3,), nan), 30)


def test_quantile():
    values = torch.randn(101)
    assert quantile(values, 0.5) == pytest.approx(values.median().item())
    assert quantile(torch.tensor([1.0, inf]), 0.95) == inf


def test_active_dimensions():
    """Means of standard deviation 0.2 vary more than 0.01, those of 0.05 less."""
    means = torch.randn(1000, 3) * torch.tensor([0.2, 0.05, 0.0])
    assert active_dimensions(means) == 1
    assert active_dimensions(means[:1]) is None
