"""The work of the command ``sample``."""

from math import isnan
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from tqdm import tqdm

from examples.sampling.config import SampleConfig
from examples.shared.chosen import Chosen, choose
from examples.shared.cli import check_files
from examples.shared.outputs import output_folder
from inference.completion.fillings import Search
from inference.diagnostics import FEWEST, TRUSTED_KHAT
from inference.predictive import Programs, Weighed, programs_of, resample, sample_prior, take, weigh_given
from rnp_pyro import figures
from rnp_pyro.api.opening import open_trained
from rnp_pyro.api.report import SHOWN_SAMPLES
from rnp_pyro.api.run import Run
from rnp_pyro.checkpoint import write_atomically
from rnp_pyro.errors import UserError
from rnp_pyro.figures.printing import PrintedImage, on_paper
from rnp_pyro.part_tree.value import select, tree_value
from rnp_pyro.pictures.mask import seen_pixels
from rnp_pyro.seeds import check_seed
from rnp_pyro.shapes import Bool, Float, Tensor
from rnp_pyro.tree import Tree
from rnp_pyro.writing import writing

MOST = 10_000
"""Samples, and particles, that are kept in memory."""

SHOWN = 8
"""Different completions in a figure."""

LEAST_SHOWN = 0.001
"""Smallest weight that a figure writes as a number."""

HIDDEN = 0.25
"""How much of its light a hidden pixel loses in a figure."""


def main(config: SampleConfig) -> list[Path]:
    """Sample, draw and write.

    Returns:
        The files.

    Raises:
        UserError: If anything does not fit; nothing is written then.
    """
    _check(config)
    run = open_trained(Path(config.run), data=config.data, data_dir=config.data_dir)
    shape = run.image_shape
    seen = torch.ones(shape, dtype=torch.bool) if config.mask is None else seen_pixels(config.mask, shape)
    name = "completions" if config.given or config.index else "samples"
    out = output_folder(config.run, "samples", config.out)
    paths = [out / f"{name}.png", out / f"{name}.npz"]
    check_files(paths, config.overwrite)
    figure, arrays = _complete(run, config, seen) if name == "completions" else _sample(run, config)
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        figures.save(figure, paths[0])
        write_atomically(paths[1], lambda temporary: _save(arrays, temporary))
    print(f"{name}: {paths[0]} {paths[1]}")
    return paths


def complete(run: Run, chosen: Chosen, seen: Bool[Tensor, "C H W"], search: Search, silent: bool = False) -> Weighed:
    """Weigh programs that explain what is seen of the chosen images.

    The amortized guide proposes, never refined: that would climb towards pixels that are hidden.
    """
    observed = chosen.observed(run)
    with tqdm(total=len(observed), unit="image", disable=True if silent else None) as bar:
        return weigh_given(run.pair.model, run.pair.amortized, observed, seen, search, bar.update)


def _sample(run: Run, config: SampleConfig) -> tuple[Figure, dict[str, Tensor]]:
    """Draw from the prior."""
    drawn = sample_prior(run.pair.model, run.image_shape, config.num, config.temperature, config.seed)
    print(f"{config.num} samples of the prior at temperature {config.temperature:g}")
    return figures.prior_samples(drawn.mean[:SHOWN_SAMPLES], _parts(run, drawn)), _arrays(drawn)


def _complete(run: Run, config: SampleConfig, seen: Bool[Tensor, "C H W"]) -> tuple[Figure, dict[str, Tensor]]:
    """Sample given images."""
    chosen = choose(run, config.index, config.given, config.split, config.as_is)
    chosen.tell()
    search = Search(config.particles, config.rounds if config.mask is not None else 0, seed=config.seed)
    weighed = complete(run, chosen, seen, search)
    resampled = resample(weighed, config.num, config.seed)
    latents = take(weighed.latents, resampled)
    arrays = {
        "given": chosen.grey,
        "seen": seen,
        "expected": weighed.mean,
        "log_weight": weighed.log_weight.T,
        "weight": weighed.smoothed.exp().T,
        "khat": weighed.khat,
        "ess": weighed.ess,
        "particle": resampled.T,
    }
    rows: list[figures.Row] = []
    by_image: list[dict[str, Tensor]] = []
    for at, name in enumerate(chosen.names):
        drawn = programs_of(run.pair.model, {site: value[:, at] for site, value in latents.items()}, run.image_shape)
        by_image.append(_arrays(drawn))
        different = _different(resampled[:, at])
        line = (
            f"{name}: {config.num} draws, {len(different)} different; effective sample size "
            f"{weighed.ess[at]:.1f} of {config.particles} particles; k-hat {_judge(float(weighed.khat[at]))}"
        )
        print(line)
        share = weighed.smoothed[resampled[different, at], at].exp()
        title = f"{line}; below, the particles' smoothed weights"
        rows += _rows(run, chosen, at, seen, weighed.mean[at], drawn, different[:SHOWN], share, title)
    for name in by_image[0]:
        arrays[name] = torch.stack([one[name] for one in by_image])
    return figures.panels(rows), arrays


