"""Programs sampled from the prior, from the posterior given images, and given a part of an image.

``completion/fillings.py`` finds programs that explain a part of an image.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

import pyro
import torch
from jaxtyping import Int64
from pyro import poutine
from pyro.nn import PyroModule

from inference.bounds import CHUNK
from inference.completion.fillings import Latents, Search, weigh_one
from inference.completion.masking import hide
from inference.contexts import evaluating, seeded
from inference.diagnostics import TRUSTED_KHAT, psis
from inference.importance import effective_sample_size
from inference.objectives.elbo import random_sites
from inference.temperature import Temper
from rnp_pyro.draw import Context
from rnp_pyro.parse import Nodes, Parse
from rnp_pyro.shapes import Bool, Canvas, Float, Tensor
from rnp_pyro.sites import IMAGE
from rnp_pyro.streams import Use, derive_seed
from rnp_pyro.tree import Tree


@dataclass(frozen=True)
class Programs:
    """Sampled programs, and what they draw.

    Args:
        latents: The sampled sites.
        parse: The trees that they unfold into; None for a model without parts.
        canvas: What they draw.
        mean: The mean of the likelihood given the canvas: the image that is expected.
    """

    latents: Latents
    parse: Parse | None
    canvas: Canvas
    mean: Canvas


@dataclass(frozen=True)
class Weighed:
    """Particles of the last round, weighed by what is seen.

    Args:
        latents: ``[particles images *event]``.
        log_weight: ``log p(x_seen, z) - log q(z)``, nats.
        smoothed: Log weights, Pareto-smoothed and normalised over particles.
        khat: Pareto k-hat; above 0.7 the weights are not to be trusted.
        ess: Effective sample size of the raw weights.
        mean: The expected image given what is seen: the weighted mean of the likelihood's means.
    """

    latents: Latents
    log_weight: Float[Tensor, "particles images"]
    smoothed: Float[Tensor, "particles images"]
    khat: Float[Tensor, " images"]
    ess: Float[Tensor, " images"]
    mean: Float[Tensor, "images C H W"]

    @property
    def trusted(self) -> Bool[Tensor, " images"]:
        """Whether k-hat says that the weights can be trusted."""
        return self.khat <= TRUSTED_KHAT


def sample_prior(
    model: PyroModule, image_shape: tuple[int, int, int], num_samples: int, temperature: float = 1.0, seed: int = 0
) -> Programs:
    """Draw programs from the prior.

    Args:
        model: The generative program.
        image_shape: Channels, rows and columns.
        num_samples: How many, at least 1.
        temperature: Factor of the prior's standard deviation, at least 0; below 1 samples are more typical. A learned
            prior's is that of its noise, or of its components.
        seed: Of the draws.

    Returns:
        The programs, ``[samples ...]``.
    """
    like = next(model.parameters())
    chunks = []
    with evaluating(model), seeded(seed, like.device), Temper(temperature):
        for begin in range(0, num_samples, CHUNK):
            blank = like.new_zeros(min(CHUNK, num_samples - begin), *image_shape)
            trace = poutine.trace(poutine.block(model, hide=[IMAGE])).get_trace(blank)
            chunks.append({name: site["value"] for name, site in random_sites(trace).items()})
    return programs_of(model, {name: torch.cat([one[name] for one in chunks]) for name in chunks[0]}, image_shape)


def programs_of(model: PyroModule, latents: Mapping[str, Tensor], image_shape: tuple[int, int, int]) -> Programs:
    """Unfold and draw the programs of given latents, ``[samples *event]``, as many side by side as memory allows."""
    num_samples = len(next(iter(latents.values())))
    canvases, means, parses = [], [], []
    with evaluating(model):
        for begin in range(0, num_samples, CHUNK):
            chunk = {name: value[begin : begin + CHUNK] for name, value in latents.items()}
            blank = next(iter(chunk.values())).new_zeros(len(next(iter(chunk.values()))), *image_shape)
            with poutine.trace() as tracer:
                canvases.append(poutine.condition(model, data=chunk)(blank))
            means.append(random_sites(tracer.trace)[IMAGE]["fn"].mean)
            if isinstance(model.decoder, Tree):
                parses.append(unfold_as_drawn(model.decoder, chunk))
    parse = _join_parses(parses) if parses else None
    return Programs(dict(latents), parse, torch.cat(canvases), torch.cat(means))


def unfold_as_drawn(tree: Tree, latents: Mapping[str, Tensor]) -> Parse:
    """Unfold the root's latent, with the actions and latents of nodes wherever these were drawn too."""
    root = latents[tree.root_site]
    if set(latents) == {tree.root_site}:
        return tree.unfold(root)

    def drawn(name: str, loc: Tensor, scale: Tensor | None, context: Context) -> Tensor:
        return latents.get(name, loc)

    return tree.unfold(root, drawn)


