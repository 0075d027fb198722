"""An ablation's results as a table: each variant's mean and spread over seeds."""

from collections.abc import Mapping, Sequence
from statistics import mean, stdev
from typing import Any

COLUMNS = {
    "neg_elbo": ("-ELBO", ".2f"),
    "bound": ("bound, K = {particles}", ".2f"),
    "khat": ("median k-hat", ".2f"),
    "kl": ("KL", ".2f"),
    "squared_error": ("squared error", ".2f"),
    "images_per_second": ("images/s", ".0f"),
    "parameters": ("parameters", ",.0f"),
    "seconds": ("seconds", ".0f"),
}
"""A result's numbers, their headings and formats. Bounds and KL are nats per image, squared errors per image too."""

Result = Mapping[str, Any]
"""One run's numbers, with ``choices`` and ``seed``."""


def table(results: Sequence[Result], particles: int) -> str:
    """Write the table in Markdown: a row for each variant, best bound first, mean +- standard deviation over seeds."""
    names = list(results[0]["choices"])
    headings = [*names, "seeds", *(heading.format(particles=particles) for heading, _ in COLUMNS.values())]
    rows = [f"| {' | '.join(headings)} |", f"|{'---|' * len(headings)}"]
    for group in by_variant(results):
        cells = [*(str(group[0]["choices"][name]) for name in names), str(len(group))]
        cells += [_cell([one[key] for one in group], form) for key, (_, form) in COLUMNS.items()]
        rows.append(f"| {' | '.join(cells)} |")
    return "\n".join(rows)


def by_variant(results: Sequence[Result]) -> list[list[Result]]:
    """Group the runs of equal choices, the best mean bound first."""
    groups: dict[str, list[Result]] = {}
    for one in results:
        groups.setdefault(one["name"], []).append(one)
    return sorted(groups.values(), key=lambda group: mean(one["bound"] for one in group))


def _cell(values: Sequence[float | None], form: str) -> str:
    known = [value for value in values if value is not None]
    if not known:
        return "-"  # k-hat of too few particles
    spread = f" +- {stdev(known):{form}}" if len(set(known)) > 1 else ""
    return f"{mean(known):{form}}{spread}"
