"""Section 2.1: one depth at a time, all depths at once, and depths in parallel, for equal time.

Depths in parallel, the paper's future work, are eq. (1)'s second term at weight 1: the tree that is cut off at its
parts and the whole tree explain the image side by side.
"""

from collections.abc import Sequence

from examples.paper.arms import ROOT
from examples.paper.measures import quality
from examples.paper.plan import Context, Experiment, Made, RunPlan, Scale, Trained
from rnp_pyro import figures
from rnp_pyro.checkpoint import METRICS, read_metrics
from rnp_pyro.figures.series import column


def plan(scale: Scale) -> Sequence[RunPlan]:
    """Return the arms; one depth at a time has half of the time for each depth."""
    patch = ROOT if scale.name == "smoke" else (*ROOT, "--model.tree.patch_size=8")
    one = ("--model.tree.num_steps=[4]", *patch)
    return [
        RunPlan("depth-one", scale.options("mnist", "half", *one)),
        RunPlan("depth-one-two", scale.options("mnist", "half", *patch), "depth-one"),
        RunPlan("depth-together", scale.options("mnist", "main", *patch)),
        RunPlan("depth-parallel", scale.options("mnist", "main", *patch, "--model.part_term_weight=1")),
    ]


ROWS = {
    "depth-one": "one level, half of the time",
    "depth-one-two": "one depth at a time: a second level on it, the other half",
    "depth-together": "all depths at once",
    "depth-parallel": "depths in parallel",
}


def make(runs: Trained, context: Context) -> Made:
    """Measure nats, and draw the bound over time."""
    rows = [quality(told, runs[name], context) for name, told in ROWS.items()]
    curves = {}
    for name, told in ROWS.items():
        curves[told] = []
        for number, run in enumerate(runs[name]):
            assert run.path is not None
            table = [row for row in read_metrics(run.path / METRICS) if row["validation_neg_elbo"]]
            seconds, before = column(table, "seconds"), runs["depth-one"][number].path
            if name == "depth-one-two" and before is not None:
                seconds = seconds + float(read_metrics(before / METRICS)[-1]["seconds"])
            curves[told].append((list(seconds), list(column(table, "validation_neg_elbo"))))
    return Made(rows, figures.ablation(curves))


EXPERIMENT = Experiment("Section 2.1: one depth at a time", plan, make)
