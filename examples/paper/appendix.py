"""Appendix: the paper's own settings for a while, and what the authors' KL does to the bound."""

from collections.abc import Sequence

from examples.adaptation.adapt import measured
from examples.paper.measures import ERROR
from examples.paper.pictures import parse_rows
from examples.paper.plan import Context, Experiment, Made, Row, RunPlan, Scale, Trained
from inference.bounds import elbo_terms
from rnp_pyro import figures
from rnp_pyro.api.encoding import encode
from rnp_pyro.api.report import EVALUATION_SEED
from rnp_pyro.api.run import Run
from rnp_pyro.shapes import Float, Tensor

HONEST, THEIRS = "-ELBO, nats", "their bound, nats"


def plan(scale: Scale) -> Sequence[RunPlan]:
    """Return the presets that keep to the appendix."""
    return [
        RunPlan(name, (f"--preset={name}", *scale.options(data, "short")))
        for name, data in (("paper-mnist", "mnist"), ("paper-omniglot", "omniglot"))
    ]


def make(runs: Trained, context: Context) -> Made:
    """Compare the KL that agrees with the sampler with the one of the authors' code."""
    rows = [_row(name, runs[name], context) for name in runs]
    drawn = [one for name in runs for one in parse_rows(runs[name][0], 3, f"{name}: the appendix's settings")]
    return Made(rows, figures.panels(drawn))


def _row(name: str, runs: Sequence[Run], context: Context) -> Row:
    values: dict[str, list[float]] = {key: [] for key in (ERROR, "KL, nats", "their KL, nats", HONEST, THEIRS)}
    for run in runs:
        images = run.data.test[: context.scale.images]
        observed = run.pair.prepare_fixed(images, EVALUATION_SEED)
        codes, level = encode(run.pair, observed), run.pair.model.decoder.num_levels
        loc, spread = codes[f"z.{level}"], codes[f"posterior_scale.{level}"]
        honest, theirs = (float(kl(loc, spread).mean()) for kl in (honest_kl, authors_kl))
        rebuilt = float(elbo_terms(run.pair.model, run.pair.guide, observed, EVALUATION_SEED).reconstruction.mean())
        error = measured(run, images)["squared_error"]
        found = (error, honest, theirs, rebuilt + honest, rebuilt + theirs)
        for key, value in zip(values, found, strict=True):
            values[key].append(value)
    return Row(name, values)


def honest_kl(loc: Float[Tensor, "N Z"], scale: Float[Tensor, "N Z"]) -> Float[Tensor, " N"]:
    """Return the KL of normals from the prior, nats: sum of (loc^2 + scale^2 - 1) / 2 - log scale."""
    return ((loc.square() + scale.square() - 1) / 2 - scale.log()).sum(-1)


def authors_kl(loc: Float[Tensor, "N Z"], scale: Float[Tensor, "N Z"]) -> Float[Tensor, " N"]:
    """Return what the authors' code takes for it, of the same posterior.

    Its "log variance" v is the log of the scale when sampling (line 16 of Algorithm 1), and is taken for the log of the
    variance here, without the factor 1/2: sum of loc^2 + exp(v) - 1 - v, with v = log scale.
    """
    return (loc.square() + scale - 1 - scale.log()).sum(-1)


EXPERIMENT = Experiment("Appendix: the paper's settings, and its KL", plan, make)
