"""Monte Carlo estimates and their standard errors, for all who print one."""

from dataclasses import dataclass
from math import exp, lgamma, log, nan, sqrt

import torch

from rnp_pyro.shapes import Float, Tensor


@dataclass(frozen=True)
class Estimate:
    """A number, and the standard error of its Monte Carlo estimate."""

    value: float
    standard_error: float


def standard_error(values: Float[Tensor, " draws"]) -> float:
    """Return the standard error of the mean of independent values; nan for fewer than two, which have no spread."""
    return values.std().item() / sqrt(len(values)) if len(values) > 1 else nan


def mean(values: Float[Tensor, " draws"]) -> Estimate:
    """Average independent values."""
    return Estimate(values.mean().item(), standard_error(values))


def log_mean(log_weight: Float[Tensor, " particles"]) -> Estimate:
    """Estimate the log of the mean of independent weights.

    The standard error is the jackknife's: how much the log of the mean changes when one weight is left out,

        sqrt((n - 1) / n sum_i (l_i - mean(l))^2) / c(n),  l_i = log of the mean without weight i

    The delta method's, the weights' relative standard deviation over sqrt(n), is never above 1 and takes the logarithm
    for a line: with four weights whose logarithms spread by 0.8 it is three quarters of the truth. c(n) is the mean of
    the standard deviation of n normal numbers of unit variance: few numbers look closer together than they are.

    Args:
        log_weight: Logarithms of the weights.

    Returns:
        The estimate, with an error of nan for a single weight, and of infinity where one weight outweighs all others
        beyond what floating point can tell.
    """
    number = len(log_weight)
    value = log_weight.logsumexp(0).item() - log(number)
    if number < 2:
        return Estimate(value, nan)
    # log(total - weight_i), less the log of the total.
    without = torch.log1p(-log_weight.double().softmax(0))
    spread = (without - without.mean()).square().sum().item()
    error = sqrt((number - 1) / number * spread) / _unit_deviation(number) if without.isfinite().all() else float("inf")
    return Estimate(value, error)


def difference(one: Estimate, other: Estimate) -> Estimate:
    """Subtract independent estimates."""
    return Estimate(one.value - other.value, (one.standard_error**2 + other.standard_error**2) ** 0.5)


def _unit_deviation(number: int) -> float:
    """Return the mean of the sample standard deviation of normal numbers of unit variance, c4 in tables: 0.92 of 4."""
    return sqrt(2 / (number - 1)) * exp(lgamma(number / 2) - lgamma((number - 1) / 2))
