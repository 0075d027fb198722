"""A figure's numbers as JSON and as a Markdown table: mean, spread and number of seeds."""

from collections.abc import Sequence
from statistics import mean, stdev
from typing import Any

from examples.paper.plan import Made, Row


def summary(values: Sequence[float]) -> dict[str, Any]:
    """Return mean, standard deviation over seeds (None for one) and number of values."""
    spread = stdev(values) if len(values) > 1 else None
    return {"mean": mean(values), "sd": spread, "n": len(values), "values": list(values)}


def as_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """Return rows for results.json."""
    return [
        {"name": row.name, "note": row.note, **{key: summary(values) for key, values in row.values.items()}}
        for row in rows
    ]


def markdown(title: str, made: Made, scale: str) -> str:
    """Return a page with the table."""
    columns = list(dict.fromkeys(key for row in made.rows for key in row.values))
    lines = [
        f"# {title}",
        "",
        f"Scale {scale}. Mean +- standard deviation over seeds (number of seeds); without a spread, one seed.",
        "",
        f"| | {' | '.join(columns)} |",
        "|---|" + "---|" * len(columns),
    ]
    for row in made.rows:
        cells = [_cell(row.values.get(column)) for column in columns]
        lines.append(f"| {row.name}{f' ({row.note})' if row.note else ''} | {' | '.join(cells)} |")
    published = ["", f"Published: {made.published}"] if made.published else []
    return "\n".join([*lines, *published, ""])


def _cell(values: Sequence[float] | None) -> str:
    if not values:
        return ""
    found = summary(values)
    spread = "" if found["sd"] is None else f" +- {found['sd']:.2g} ({found['n']})"
    return f"{found['mean']:.4g}{spread}"