def weigh_given(
    model: PyroModule,
    guide: PyroModule,
    images: Canvas,
    seen: Bool[Tensor, "C H W"],
    search: Search,
    advance: Callable[[int], object] = lambda count: None,
) -> Weighed:
    """Find and weigh programs that explain the seen pixels of each image.

    Args:
        model: The generative program.
        guide: The posterior program, the proposal.
        images: ``[N C H W]`` as the likelihood wants them, on the modules' device; unseen pixels are not looked at.
        seen: Which pixels are seen; all of them: the posterior given whole images.
        search: The search's settings.
        advance: Told how many images are done.

    Returns:
        The weighed particles. Those of an image depend only on the seed, its pixels and its position.
    """
    found = []
    with evaluating(model, guide), pyro.validation_enabled(False):
        for index, image in enumerate(images):
            with seeded(derive_seed(search.seed, Use.PROPOSALS, index), images.device):
                found.append(weigh_one(model, guide, hide(image[None], seen), seen, search))
            advance(1)
    log_weight = torch.cat([one.log_weight for one in found], dim=-1)
    smoothed = psis(log_weight.numpy())
    normalised = torch.from_numpy(smoothed.log_weight)
    means = [_mean_image(model, one.latents, normalised[:, index], seen) for index, one in enumerate(found)]
    return Weighed(
        latents={name: torch.stack([one.latents[name] for one in found], dim=1) for name in found[0].latents},
        log_weight=log_weight,
        smoothed=normalised,
        khat=torch.from_numpy(smoothed.khat),
        ess=effective_sample_size(log_weight),
        mean=torch.cat(means),
    )


def resample(weighed: Weighed, num_samples: int, seed: int = 0) -> Int64[Tensor, "samples images"]:
    """Draw particles of each image by their smoothed weights, with replacement: nearly equally likely programs.

    Returns:
        Which particles, in decreasing order of their weight.
    """
    with seeded(derive_seed(seed, Use.RESAMPLING), weighed.smoothed.device):
        chosen = torch.multinomial(weighed.smoothed.exp().T, num_samples, replacement=True).T
    order = weighed.smoothed.gather(0, chosen).argsort(dim=0, descending=True)
    return chosen.gather(0, order)


def take(latents: Latents, chosen: Int64[Tensor, "samples images"]) -> Latents:
    """Select particles of each image."""
    columns = torch.arange(chosen.shape[1], device=chosen.device)
    return {name: value[chosen.to(value.device), columns.to(value.device)] for name, value in latents.items()}


def _mean_image(
    model: PyroModule, latents: Latents, log_weight: Float[Tensor, " particles"], seen: Bool[Tensor, "C H W"]
) -> Float[Tensor, "1 C H W"]:
    """Average what an image's particles expect, by their weights; particles of no weight are not decoded."""
    weight = log_weight.exp()
    heavy = (weight > 1e-6 * weight.max()).nonzero().flatten()
    shape: tuple[int, int, int] = tuple(seen.shape)  # type: ignore[assignment]
    means = programs_of(model, {name: value[heavy] for name, value in latents.items()}, shape).mean
    share = (weight[heavy] / weight[heavy].sum()).to(means)
    return (share[:, None, None, None] * means).sum(0, keepdim=True)


def _join_parses(parses: list[Parse]) -> Parse:
    """Join chunks of trees."""
    levels = [
        Nodes(**{field.name: torch.cat([getattr(one, field.name) for one in nodes]) for field in fields(Nodes)})
        for nodes in zip(*(parse.levels for parse in parses), strict=True)
    ]
    return Parse(torch.cat([parse.root for parse in parses]), tuple(levels))
