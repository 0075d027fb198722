"""Figure 4: the space of programs, its clusters, and paths between them."""

from collections.abc import Sequence
from typing import Any

from examples.interpolation.config import InterpolateConfig
from examples.interpolation.interpolate import interpolation
from examples.mapping.topography import topography
from examples.paper.arms import mnist, omniglot
from examples.paper.plan import Context, Experiment, Made, Row, RunPlan, Scale, Trained

CHOSEN = {"MNIST": ("mnist", "mnist-vae"), "Omniglot": ("omniglot", "omniglot-vae")}


def plan(scale: Scale) -> Sequence[RunPlan]:
    """Return the runs on digits and characters, each with its flat baseline."""
    wanted = {name for pair in CHOSEN.values() for name in pair}
    return [one for one in (*mnist(scale), *omniglot(scale)) if one.name in wanted]


def make(runs: Trained, context: Context) -> Made:
    """Map programs, draw clusters, and walk between them."""
    rows: list[Row] = []
    more, details = {}, {}
    count, small = context.scale.images, context.scale.name == "smoke"
    for title, (ours, theirs) in CHOSEN.items():
        told, walked = [], []
        for number, (run, flat) in enumerate(zip(runs[ours], runs[theirs], strict=True)):
            found, drawn = topography(run, flat, count, 3 if small else 12, 0)
            walk = InterpolateConfig(
                run="",
                images=count,
                clusters=3 if small else 12,
                pairs=2 if small else 4,
                steps=4 if small else 9,
                particles=context.scale.particles,
            )
            paths, path_figure = interpolation(run, flat, walk)
            told.append(found)
            walked.append(paths)
            if number == 0:
                more |= {f"{title.lower()}-{name}": figure for name, figure in drawn.items()}
                more[f"{title.lower()}-paths"] = path_figure
        details[title] = {"topography": told, "interpolation": walked}
        rows += _rows(title, told, walked)
    main = more.pop("mnist-map")
    return Made(rows, main, more, details=details)


def _rows(title: str, told: Sequence[dict[str, Any]], walked: Sequence[dict[str, Any]]) -> list[Row]:
    """Make rows of what codes tell and how likely paths are, a value for each seed."""
    rows = [Row(f"{title}: levels apart", {"silhouette": [one["silhouette_of_levels"] for one in told]})]
    for key in told[0]:
        if isinstance(told[0][key], dict):
            values = {what: [one[key][what] for one in told] for what in ("probe", "neighbours", "chance")}
            rows.append(Row(f"{title}: {key.replace('_', ' ')}", values))
    for judge in ("judged_by_run", "judged_by_baseline"):
        for path in walked[0][judge]:
            nats = [one[judge][path]["inside"] for one in walked]
            rows.append(Row(f"{title}: {path} path, {judge.replace('_', ' ')}", {"-log p(x) within, nats": nats}))
    return rows


EXPERIMENT = Experiment("Figure 4: topography of program space", plan, make)
