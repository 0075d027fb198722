"""Inference results as ArviZ's groups in one netCDF file that ArviZ 0.23 and 1.x both open.

xarray writes the groups, so that no version of ArviZ is needed. The draws of ``posterior`` are the guide's, resampled
by their Pareto-smoothed weights, so that they are equally likely draws from the model's posterior as far as k-hat can
be trusted; ``posterior_predictive`` and ``log_likelihood`` are of these. ``sample_stats`` holds the weights of all
particles. An image's pixels are called ``pixels``, since ``image`` is a dimension.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyro
import torch
from jaxtyping import Int64
from pyro import poutine
from pyro.nn import PyroModule

from inference.contexts import evaluating, seeded
from inference.diagnostics import psis, reff_for_0_23, tail_size
from inference.importance import bound, draw_again, effective_sample_size
from inference.objectives.elbo import Terms, random_sites
from inference.predictive import unfold_as_drawn
from rnp_pyro.affine import identity_pose
from rnp_pyro.checkpoint import write_atomically
from rnp_pyro.shapes import Canvas, Float, Tensor
from rnp_pyro.sites import IMAGE
from rnp_pyro.streams import Use, derive_seed
from rnp_pyro.tree import Tree

NUM_DRAWS = 100
"""Draws of the posterior, and of the prior."""

MOST_PICTURES = 50
"""Images whose posterior and predictive draws are kept; weights are kept of more."""

CHUNK = 2
"""Images whose draws are decoded side by side."""

Variables = dict[str, tuple[tuple[str, ...], np.ndarray]]
"""A group: from a variable's name to its dimensions and values."""


@dataclass(frozen=True)
class WeighedImages:
    """Images whose particles were weighed.

    Args:
        images: ``[N C H W]`` as the likelihood wants them, on the modules' device; the first of their split.
        terms: ``[particles, N]``.
        seed: Of the draws.
    """

    images: Canvas
    terms: Terms
    seed: int


def arviz_groups(model: PyroModule, guide: PyroModule, weighed: WeighedImages) -> dict[str, Variables]:
    """Make ArviZ's groups from weighed particles.

    Args:
        model: The generative program; its only latent is the root.
        guide: The posterior program.
        weighed: What was weighed.

    Returns:
        ``posterior``, ``posterior_predictive``, ``log_likelihood``, ``sample_stats``, ``prior``, ``prior_predictive``
        and ``observed_data``.
    """
    images, seed = weighed.images, weighed.seed
    shown = images[:MOST_PICTURES]
    log_weight = -weighed.terms.neg_elbo
    particles = choose_particles(log_weight[:, : len(shown)], NUM_DRAWS, seed)
    log_likelihood = -weighed.terms.reconstruction[:, : len(shown)].gather(0, particles)
    noise = seeded(derive_seed(seed, Use.PREDICTIONS), images.device)
    with evaluating(model, guide), pyro.validation_enabled(False), noise:
        chunks = [
            _predict(model, draw_again(guide, shown[one], particles[:, one], seed, torch.arange(len(shown))[one]))
            for one in (slice(begin, begin + CHUNK) for begin in range(0, len(shown), CHUNK))
        ]
        posterior, predicted = _side_by_side([chunk[0] for chunk in chunks]), np.concatenate([c[1] for c in chunks], 1)
        prior, imagined = _predict(model, {}, images.new_zeros(1, *images.shape[1:]))
    sample, picture = ("chain", "draw"), ("channel", "row", "column")
    return {
        "posterior": _named(posterior, (*sample, "image")) | node_levels(model.decoder),
        "posterior_predictive": {"pixels": ((*sample, "image", *picture), predicted[None])},
        "log_likelihood": {"pixels": ((*sample, "image"), log_likelihood.numpy()[None])},
        "sample_stats": sample_stats(log_weight),
        "prior": _named({name: value[:, 0] for name, value in prior.items()}, sample) | node_levels(model.decoder),
        "prior_predictive": {"pixels": ((*sample, *picture), imagined[None, :, 0])},
        "observed_data": {"pixels": (("image", *picture), _compact(shown))},
    }


def sample_stats(log_weight: Float[Tensor, "particles images"]) -> Variables:
    """Return the log weights of all particles, and what they tell of each image."""
    smoothed = psis(log_weight.numpy())
    return {
        "log_weight": (("chain", "draw", "image"), log_weight.numpy()[None]),
        "khat": (("image",), smoothed.khat),
        "ess": (("image",), effective_sample_size(log_weight).numpy()),
        "log_evidence_bound": (("image",), bound(log_weight, len(log_weight)).numpy()),
        "log_evidence_psis": (("image",), smoothed.log_mean),
    }


