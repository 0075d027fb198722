"""The numbers of an evaluation: as JSON, as lines, and in words."""

from math import isfinite
from typing import Any

import numpy as np
import torch

from inference.diagnostics import FEWEST, TRUSTED_KHAT
from inference.estimates import standard_error
from inference.importance import Evidence
from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Float, Latent, Tensor

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)

ACTIVE_VARIANCE = 0.01
"""A latent dimension is in use if its posterior mean varies more than this over images (Burda et al. 2016)."""


def as_json(
    evidence: Evidence, errors: Float[Tensor, "images C H W"], active: int | None, seconds: float
) -> dict[str, Any]:
    """Average an evaluation over images.

    Args:
        evidence: Of each image.
        errors: Squared errors of the likelihood's mean at the guide's mean, against grey pixels.
        active: Latent dimensions in use.
        seconds: That weighing took.

    Returns:
        What the JSON file holds; None where a number is not finite or not defined.
    """
    known = evidence.khat[~evidence.khat.isnan()]
    per_image = errors.flatten(-3)
    numbers = {
        "neg_elbo": -evidence.bounds[1].mean().item(),
        "nll": {str(size): -bound.mean().item() for size, bound in evidence.bounds.items()},
        "nll_standard_error": {str(size): standard_error(bound) for size, bound in evidence.bounds.items()},
        "nll_psis": -evidence.smoothed.mean().item(),
        "nll_psis_standard_error": standard_error(evidence.smoothed),
        "kl": evidence.kl.mean().item(),
        "kl_standard_error": standard_error(evidence.kl),
        "squared_error": per_image.sum(-1).mean().item(),
        "mse": per_image.mean().item(),
        "khat": {f"{level:g}": quantile(known, level) for level in QUANTILES},
        "khat_above_0.7": (known > TRUSTED_KHAT).double().mean().item() if len(known) else None,
        "khat_undefined": len(evidence.khat) - len(known),
        "ess": evidence.ess.mean().item(),
        "active_dimensions": active,
        "seconds": round(seconds, 1),
        "nll_by_image": (-evidence.bounds[max(evidence.bounds)]).tolist(),
    }
    return finite(numbers)


def check_comparable(about: dict[str, Any], baseline: dict[str, Any]) -> None:
    """Refuse to compare evaluations of different images, or with different numbers of particles.

    Args:
        about: What must be equal, by the JSON file's keys.
        baseline: What another evaluation's JSON file holds.

    Raises:
        UserError: If something differs.
    """
    # Equal fingerprints are equal images, wherever they are; evaluations of earlier versions have none.
    idle = "data" if "fingerprint" in baseline else "fingerprint"
    differing = [key for key, value in about.items() if key != idle and baseline.get(key) != value]
    if differing:
        expected = ", ".join(f"{key} {about[key]}" for key in differing)
        came = ", ".join(f"{baseline.get(key, 'none')}" for key in differing)
        raise UserError(
            f"--baseline: expected one with {expected}, as here, got {came}: evaluate both runs with the same options, "
            "on the same data"
        )
    bounds = baseline.get("nll_by_image")
    if not (
        isinstance(bounds, list)
        and len(bounds) == about["images"]
        and all(isinstance(one, int | float) and isfinite(one) for one in bounds)
    ):
        raise UserError(
            "--baseline: expected a finite bound for each image in nll_by_image, got something else: evaluate that run "
            "again with --json"
        )


def paired_difference(numbers: dict[str, Any], baseline: dict[str, Any]) -> dict[str, float | None]:
    """Compare the bounds of all particles of two evaluations image by image.

    Args:
        numbers: What an evaluation's JSON file holds.
        baseline: What another's holds, of the same images.

    Returns:
        ``difference_to_baseline``, the mean over images of the bound on -log p(x) less the baseline's, nats: negative
        where the baseline is the worse; and its standard error.
    """
    ours, theirs = (torch.tensor(one["nll_by_image"], dtype=torch.float64) for one in (numbers, baseline))
    found = {
        "difference_to_baseline": (ours - theirs).mean().item(),
        "difference_to_baseline_standard_error": standard_error(ours - theirs),
    }
    return finite(found)


