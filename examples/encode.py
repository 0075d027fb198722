"""Write the codes of a run's images: python -m examples.encode RUN --out FILE.npz [--split test] [--limit N].

The guide's mean of the root program is unfolded into the programs, actions and poses of all levels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np
import torch
from pyro import poutine
from torch.distributions import Distribution, TransformedDistribution

from examples.shared.cli import check_output, make_parser, run_command
from examples.shared.devices import launch
from examples.shared.pair import Pair
from examples.shared.report import EVALUATION_SEED
from examples.shared.run import open_trained
from inference.bounds import CHUNK, TakeMeans
from inference.contexts import evaluating
from inference.objectives.elbo import random_sites
from inference.predictive import unfold_as_drawn
from rnp_pyro.checkpoint import write_atomically
from rnp_pyro.config import FabricConfig
from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Canvas, Tensor
from rnp_pyro.tree import Tree

DESCRIPTION = (
    "Write the codes of a run's images for further analysis, one array a key, N images first. K is the root's level, "
    "Z the size of a program; nodes are those of one level, children of one parent adjacent, in the order of their "
    "steps. z.K: the guide's mean of the root program [N, Z]. posterior_scale.K: the guide's standard deviation of it "
    "[N, Z], but for a flow, which has no formula for it. Where nodes are random, posterior_scale.SITE for each of "
    "their sites, z.L.STEP and action.L.STEP, given their ancestors' means [N, parents, Z or 6]. For each level L "
    "below the root: z.L, the programs that z.K unfolds into, or the guide's means [N, nodes, Z]; action.L, what the "
    "policies emitted, unbounded [N, nodes, 6]: scale x and y, rotation, shear, translation x and y; pose.L "
    "[N, nodes, 2, 3], the map from a node's frame to its parent's, both over [-1, 1], x to the right and y down. "
    "images_index: each image's position in the split [N]. labels: its class [N], where the data have classes. The "
    "flat baseline has only z.0 and posterior_scale.0."
)


@dataclass(frozen=True)
class EncodeConfig:
    """What to encode, and where to.

    Args:
        run: Run directory that train_svi wrote, its training ended.
        out: File to write, a NumPy archive (.npz) of float32 and int64 arrays; its folder must exist.
        split: Which of the run's images: test, train or validation.
        limit: Number of images, from the first of the split on, at least 1; default: all.
        overwrite: Replace the file if it exists.
        accelerator: Where to compute: cpu, cuda, mps, ..., or auto: what the machine has.
    """

    run: str
    out: str
    split: Literal["test", "train", "validation"] = "test"
    limit: int | None = None
    overwrite: bool = False
    accelerator: str = "auto"


def main(config: EncodeConfig) -> Path:
    """Encode images and write their codes.

    Returns:
        The file.

    Raises:
        UserError: If anything does not fit; nothing is written then.
    """
    out = Path(config.out)
    _check(config, out)
    run = open_trained(Path(config.run))
    images = getattr(run.data, config.split)[: config.limit]
    labels = getattr(run.data, f"{config.split}_labels")
    device = launch(FabricConfig(config.accelerator, devices=1)).device
    run.pair.modules.to(device)
    arrays = encode(run.pair, run.pair.prepare_fixed(images, EVALUATION_SEED).to(device))
    arrays["images_index"] = torch.arange(len(images))
    if labels is not None:
        arrays["labels"] = labels[: config.limit]
    _save({name: array.cpu().numpy() for name, array in arrays.items()}, out)
    print(f"{len(images)} {config.split} images of {run.data.name}: {_shapes(arrays)}")
    print(f"codes: {out}")
    return out


def encode(pair: Pair, images: Canvas) -> dict[str, Tensor]:
    """Return the codes of all levels at the guide's mean.

    Args:
        pair: Model and guide.
        images: ``[N C H W]`` as the likelihood wants them, on the pair's device.

    Returns:
        ``z.L``, ``action.L`` and ``pose.L`` for each level, and the posterior's scales; see ``DESCRIPTION``.
    """
    with evaluating(pair.model, pair.guide):
        chunks = [_encode_chunk(pair, chunk) for chunk in images.split(CHUNK)]
    return {name: torch.cat([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _encode_chunk(pair: Pair, images: Canvas) -> dict[str, Tensor]:
    decoder = pair.model.decoder
    with TakeMeans():
        sites = random_sites(poutine.trace(pair.guide).get_trace(images))
    root = sites[decoder.root_site]
    codes = {decoder.root_site: root["value"], **_scale(str(decoder.num_levels), root["fn"])}
    for name, site in sites.items():
        codes |= {} if site is root else _scale(name, site["fn"])
    if isinstance(decoder, Tree):
        parse = unfold_as_drawn(decoder, {name: site["value"] for name, site in sites.items()})
        for level in reversed(range(decoder.num_levels)):
            nodes = parse.at(level)
            codes |= {f"z.{level}": nodes.z, f"action.{level}": nodes.action, f"pose.{level}": nodes.pose}
    return codes


def _scale(name: str, posterior: Distribution) -> dict[str, Tensor]:
    """Return a site's standard deviation; a flow's has no formula."""
    return {} if isinstance(posterior, TransformedDistribution) else {f"posterior_scale.{name}": posterior.stddev}


def _check(config: EncodeConfig, out: Path) -> None:
    """Refuse what can be refused before anything is computed."""
    if config.limit is not None and config.limit < 1:
        raise UserError(f"--limit must be at least 1, got {config.limit}")
    check_output("--out", out, config.overwrite)
    if out.suffix != ".npz":
        raise UserError(f"expected a file that ends in .npz with --out, got {out}")


def _save(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Write a NumPy archive, whole or not at all."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    try:
        write_atomically(path, write)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None


def _shapes(arrays: dict[str, Tensor]) -> str:
    return ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())


def command(arguments: Sequence[str]) -> None:
    """Read the command line and encode."""
    parser = make_parser("encode", DESCRIPTION)
    parser.add_argument("run", metavar="RUN", type=str, help="Run directory that train_svi wrote, its training ended.")
    parser.add_class_arguments(EncodeConfig, None, skip={"run"})
    main(EncodeConfig(**vars(parser.instantiate(parser.parse_args(list(arguments))))))


if __name__ == "__main__":
    run_command(command)
