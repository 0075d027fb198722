"""The work of the command ``transfer``."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure

from examples.adaptation.adapt import adapted, divided, measured
from examples.adaptation.config import TransferConfig, check
from rnp_pyro import figures
from rnp_pyro.api.opening import open_trained
from rnp_pyro.api.report import versions
from rnp_pyro.api.run import Run
from rnp_pyro.checkpoint import read_json, write_json
from rnp_pyro.data import ImageData, load_images
from rnp_pyro.data.classes import choose_classes
from rnp_pyro.errors import UserError
from rnp_pyro.figures.colour import part_colour
from rnp_pyro.figures.sheet import DPI, FONT_SIZE
from rnp_pyro.seeds import check_seed

PLAN = "plan.json"


def main(config: TransferConfig) -> dict[str, Any]:
    """Adapt, measure, draw, and write it.

    Raises:
        UserError: If anything does not fit; nothing is written then.
    """
    check(config)
    check_seed("--seed", config.seed)
    runs = {str(path): open_trained(Path(path)) for path in config.run}
    first = next(iter(runs.values()))
    loaded = load_images(config.new, data_dir=config.data_dir, image_size=first.config.image_size)
    data = choose_classes(loaded, config.classes, None)
    for name, run in runs.items():
        if run.image_shape != data.image_shape:
            raise UserError(f"expected new images of {run.image_shape} as in {name}, got {data.image_shape}")
    divided(data, config.split, 1, config.images)
    out = Path(config.out)
    _open(out, {name: value for name, value in vars(config).items() if name != "out"})
    rows = {name: curve(run, data, config, out / f"run-{number}") for number, (name, run) in enumerate(runs.items(), 1)}
    write_json(out / "transfer.json", {"runs": rows, "new": data.name, "steps": config.steps, "versions": versions()})
    figures.save(draw_curves(rows), out / "transfer.png")
    for name, row in rows.items():
        for count, one in row.items():
            print(f"{name}, {count} images: squared error {one['squared_error']:.2f}, -ELBO {one['neg_elbo']:.2f} nats")
    print(f"wrote {out / 'transfer.json'} and {out / 'transfer.png'}")
    return rows


def curve(run: Run, data: ImageData, config: TransferConfig, folder: Path) -> dict[str, dict[str, float]]:
    """Measure a run before and after adaptation to each number of images."""
    tested = divided(data, config.split, 1, config.images).test
    found = {"0": measured(run, tested)}
    for count in config.counts:
        part = divided(data, config.split, count, config.images)
        changed = adapted(run, part, folder / f"adapted-{len(part.train)}", config.steps, config.seed)
        found[str(len(part.train))] = measured(changed, tested)
    return found


def draw_curves(rows: Mapping[str, Mapping[str, Mapping[str, float]]], key: str = "squared_error") -> Figure:
    """Draw a number over the number of images that a run was adapted to; one line for each run."""
    figure = Figure(figsize=(4, 3), dpi=DPI, layout="constrained")
    axes = figure.subplots()
    for number, (name, row) in enumerate(rows.items()):
        counts: Sequence[int] = sorted(map(int, row))
        values = [row[str(count)][key] for count in counts]
        errors = [row[str(count)].get(f"{key}_standard_error") or 0.0 for count in counts]
        colour = part_colour(number)
        axes.errorbar(counts, values, errors, fmt="o-", color=colour, label=name, linewidth=1.2, markersize=3)
    axes.set_xscale("symlog", linthresh=1)
    axes.set_xlabel("images adapted to", fontsize=FONT_SIZE)
    axes.set_ylabel(f"{key.replace('_', ' ')} per image", fontsize=FONT_SIZE)
    axes.tick_params(labelsize=FONT_SIZE)
    axes.legend(fontsize=FONT_SIZE, frameon=False)
    return figure


def _open(out: Path, plan: dict[str, Any]) -> None:
    """Begin, or go on with what the same command began."""
    plain = {name: list(value) if isinstance(value, tuple | list) else value for name, value in plan.items()}
    if (out / PLAN).is_file():
        if read_json(out / PLAN) != plain:
            raise UserError(f"{out} holds another transfer: give its options again to go on, or another --out")
        return
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise UserError(f"expected a new folder with --out, or one that transfer began, got {out}")
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / PLAN, plain)