def choose_particles(
    log_weight: Float[Tensor, "particles images"], num_draws: int, seed: int
) -> Int64[Tensor, "draws images"]:
    """Choose particles of each image with probabilities that are their smoothed weights, with replacement."""
    weight = torch.from_numpy(psis(log_weight.numpy()).log_weight).exp()
    generator = torch.Generator().manual_seed(derive_seed(seed, Use.RESAMPLING))
    return torch.multinomial(weight.T, num_draws, replacement=True, generator=generator).T


def save_netcdf(groups: Mapping[str, Variables], path: Path, about: Mapping[str, Any]) -> None:
    """Write groups as netCDF, whole or not at all.

    Args:
        groups: From :func:`arviz_groups`.
        path: The file.
        about: Attributes of the whole file.
    """
    import xarray

    datasets = {name: _dataset(variables) for name, variables in groups.items()}
    num_particles = groups["sample_stats"]["log_weight"][1].shape[1]
    datasets["sample_stats"].attrs["reff_for_arviz_0_23"] = reff_for_0_23(num_particles)
    datasets["sample_stats"]["khat"].attrs["tail_draws"] = tail_size(num_particles)
    tree = xarray.DataTree.from_dict({"/": xarray.Dataset(attrs=dict(about)), **datasets})
    encoding = {f"/{name}": {key: {"zlib": True} for key in group} for name, group in groups.items()}
    write_atomically(path, lambda temporary: tree.to_netcdf(temporary, engine="h5netcdf", encoding=encoding))


def read_netcdf(path: Path) -> dict[str, Any]:
    """Read all groups of a netCDF file into memory: from names to xarray data sets."""
    import xarray

    with xarray.open_datatree(path, engine="h5netcdf") as tree:
        return {name: node.to_dataset().load() for name, node in tree.children.items()}


def _predict(
    model: PyroModule, latents: dict[str, Tensor], images: Canvas | None = None
) -> tuple[dict[str, Tensor], np.ndarray]:
    """Return programs and an image for each draw of the latents, or of the prior where there are none."""
    decoder = model.decoder
    if images is None:
        num_images = latents[decoder.root_site].shape[1]
        images = latents[decoder.root_site].new_zeros(num_images, *decoder.image_shape)
    with pyro.plate("particles", NUM_DRAWS, dim=-2):
        sites = random_sites(poutine.trace(poutine.condition(model, data=latents)).get_trace(images))
    latents = {name: site["value"] for name, site in sites.items() if name != IMAGE}
    return programs(decoder, latents), _compact(sites[IMAGE]["fn"].sample())


def programs(decoder: Any, latents: dict[str, Tensor]) -> dict[str, Tensor]:
    """Return latents and poses of all nodes, root first, then level by level: ``z`` [... N Z], ``pose`` [... N 2 3].

    The flat baseline has one node and no poses.
    """
    root = latents[decoder.root_site].unsqueeze(-2)
    if not isinstance(decoder, Tree):
        return {"z": root}
    levels = unfold_as_drawn(decoder, latents).levels
    return {
        "z": torch.cat([root, *(nodes.z for nodes in levels)], dim=-2),
        "pose": torch.cat([identity_pose(root), *(nodes.pose for nodes in levels)], dim=-3),
    }


def node_levels(decoder: Any) -> Variables:
    """Return the level of each node, in the order of :func:`programs`."""
    levels, nodes = [decoder.num_levels], 1
    if isinstance(decoder, Tree):
        for level in reversed(range(decoder.num_levels)):
            nodes *= decoder.num_steps(level + 1)
            levels += [level] * nodes
    return {"level": (("node",), np.array(levels))}


def _side_by_side(chunks: list[dict[str, Tensor]]) -> dict[str, Tensor]:
    return {name: torch.cat([chunk[name] for chunk in chunks], dim=1) for name in chunks[0]}


def _named(values: dict[str, Tensor], leading: tuple[str, ...]) -> Variables:
    """Name the dimensions of programs; one chain."""
    trailing = {"z": ("node", "latent"), "pose": ("node", "row", "column")}
    return {name: ((*leading, *trailing[name]), value.cpu().numpy()[None]) for name, value in values.items()}


def _compact(images: Canvas) -> np.ndarray:
    """Keep binary pixels as bytes, others in float32."""
    array = images.cpu().numpy()
    return array.astype(np.uint8 if np.isin(array, (0, 1)).all() else np.float32)


def _dataset(variables: Variables) -> Any:
    import xarray

    data = xarray.Dataset({name: (dims, values) for name, (dims, values) in variables.items()})
    data = data.set_coords([name for name in ("level",) if name in data])
    counted = [name for name in ("chain", "draw", "image", "node", "latent") if name in data.sizes]
    return data.assign_coords({name: np.arange(data.sizes[name]) for name in counted})
