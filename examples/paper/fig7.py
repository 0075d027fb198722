"""Figure 7: three levels on pairs of digits, beside AIR, and the same model cut off above, on single digits."""

from collections.abc import Sequence
from math import pi

from examples.paper.arms import ROOT
from examples.paper.baselines.objects import objects_of
from examples.paper.baselines.pictures import window_rows
from examples.paper.measures import masks_of, quality, rand_index, root_parts
from examples.paper.pictures import parse_rows, reconstructions
from examples.paper.plan import Context, Experiment, Made, Row, RunPlan, Scale, Trained
from rnp_pyro import figures
from rnp_pyro.api.run import Run

TURNED = f"--model.tree.rotation_limit={pi:.8f}"
PARTS = "[0.2,0.5]"
WHOLES = "[0.3,0.6]"
"""A digit's size on the image, as large as fits at any turn: the pairs' digits have ink on about half of it."""


AIR = ("--model.name=air", "--train.learning_rate=1e-3", "--train.kl_warmup=0", "--train.kl_floor=1")
"""The rate is the best of 1e-4, 3e-4 and 1e-3 on 500 validation images after 800 steps. The KL has its full weight."""


def plan(scale: Scale) -> Sequence[RunPlan]:
    """Return three levels, two with as many leaves, AIR, and what single digits are drawn with."""
    small = scale.name == "smoke"

    def canvases(*sizes: int) -> tuple[str, ...]:
        return () if small else (f"--model.tree.canvas_sizes={list(sizes)}", "--model.tree.patch_size=8")

    three = ("--model.tree.num_steps=[2,4,4]", f"--model.tree.scale_limits=[{WHOLES},{PARTS},{PARTS}]", TURNED, *ROOT)
    two = ("--model.tree.num_steps=[8,4]", f"--model.tree.scale_limits=[{PARTS},{PARTS}]", TURNED, *ROOT)
    cut = ("--model.tree.num_steps=[4,4]", f"--model.tree.scale_limits=[{PARTS},{PARTS}]", TURNED, *ROOT, *canvases(12))
    only = "--train.only=guide"
    return [
        RunPlan("pairs-three", scale.options("pairs", "long", *three, *canvases(20, 12))),
        RunPlan("pairs-two", scale.options("pairs", "long", *two, *canvases(12))),
        RunPlan("pairs-air", scale.options("pairs", "long", *AIR)),
        RunPlan("digits-cut", scale.options("mnist", "main", *cut, only), "pairs-three", "model"),
        RunPlan("digits-direct", scale.options("mnist", "main", *cut)),
        RunPlan("digits-random", scale.options("mnist", "main", *cut, only)),
    ]


def pairs_row(name: str, runs: Sequence[Run], context: Context) -> Row:
    """Measure runs on pairs of digits: quality, and whether the parts are the digits."""
    row, found = quality(name, runs, context), []
    for run in runs:
        images = run.data.test[: context.scale.images]
        parts = objects_of(run.pair, images).objects if run.config.model.name == "air" else root_parts(run, images)
        found.append(rand_index(parts, masks_of(run, len(images))))
    return Row(name, {**row.values, "adjusted Rand index": found})


def make(runs: Trained, context: Context) -> Made:
    """Measure errors, and whether two parts are the two digits."""
    rows = []
    for name, told in (
        ("pairs-three", "a. three levels, 2 x 4 x 4"),
        ("pairs-two", "a. two levels, 8 x 4"),
        ("pairs-air", "a. AIR, two objects"),
    ):
        rows.append(pairs_row(told, runs[name], context))
    for name, told in (
        ("digits-cut", "b. cut to two levels, new encoder"),
        ("digits-direct", "b. two levels trained directly"),
        ("digits-random", "b. random decoder, frozen"),
    ):
        rows.append(quality(told, runs[name], context, nats=False))
    drawn = [
        *parse_rows(runs["pairs-three"][0], 5, "a. pairs of digits: the root's two parts, and each one's own parts"),
        *window_rows(runs["pairs-air"][0], 5, "a. the same by AIR, with its windows"),
        *parse_rows(runs["digits-cut"][0], 3, "b. single digits by the lower two levels"),
        *reconstructions(runs["digits-direct"][0], 6, "the same tree trained directly"),
    ]
    return Made(rows, figures.panels(drawn))


EXPERIMENT = Experiment("Figure 7: three levels, and two of them alone", plan, make)
