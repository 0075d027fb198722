"""The work of the command ``paper``."""

from importlib import import_module
from pathlib import Path
from typing import Any

from examples.paper.config import PaperConfig, check
from examples.paper.plan import Context, Experiment, Made
from examples.paper.runs import Planned, opened, planned, train_all
from examples.paper.scales import scale_of
from examples.paper.table import as_json, markdown
from rnp_pyro import figures
from rnp_pyro.api.report import git_commit, versions
from rnp_pyro.checkpoint import read_object, write_json, write_text
from rnp_pyro.errors import UserError
from rnp_pyro.seeds import check_seed

SCALE = "scale.json"


def main(config: PaperConfig) -> list[Path]:
    """Train what is missing, measure, draw, and write it.

    Returns:
        The figures.

    Raises:
        UserError: If anything does not fit.
    """
    names = check(config)
    for seed in config.seeds:
        check_seed("--seeds", seed)
    out = Path(config.out).resolve()
    _open(out, config.scale)
    scale = scale_of(config.scale, out)
    experiments: dict[str, Experiment] = {name: import_module(f"examples.paper.{name}").EXPERIMENT for name in names}
    plans = {plan.name: plan for one in experiments.values() for plan in one.plan(scale)}
    runs = planned(list(plans.values()), config.seeds, out / "runs", config.data_dir)
    train_all(runs, config.jobs)
    drawn = []
    for name, experiment in experiments.items():
        needed = [plan.name for plan in experiment.plan(scale)]
        (out / name).mkdir(parents=True, exist_ok=True)
        context = Context(scale, out / name, tuple(config.seeds), config.data_dir)
        made = experiment.make(opened(runs, needed), context)
        drawn += _write(name, experiment.title, made, [one for one in runs if one.name in needed], context, out)
        print(f"{name}: {drawn[-1]}", flush=True)
    return drawn


def _open(out: Path, scale: str) -> None:
    """Begin a folder, or go on with one of the same scale."""
    file = out / SCALE
    if out.exists() and not out.is_dir():
        raise UserError(f"expected a folder with --out, got the file {out}")
    if file.is_file():
        if (before := read_object(file).get("scale")) != scale:
            raise UserError(f"{out} holds figures of --scale {before}: give that, or another --out")
        return
    if out.exists() and any(out.iterdir()):
        raise UserError(f"expected a new folder with --out, or one with figures of this command, got {out}")
    out.mkdir(parents=True, exist_ok=True)
    write_json(file, {"scale": scale})


def _write(name: str, title: str, made: Made, runs: list[Planned], context: Context, out: Path) -> list[Path]:
    """Write a figure's files; results.json last, whose being there says that the figure is whole."""
    drawn = [out / f"{name}.png"]
    for suffix in ("png", "pdf"):
        figures.save(made.drawn, out / f"{name}.{suffix}")
        for other, figure in made.more.items():
            figures.save(figure, out / f"{name}-{other}.{suffix}")
    drawn = [*(out / f"{name}-{other}.png" for other in made.more), *drawn]
    write_text(out / f"{name}.md", markdown(title, made, context.scale.name))
    results: dict[str, Any] = {
        "figure": name,
        "title": title,
        "scale": context.scale.name,
        "seeds": list(context.seeds),
        "rows": as_json(made.rows),
        "published": made.published,
        "details": dict(made.details),
        "runs": {one.path.name: _about(one) for one in runs},
        "versions": versions(),
        "git_commit": git_commit(),
    }
    write_json(out / name / "results.json", results)
    return drawn


def _about(one: Planned) -> dict[str, Any]:
    summary = read_object(one.path / "summary.json")
    return {name: summary[name] for name in ("steps", "seconds", "images_per_second", "data", "seed", "git_commit")}
