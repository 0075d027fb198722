"""The work of the command ``ablate_guides``."""

import contextlib
import io
import shutil
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from examples import train_svi
from examples.ablation.config import AblateConfig
from examples.ablation.plan import Plan, Variant, make_plan, read
from examples.ablation.table import by_variant, table
from examples.evaluation import evaluate
from examples.evaluation.config import MOST_PARTICLES, EvaluateConfig
from rnp_pyro import figures
from rnp_pyro.api.opening import open_trained
from rnp_pyro.api.report import git_commit, versions
from rnp_pyro.checkpoint import (
    CHECKPOINT,
    METRICS,
    SUMMARY,
    WEIGHTS,
    read_json,
    read_metrics,
    read_object,
    write_json,
    write_text,
)
from rnp_pyro.data import load_images
from rnp_pyro.errors import UserError
from rnp_pyro.messages import one_line

PLAN, RESULTS, TABLE, FIGURE = "plan.json", "ablation.json", "ablation.md", "ablation.png"
EVALUATION = "evaluation.json"


def main(config: AblateConfig) -> list[dict[str, Any]]:
    """Train, evaluate, and write the table.

    Returns:
        One entry per run, as in ablation.json.

    Raises:
        UserError: If anything does not fit (nothing is written then), or if no run could be trained.
    """
    for name in ("particles", "images"):
        if getattr(config, name) < 1:
            raise UserError(f"--{name} must be at least 1, got {getattr(config, name)}")
    if config.particles > MOST_PARTICLES:
        raise UserError(f"--particles must be within 1 to {MOST_PARTICLES:,}, got {config.particles:,}")
    plan = make_plan(config, load_images(config.data))
    out = Path(config.out)
    _open(out, config)
    for reason in plan.left_out:
        print(f"left out {reason}")
    pending = [(variant, seed) for seed in plan.seeds for variant in plan.variants]
    results, failed = [], []
    for number, (variant, seed) in enumerate(pending, start=1):
        try:
            found = run_one(variant, seed, config)
        except (KeyboardInterrupt, SystemExit):  # the second from training, with the signal's status
            print(f"interrupted: the same command continues with {variant.name}, seed {seed}", flush=True)
            raise
        except UserError as error:  # the others are worth having
            failed.append(f"{variant.name}, seed {seed}: {one_line(error)}")
            print(f"{number}/{len(pending)} failed: {failed[-1]}", flush=True)
            continue
        results.append(found)
        print(
            f"{number}/{len(pending)} {variant.name}, seed {seed}: -ELBO {found['neg_elbo']:.2f}, bound "
            f"{found['bound']:.2f}, {found['images_per_second']:.0f} images/s",
            flush=True,
        )
        _write(results, plan, failed, config, out)
    if not results:
        raise UserError("none of the runs could be trained and evaluated: " + "; ".join(failed))
    _write(results, plan, failed, config, out)
    print(table(results, config.particles))
    print(f"wrote {out / RESULTS}, {out / TABLE} and {out / FIGURE}")
    return results


def run_one(variant: Variant, seed: int, config: AblateConfig) -> dict[str, Any]:
    """Train and evaluate one run, or what is left of that to do."""
    path = Path(config.out) / f"{variant.name}_seed{seed}"
    settings = replace(read(config.base, variant.arguments), seed=seed, run=str(path))
    quiet = io.StringIO()
    if path.is_dir() and not any((path / name).is_file() for name in (CHECKPOINT, SUMMARY)):
        shutil.rmtree(path)  # stopped before its first checkpoint: nothing was trained yet
    if not (path / SUMMARY).is_file() or not (path / WEIGHTS).is_file():
        with contextlib.redirect_stdout(quiet):
            train_svi.main(settings, resume=path if (path / CHECKPOINT).is_file() else None)
    if not (path / SUMMARY).is_file():
        raise KeyboardInterrupt  # the user stopped the run; it was saved, and the ablation goes on from it
    if not (path / EVALUATION).is_file():
        with contextlib.redirect_stdout(quiet):
            evaluate.main(
                EvaluateConfig(
                    run=str(path),
                    particles=config.particles,
                    images=config.images,
                    split=config.split,
                    json=str(path / EVALUATION),
                )
            )
    numbers, trained = read_object(path / EVALUATION), read_object(path / SUMMARY)
    modules = open_trained(path).pair.modules
    try:
        found = {
            "neg_elbo": numbers["neg_elbo"],
            "bound": numbers["nll"][str(config.particles)],
            "bound_standard_error": numbers["nll_standard_error"][str(config.particles)],
            "khat": numbers["khat"]["0.5"],
            "kl": numbers["kl"],
            "squared_error": numbers["squared_error"],
            "images_per_second": trained["images_per_second"],
            "seconds": trained["seconds"],
        }
    except (KeyError, TypeError) as error:
        raise UserError(
            f"expected the numbers of a run and of its evaluation in {path}, found no {error}: {SUMMARY} or "
            f"{EVALUATION} is damaged; remove the folder to train it again"
        ) from None
    parameters = sum(parameter.numel() for parameter in modules.parameters())
    about = {"name": variant.name, "choices": variant.choices, "seed": seed, "run": str(path)}
    return {**about, **found, "parameters": parameters}


def _open(out: Path, config: AblateConfig) -> None:
    """Begin, or go on with the ablation that is there.

    Raises:
        UserError: If the folder holds something else, or another ablation.
    """
    plan = {name: value for name, value in asdict(config).items() if name != "out"}
    if (out / PLAN).is_file():
        if read_json(out / PLAN) != plan:
            raise UserError(f"{out} holds another ablation: give its settings again to continue, or another --out")
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"expected a new folder with --out, or one with an ablation, got {out}")
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / PLAN, plan)


def _write(
    results: Sequence[dict[str, Any]], plan: Plan, failed: Sequence[str], config: AblateConfig, out: Path
) -> None:
    """Write what is known so far."""
    about = {"settings": asdict(config), "left_out": plan.left_out, "versions": versions(), "git_commit": git_commit()}
    write_json(out / RESULTS, {**about, "failed": list(failed), "results": list(results)})
    write_text(out / TABLE, table(results, config.particles) + "\n")
    curves = {
        " ".join(group[0]["choices"].values()): [_curve(one["run"]) for one in group] for group in by_variant(results)
    }
    figures.save(figures.ablation(curves), out / FIGURE)


def _curve(run: str) -> tuple[list[float], list[float]]:
    """Read seconds and validation bounds of a run."""
    rows = [row for row in read_metrics(Path(run) / METRICS) if row["validation_neg_elbo"]]
    return [float(row["seconds"]) for row in rows], [float(row["validation_neg_elbo"]) for row in rows]
