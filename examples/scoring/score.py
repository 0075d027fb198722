"""The work of the command ``score_samples``."""

from pathlib import Path
from typing import Any

from examples.scoring.classifier import train_judge
from examples.scoring.config import ScoreConfig, check
from examples.scoring.distances import distances
from examples.shared.cli import check_output
from inference.predictive import sample_prior
from rnp_pyro.api.opening import open_trained
from rnp_pyro.api.report import versions
from rnp_pyro.api.run import Run
from rnp_pyro.checkpoint import write_json
from rnp_pyro.data import to_unit
from rnp_pyro.errors import UserError
from rnp_pyro.seeds import check_seed

LEAST = 8
"""Images that distances need."""


def main(config: ScoreConfig) -> dict[str, Any]:
    """Score, print, and write what is asked for.

    Raises:
        UserError: If anything does not fit; nothing is written then.
    """
    check(config)
    check_seed("--seed", config.seed)
    if config.json is not None:
        check_output("--json", Path(config.json), config.overwrite)
    runs = [open_trained(Path(config.run), data=config.data, data_dir=config.data_dir)]
    if config.baseline is not None:
        runs.append(open_trained(Path(config.baseline), data=config.data, data_dir=config.data_dir))
    found = score(runs, config.num, config.steps, config.seed)
    for name, row in found["rows"].items():
        print(
            f"{name}: Frechet {row['frechet']:.3f}, kernel {row['kernel']:.4f} +- {row['kernel_sd']:.4f}, "
            f"precision {row['precision']:.2f}, recall {row['recall']:.2f}"
        )
    print(
        f"{found['images']} test images of {found['data']}; features of a classifier of {found['task']}, "
        f"accuracy {found['accuracy']:.3f}"
    )
    if config.json is not None:
        write_json(Path(config.json), found)
    return found


def score(runs: list[Run], num: int, steps: int, seed: int) -> dict[str, Any]:
    """Score the samples of runs on one data set, and as many training images beside them.

    Raises:
        UserError: If the runs' images differ, or are too few.
    """
    first = runs[0]
    for run in runs[1:]:
        if run.record.fingerprints != first.record.fingerprints:
            raise UserError(f"expected runs on the same images, got {first.record.name} and {run.record.name}")
    data = first.data
    images = to_unit(data.test[:num])
    if len(images) < LEAST:
        raise UserError(f"distances need at least {LEAST} test images, got {len(images)} in {data.name}")
    judge = train_judge(data, steps, seed)
    rows = {}
    for run in runs:
        samples = sample_prior(run.pair.model, run.image_shape, len(images), seed=seed).mean
        rows[run.name] = distances(judge.network, images, samples, seed)
    held = to_unit(data.train[: len(images)])
    rows["training images"] = distances(judge.network, images, held, seed)
    about = {"data": data.name, "images": len(images), "task": judge.task, "accuracy": judge.accuracy}
    return {"rows": rows, **about, "steps": steps, "seed": seed, "versions": versions()}
