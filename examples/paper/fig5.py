"""Figure 5: samples of the prior."""

from collections.abc import Sequence

from examples.paper.arms import mnist, objects, omniglot
from examples.paper.pictures import sample_rows
from examples.paper.plan import Context, Experiment, Made, Row, RunPlan, Scale, Trained
from examples.scoring.score import score
from rnp_pyro import figures

CHOSEN = {
    "MNIST": ("mnist", "mnist-nodes", "mnist-vae"),
    "Omniglot": ("omniglot", "omniglot-vae"),
    "ETH-80": ("objects", "objects-vae"),
}
MEASURES = {"frechet": "Frechet", "kernel": "kernel", "precision": "precision", "recall": "recall"}


def plan(scale: Scale) -> Sequence[RunPlan]:
    """Return the runs on all three data sets."""
    wanted = {name for some in CHOSEN.values() for name in some}
    return [one for one in (*mnist(scale), *omniglot(scale), *objects(scale)) if one.name in wanted]


def make(runs: Trained, context: Context) -> Made:
    """Score samples beside the flat baseline's and training images, and draw some."""
    rows, drawn, accuracies = [], [], {}
    for title, names in CHOSEN.items():
        found = {name: [] for name in (*names, "training images")}
        for seed in range(len(context.seeds)):
            scored = score([runs[name][seed] for name in names], context.scale.images, context.scale.judge_steps, 0)
            accuracies[title] = {"task": scored["task"], "accuracy": scored["accuracy"]}
            for name, row in zip(found, scored["rows"].values(), strict=True):
                found[name].append(row)
        for name, some in found.items():
            values = {told: [one[key] for one in some] for key, told in MEASURES.items()}
            rows.append(Row(f"{title}: {name}", values))
        drawn += sample_rows(runs[names[0]][0], 10, f"{title}: samples of the prior, parts blue, red, green, orange")
    return Made(rows, figures.panels(drawn), details={"classifiers": accuracies})


EXPERIMENT = Experiment("Figure 5: samples of the prior", plan, make)
