"""Figure 1b: digits drawn with transformed copies of one fixed line, and of two fixed primitives."""

from collections.abc import Sequence

from examples.paper.arms import FLAT, NORMAL, ROOT, narrow
from examples.paper.measures import quality
from examples.paper.pictures import parse_rows, reconstructions
from examples.paper.plan import Context, Experiment, Made, RunPlan, Scale, Trained
from rnp_pyro import figures

PRIMITIVES = {"one": "[line]", "two": "[line,arc]"}


def plan(scale: Scale) -> Sequence[RunPlan]:
    """Return the program and the flat baseline for each set of primitives."""
    found = []
    for name, listed in PRIMITIVES.items():
        fixed = ("--model.tree.patch_decoder=primitives", f"--model.tree.primitives={listed}")
        given = (*ROOT, *NORMAL, *narrow(scale), *fixed)
        found.append(RunPlan(f"primitives-{name}", scale.options("mnist", "main", *given)))
        found.append(RunPlan(f"primitives-{name}-vae", scale.options("mnist", "main", *given, *FLAT)))
    return found


def make(runs: Trained, context: Context) -> Made:
    """Measure squared errors, and draw parses beside the baseline's stamps."""
    rows, drawn = [], []
    for name in PRIMITIVES:
        ours, theirs = runs[f"primitives-{name}"], runs[f"primitives-{name}-vae"]
        rows.append(quality(f"RNP, {name} fixed primitive{'s' * (name == 'two')}", ours, context, nats=False))
        rows.append(quality("convolutional VAE, the same", theirs, context, nats=False))
        drawn += parse_rows(ours[0], 3, f"{name} fixed: placement order blue, red, green, orange")
        drawn += reconstructions(theirs[0], 5, "the convolutional VAE that stamps the same")
    published = (
        "squared error per image on training batches, few seeds: RNP 9.0 and VAE 18.9 with one, 8.6 and 11.1 with two "
        "(the authors' code)"
    )
    return Made(rows, figures.panels(drawn), published=published)


EXPERIMENT = Experiment("Figure 1b: digits from fixed primitives", plan, make)