def _judge(khat: float) -> str:
    """Print k-hat, and what it means."""
    if isnan(khat):
        return f"not known: it needs at least {FEWEST} particles, and weights that are not tied"
    if khat <= TRUSTED_KHAT:
        return f"{khat:.2f}: the weights can be trusted"
    return f"{khat:.2f}, above {TRUSTED_KHAT}: the weights are rough, not a sample of the exact posterior"


def _different(particles: Tensor) -> Tensor:
    """Return the first place of each particle that was drawn, in order."""
    first: dict[int, int] = {}
    for place, particle in enumerate(particles.tolist()):
        first.setdefault(particle, place)
    return torch.tensor(list(first.values()))


def _rows(
    run: Run,
    chosen: Chosen,
    at: int,
    seen: Bool[Tensor, "C H W"],
    expected: Float[Tensor, "C H W"],
    drawn: Programs,
    places: Tensor,
    share: Tensor,
    title: str,
) -> list[figures.Row]:
    """Show one image, what is seen of it, what is expected, and draws; below them their parts in colour."""
    panels = [
        figures.Panel("image", on_paper(chosen.grey[at])),
        figures.Panel("given", _shade(on_paper(torch.where(seen, chosen.grey[at], 0)), seen)),
        figures.Panel("expected", on_paper(expected)),
    ]
    latents = {site: value[places] for site, value in drawn.latents.items()}
    shown = programs_of(run.pair.model, latents, run.image_shape)
    captions = [
        f"{100 * one:.1f} %" if one >= LEAST_SHOWN else f"< {100 * LEAST_SHOWN:.1f} %" for one in share.tolist()
    ]
    draws = zip(captions, on_paper(shown.mean), strict=False)
    rows = [figures.Row([*panels, *(figures.Panel(caption, pixels) for caption, pixels in draws)], title)]
    parts = _parts(run, shown)
    if parts is not None and parts.shape[-3] == 1:
        coloured = on_paper(figures.colourise(parts))
        blank = figures.Panel("", np.full_like(panels[0].pixels, 255), "white")
        rows.append(figures.Row([blank] * len(panels) + [figures.Panel("", pixels) for pixels in coloured]))
    return rows


def _shade(pixels: PrintedImage, seen: Bool[Tensor, "C H W"]) -> PrintedImage:
    """Darken what is hidden."""
    share = torch.where(seen[0], 1.0, 1 - HIDDEN).numpy()[..., None]
    return (pixels * share).astype(np.uint8)


def _parts(run: Run, drawn: Programs) -> Float[Tensor, "n T C H W"] | None:
    """Paste the root's parts of the first samples on the image; None for a model without parts."""
    tree = run.pair.model.decoder
    if not isinstance(tree, Tree) or drawn.parse is None:
        return None
    with torch.no_grad():
        *_, (_, pasted) = select(tree_value(tree, drawn.parse), slice(SHOWN_SAMPLES)).pasted_children()
    return pasted.squeeze(-5)


def _arrays(drawn: Programs) -> dict[str, Tensor]:
    """Name what was sampled: latents by site, the numbers of all nodes by level, and canvases."""
    arrays = {**drawn.latents, "canvas": drawn.canvas, "mean": drawn.mean}
    if drawn.parse is not None:
        for level in range(drawn.parse.num_levels):
            nodes = drawn.parse.at(level)
            for name in ("z", "action", "pose", "patch"):
                arrays[f"{name}.{level}"] = getattr(nodes, name)
    return arrays


def _save(arrays: dict[str, Tensor], path: Path) -> None:
    with path.open("wb") as file:
        np.savez(file, **{name: array.cpu().numpy() for name, array in arrays.items()})  # pyright: ignore[reportArgumentType] (its keyword `allow_pickle`)


def _check(config: SampleConfig) -> None:
    """Refuse what can be refused before anything is computed."""
    for name, most in (("num", MOST), ("particles", MOST)):
        if not 1 <= getattr(config, name) <= most:
            raise UserError(f"--{name} must be within 1 to {most}, got {getattr(config, name)}")
    if not 0 <= config.rounds <= 100:
        raise UserError(f"--rounds must be within 0 to 100, got {config.rounds}")
    if not 0 <= config.temperature <= 100:
        raise UserError(f"--temperature must be within 0 to 100, got {config.temperature:g}")
    check_seed("--seed", config.seed)
    given = bool(config.given or config.index)
    if config.mask is not None and not given:
        raise UserError("--mask hides a part of an image: name one with --given FILE or --index N")
    if given and config.temperature != 1:
        raise UserError("--temperature is for samples of the prior: leave it or the image out")
    if not given and config.particles != SampleConfig.particles:
        raise UserError("--particles weighs programs by an image: name one with --given FILE or --index N")
    if config.mask is None and config.rounds != SampleConfig.rounds:
        raise UserError("--rounds fills in what --mask hides of an image: give both, or leave it out")
