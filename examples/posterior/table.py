"""The numbers of ``reference_posterior`` as a table, and in words."""

from collections.abc import Callable, Sequence
from typing import Any

from inference.diagnostics import TRUSTED_KHAT

TRUSTED_RHAT = 1.05
"""r-hat up to which chains are taken to have drawn from one distribution, the image's posterior."""

Numbers = dict[str, Any]


def _plain(name: str, digits: int) -> Callable[[Numbers], str]:
    return lambda numbers: _text(numbers[name], digits)


def _inner(name: str, key: str, digits: int) -> Callable[[Numbers], str]:
    return lambda numbers: _text(numbers[name][key], digits)


def _estimate(name: str) -> Callable[[Numbers], str]:
    def show(numbers: Numbers) -> str:
        error = numbers[name]["standard_error"]
        return _text(numbers[name]["value"], 2) + ("" if error is None else f" +- {error:.2f}")

    return show


COLUMNS: dict[str, tuple[int, Callable[[Numbers], str]]] = {
    "image": (5, _plain("image", 0)),
    "r-hat": (6, _plain("rhat", 3)),
    "ESS": (5, _plain("ess", 0)),
    "shift": (6, _inner("loc_difference", "rms", 2)),
    "ratio": (6, _inner("scale_ratio", "median", 2)),
    "least": (6, _inner("scale_ratio", "smallest", 2)),
    "ELBO": (15, _estimate("elbo")),
    "best normal": (15, _estimate("best_elbo")),
    "log p(x)": (15, _estimate("log_evidence")),
    "k-hat": (6, _plain("khat", 2)),
    "annealed": (15, _estimate("annealed_log_evidence")),
    "approximation": (13, _estimate("approximation_gap")),
    "amortization": (13, _estimate("amortization_gap")),
    "seconds": (7, _plain("seconds", 0)),
}
"""Heading to width and how the column shows an image's numbers."""

LEGEND = (
    "r-hat: largest over dimensions; ESS: smallest. shift: guide's mean less NUTS's, in NUTS's standard deviations, "
    "root mean square over dimensions; ratio, least: guide's standard deviation over NUTS's, median and smallest over "
    "dimensions. The rest in nats, +- standard error: log p(x) by annealed importance sampling from NUTS's "
    "moments, k-hat that of its weights; "
    "annealed: the same by the populations that chains start from; approximation: log p(x) less the best normal's "
    "ELBO; amortization: that less the guide's."
)


def head() -> str:
    """Return the columns' names."""
    return "  ".join(name.rjust(width) for name, (width, _) in COLUMNS.items())


def row(numbers: Numbers) -> str:
    """Return one image's line."""
    return "  ".join(show(numbers).rjust(width) for width, show in COLUMNS.values())


def markdown(images: Sequence[Numbers]) -> str:
    """Return the table as Markdown, for a document."""
    lines = [list(COLUMNS), ["---:"] * len(COLUMNS)]
    lines += [[show(numbers) for _, show in COLUMNS.values()] for numbers in images]
    return "\n".join("| " + " | ".join(line).replace("+-", "±") + " |" for line in lines)


def caption(numbers: Numbers) -> str:
    """Return one image's line in the figure."""
    gaps = [_estimate(name)(numbers) for name in ("approximation_gap", "amortization_gap")]
    return (
        f"test image {numbers['image']}: r-hat {_text(numbers['rhat'], 3)}, "
        f"approximation gap {gaps[0]}, amortization gap {gaps[1]} nats"
    ).replace("+-", "±")


def verdict(images: Sequence[Numbers]) -> str:
    """Describe what of it can be trusted."""
    mixed = [numbers for numbers in images if _at_most(numbers["rhat"], TRUSTED_RHAT)]
    weighed = [numbers for numbers in images if _at_most(numbers["khat"], TRUSTED_KHAT)]
    lines = [f"r-hat is at most {TRUSTED_RHAT} for {len(mixed)} of {len(images)} images" + _unless(images, mixed)]
    if len(mixed) < len(images):
        lines[0] += (
            ": their chains disagree, or are too few to tell, and their moments are not to be trusted; try more --draws"
        )
    lines += [
        f"k-hat of log p(x) is at most {TRUSTED_KHAT} for {len(weighed)} of {len(images)}" + _unless(images, weighed)
    ]
    if len(weighed) < len(images):
        lines[1] += ": a few weights decide their log p(x), which may be larger; compare the annealed estimate"
    low = [numbers for numbers in images if _below_its_bound(numbers)]
    if low:
        lines.append(
            f"log p(x) came out below the best bound for {', '.join(str(numbers['image']) for numbers in low)}, which "
            "cannot be: there are too few particles, draws or temperatures, and these numbers are of no use"
        )
    divergent = sum(numbers["divergences"] for numbers in images)
    return "\n".join([*lines, f"divergent transitions: {divergent}"])


def _at_most(value: float | None, limit: float) -> bool:
    return value is not None and value <= limit


def _below_its_bound(numbers: Numbers) -> bool:
    """Return whether log p(x) came out below the best normal's bound by more than chance."""
    evidence, best = numbers["log_evidence"], numbers["best_elbo"]
    known = [evidence["value"], best["value"], evidence["standard_error"], best["standard_error"]]
    return None not in known and known[0] < known[1] - 3 * (known[2] + known[3])


def _unless(images: Sequence[Numbers], good: Sequence[Numbers]) -> str:
    others = [str(numbers["image"]) for numbers in images if numbers not in good]
    return f"; not for {', '.join(others)}" if others else ""


def _text(value: float | None, digits: int) -> str:
    return "-" if value is None else f"{value:.{digits}f}"
