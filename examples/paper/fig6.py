"""Figure 6: transfer. Encoders alone adapt to what was not seen; one hypernetwork alone goes to other images."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import mean
from typing import Any, Literal

from examples.adaptation.adapt import divided, measured
from examples.adaptation.config import TransferConfig
from examples.adaptation.transfer import curve, draw_curves
from examples.paper.arms import REGULAR, colour, mnist, omniglot
from examples.paper.measures import BOUND, ERROR, quality
from examples.paper.pictures import parse_rows, reconstructions
from examples.paper.plan import Context, Experiment, Made, Row, RunPlan, Scale, Trained
from rnp_pyro import figures
from rnp_pyro.api.run import Run
from rnp_pyro.data import ImageData, load_images
from rnp_pyro.data.classes import choose_classes

Curve = Mapping[str, Mapping[str, Any]]


def unseen(scale: Scale) -> str:
    """Return the class that is left out: 7, as in the paper."""
    return "3" if scale.name == "smoke" else "7"


def plan(scale: Scale) -> Sequence[RunPlan]:
    """Return the runs that are adapted, those that saw all, and those that take a hypernetwork from objects."""
    kept = {"mnist": "", "mnist-vae": "", "omniglot": "", "omniglot-vae": ""}
    common = [one for one in (*mnist(scale), *omniglot(scale)) if one.name in kept]
    without = f"--classes_out={unseen(scale)}"
    part = [
        replace(one, name=one.name.replace("mnist", "without"), options=(*one.options, without))
        for one in common
        if one.name.startswith("mnist")
    ]
    given = (*colour(scale), *REGULAR)
    fixed = "--train.freeze=state_hypernet"
    return [
        *common,
        *part,
        RunPlan("objects", scale.options("objects", "main", *given)),
        RunPlan("clothes-kept", scale.options("clothes", "main", *given, fixed), "objects", "state_hypernet"),
        RunPlan("clothes-scratch", scale.options("clothes", "main", *given)),
        RunPlan("clothes-random", scale.options("clothes", "main", *given, fixed)),
    ]


def make(runs: Trained, context: Context) -> Made:
    """Measure errors before and after adaptation, over the number of images adapted to."""
    scale, rows, more, details = context.scale, [], {}, {}
    digits = choose_classes(_load(scale.data["mnist"], runs["mnist"][0], context), unseen(scale), None)
    characters = _load(scale.data["omniglot"], runs["omniglot"][0], context)
    tasks: dict[str, tuple[ImageData, Literal["train", "test"], dict[str, str]]] = {
        "a. the unseen digit": (digits, "train", {"RNP": "without", "flat VAE": "without-vae"}),
        "b. evaluation alphabets": (characters, "test", {"RNP": "omniglot", "flat VAE": "omniglot-vae"}),
        "b. MNIST to Omniglot": (characters, "test", {"RNP": "mnist", "flat VAE": "mnist-vae"}),
    }
    for number, (title, (data, split, arms)) in enumerate(tasks.items()):
        curves = {
            arm: [
                _adapted(run, data, split, context, f"task{number}-{name}-seed{seed}")
                for run, seed in zip(runs[name], context.seeds, strict=True)
            ]
            for arm, name in arms.items()
        }
        for arm, found in curves.items():
            for count in found[0]:
                note = "before" if count == "0" else f"{count} images"
                rows.append(_row(f"{title}, {arm}", [one[count] for one in found], note))
        details[title] = curves
        more[f"curve{number + 1}"] = draw_curves({arm: _mean(found) for arm, found in curves.items()})
    tested = divided(digits, "train", 1, scale.images).test
    saw = [measured(run, tested) for run in runs["mnist"]]
    rows.insert(0, _row("a. the unseen digit, RNP that saw all", saw, "the aim"))
    for name, told in (
        ("kept", "H_state of ETH-80 kept"),
        ("scratch", "all new"),
        ("random", "random H_state, frozen"),
    ):
        rows.append(quality(f"c. coloured clothes, {told}", runs[f"clothes-{name}"], context, nats=False))
    drawn = [
        *parse_rows(runs["without"][0], 3, "a. trained without one digit: digits that it saw"),
        *parse_rows(runs["omniglot"][0], 3, "b. evaluation alphabets, before adaptation"),
        *reconstructions(runs["clothes-kept"][0], 6, "c. coloured clothes with H_state of ETH-80"),
        *reconstructions(runs["clothes-scratch"][0], 6, "the same, all trained from scratch"),
    ]
    return Made(rows, figures.panels(drawn), more, details=details)


def _load(name: str, like: Run, context: Context) -> ImageData:
    return load_images(name, data_dir=context.data_dir, image_size=like.config.image_size)


def _adapted(run: Run, data: ImageData, split: Literal["train", "test"], context: Context, folder: str) -> Curve:
    """Adapt a run's encoder to each number of images; folders hold the run's weights in their name."""
    scale = context.scale
    config = TransferConfig(
        run=[], new=data.name, out="", counts=scale.counts, split=split, steps=scale.adapt_steps, images=scale.images
    )
    assert run.weights_hash is not None
    return curve(run, data, config, context.out / f"{folder}-{run.weights_hash[:10]}")


def _row(name: str, found: Sequence[Mapping[str, Any]], note: str) -> Row:
    values = {ERROR: [one["squared_error"] for one in found], BOUND: [one["neg_elbo"] for one in found]}
    return Row(name, values, note)


def _mean(found: Sequence[Curve]) -> dict[str, dict[str, float]]:
    return {count: {"squared_error": mean(one[count]["squared_error"] for one in found)} for count in found[0]}


EXPERIMENT = Experiment("Figure 6: transfer", plan, make)