def quantile(values: Float[Tensor, " images"], level: float) -> float | None:
    """Return the value at or above which a share ``1 - level`` lies: one that occurred, since some may be infinite."""
    return float(np.quantile(values.numpy(), level, method="inverted_cdf")) if len(values) else None


def active_dimensions(means: Latent) -> int | None:
    """Count the latent dimensions whose posterior mean varies over images, ``[images Z]``; one image tells nothing."""
    return int((means.var(0) > ACTIVE_VARIANCE).sum()) if len(means) > 1 else None


def describe(numbers: dict[str, Any], latent_size: int) -> str:
    """Format an evaluation as lines."""
    sizes = list(numbers["nll"])
    width = len(f"{numbers['particles']:,}")
    reconstruction = numbers["neg_elbo"] - numbers["kl"]
    errors = numbers["nll_standard_error"]
    khat = ", ".join(f"{float(level):.0%} {_number(value, 2)}" for level, value in numbers["khat"].items())
    above, undefined = numbers["khat_above_0.7"], numbers["khat_undefined"]
    lines = [
        f"{numbers['images']:,} {numbers['split']} images of {numbers['data']}, {numbers['particles']:,} particles "
        f"each, seed {numbers['seed']}; nats per image, +- standard error over images",
        *([f"each posterior refined by {steps} gradient steps"] if (steps := numbers["refine_steps"]) else []),
        f"-ELBO {_with_error(numbers['neg_elbo'], errors['1'])}: reconstruction {reconstruction:.2f}, "
        f"KL {_with_error(numbers['kl'], numbers['kl_standard_error'])}",
        "upper bounds on -log p(x):",
        *(f"  K = {int(size):>{width},}  {_with_error(numbers['nll'][size], errors[size])}" for size in sizes),
        f"PSIS estimate of -log p(x): {_with_error(numbers['nll_psis'], numbers['nll_psis_standard_error'])}",
        f"squared error {numbers['squared_error']:.3f} per image, {numbers['mse']:.5f} per pixel",
        f"Pareto k-hat: not known; it needs at least {FEWEST} particles, got {numbers['particles']}"
        if numbers["particles"] < FEWEST
        else f"Pareto k-hat: {khat}; above {TRUSTED_KHAT} in {'-' if above is None else f'{above:.1%}'} of images"
        + (f", undefined for {undefined:,}" if undefined else ""),
        f"effective sample size: {numbers['ess']:.1f} of {numbers['particles']:,}, mean over images",
        f"active latent dimensions: {_number(numbers['active_dimensions'], 0)} of {latent_size}",
        f"{numbers['seconds']:.1f} seconds",
    ]
    if "baseline" in numbers:
        key = "difference_to_baseline"
        difference = _with_error(numbers[key], numbers[f"{key}_standard_error"])
        lines.append(f"K = {numbers['particles']:,} less that of {numbers['baseline']}: {difference}, paired by image")
    return "\n".join(lines)


def verdict(khat: Float[Tensor, " images"], num_particles: int) -> str:
    """Describe whether the guide can be trusted as a proposal."""
    known = khat[~khat.isnan()]
    if num_particles < FEWEST:
        return f"whether the guide is to be trusted is not known: k-hat needs at least {FEWEST} particles"
    if len(known) == 0:
        return "whether the guide is to be trusted is not known: weights are tied, so that k-hat is not defined"
    above = int((known > TRUSTED_KHAT).sum())
    if above == 0 and len(known) < len(khat):
        return (
            f"k-hat is at most {TRUSTED_KHAT} for the {len(known):,} images where it is defined; of the "
            f"{len(khat) - len(known):,} others, whose weights are tied, nothing is known"
        )
    if above == 0:
        return f"k-hat is at most {TRUSTED_KHAT} for all images: the weights can be trusted"
    return (
        f"k-hat is above {TRUSTED_KHAT} for {above:,} of {len(known):,} images: there the guide is not to be trusted "
        f"as a proposal. A few of the {num_particles:,} weights decide, so that -log p(x) may lie well below the "
        "bounds, the PSIS estimate is unreliable, and so are expectations under the weights. The bounds remain bounds."
    )


def _with_error(value: float | None, error: float | None) -> str:
    return _number(value, 2) + ("" if error is None else f" +- {error:.2f}")


def _number(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"


def finite(value: Any) -> Any:
    """Replace each nan and infinity by None: JSON has neither."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not isfinite(value) else value
