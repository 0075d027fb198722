"""What a finished run tells: honest numbers on the test split, and figures."""

import subprocess
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from inference.bounds import elbo_terms, latent_means, reconstruct
from inference.contexts import evaluating
from inference.predictive import sample_prior, unfold_as_drawn
from rnp_pyro import figures
from rnp_pyro.api.pair import Pair
from rnp_pyro.checkpoint import FIGURES, METRICS, read_metrics
from rnp_pyro.data import ImageData, to_unit
from rnp_pyro.parse import Parse
from rnp_pyro.part_tree.distinct import distinct_parts
from rnp_pyro.shapes import ByteImages, Canvas, Float, Tensor
from rnp_pyro.tree import Tree

EVALUATION_SEED = 0
"""Of binarisation and of draws: the same for every run, so that runs are compared on the same pixels."""

DISTINCT_IMAGES = 1000
SHOWN_PARSES = 8
SHOWN_RECONSTRUCTIONS = 32
SHOWN_SAMPLES = 64
PACKAGES = ("rnp-pyro", "torch", "torchvision", "pyro-ppl", "lightning-fabric", "numpy")


@dataclass(frozen=True)
class DrawnParts:
    """What a tree draws: images, the root's parts on them, and each part's children on the part.

    Args:
        canvases: The images.
        parts: The root's children, each pasted on the image.
        sub_parts: Their children, each pasted on its part; None for a tree of one level.
    """

    canvases: Float[Tensor, "n C H W"]
    parts: Float[Tensor, "n T C H W"]
    sub_parts: Float[Tensor, "n T S C h w"] | None


@torch.no_grad()
def draw_parts(tree: Tree, parse: Parse) -> DrawnParts:
    """Draw the two topmost levels of trees."""
    by_level = dict(tree.pasted_children(parse))
    return DrawnParts(
        canvases=tree.fold(parse),
        parts=by_level[tree.num_levels].squeeze(-5),
        sub_parts=by_level.get(tree.num_levels - 1),
    )


def mean_parse(pair: Pair, tree: Tree, images: Canvas) -> Parse:
    """Unfold what the guide expects of each image, at all nodes."""
    means = latent_means(pair.guide, images)
    with evaluating(pair.model):
        return unfold_as_drawn(tree, means)


def measure(pair: Pair, images: ByteImages, device: torch.device) -> dict[str, float | None]:
    """Measure a trained pair on a split.

    Returns:
        ``neg_elbo``, ``reconstruction`` and ``kl`` in nats per image with one draw each; ``mse``, the squared error per
        pixel of the likelihood's mean at the guide's mean, against the grey image; ``distinct_parts``, a share, None
        for a model without parts.
    """
    observed, grey = _observed(pair, images, device), to_unit(images).to(device)
    terms = elbo_terms(pair.model, pair.guide, observed, EVALUATION_SEED)
    error = (reconstruct(pair.model, pair.guide, observed) - grey).square().mean()
    numbers: dict[str, float | None] = {
        "neg_elbo": terms.neg_elbo.mean().item(),
        "reconstruction": terms.reconstruction.mean().item(),
        "kl": terms.kl.mean().item(),
        "mse": error.item(),
        "distinct_parts": None,
    }
    if isinstance(tree := pair.model.decoder, Tree):
        some = observed[:DISTINCT_IMAGES]
        parts = draw_parts(tree, mean_parse(pair, tree, some)).parts
        numbers["distinct_parts"] = distinct_parts(grey[:DISTINCT_IMAGES], parts).float().mean().item()
    return numbers


def _observed(pair: Pair, images: ByteImages, device: torch.device) -> Canvas:
    """Prepare a split's images where the pair is, as wide as its weights."""
    return pair.prepare_fixed(images, EVALUATION_SEED).to(device, next(pair.guide.parameters()).dtype)


def draw_figures(run: Path, pair: Pair, data: ImageData, device: torch.device) -> list[Path]:
    """Draw a run's figures into its directory: reconstructions, parse, prior samples, training curves."""
    images = data.test[:SHOWN_RECONSTRUCTIONS]
    observed, grey = _observed(pair, images, device), to_unit(images)
    drawn = {
        "reconstructions": figures.reconstructions(grey, reconstruct(pair.model, pair.guide, observed)),
        "training_curves": figures.training_curves(read_metrics(run / METRICS)),
    }
    if isinstance(tree := pair.model.decoder, Tree):
        with evaluating(pair.model, pair.guide):
            parsed = draw_parts(tree, mean_parse(pair, tree, observed[:SHOWN_PARSES]))
        samples = sample_prior(pair.model, tree.image_shape, SHOWN_SAMPLES)
        assert samples.parse is not None
        sampled = draw_parts(tree, samples.parse)
        drawn["parse"] = figures.parse(grey[:SHOWN_PARSES], parsed.canvases, parsed.parts, parsed.sub_parts)
        drawn["prior_samples"] = figures.prior_samples(sampled.canvases, sampled.parts)
    paths = {name: run / FIGURES / f"{name}.png" for name in drawn}
    for name, path in paths.items():
        figures.save(drawn[name], path)
    return list(paths.values())


def versions() -> dict[str, str]:
    """Name the versions of what computed a number."""
    return {package: version(package) for package in PACKAGES}


def git_commit() -> str | None:
    """Name the commit of this checkout, with a plus if files differ from it; None outside a checkout."""

    def git(*arguments: str) -> str:
        here = Path(__file__).resolve().parent
        done = subprocess.run(["git", *arguments], cwd=here, capture_output=True, text=True, check=True, timeout=10)
        return done.stdout.strip()

    try:
        return git("rev-parse", "HEAD") + ("+" if git("status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return None


def summary(numbers: dict[str, Any], data: ImageData, seed: int) -> dict[str, Any]:
    """Join numbers with what they were measured on and with."""
    about = {"data": data.name, "test_images": len(data.test), "seed": seed}
    return {**numbers, **about, "versions": versions(), "git_commit": git_commit()}
