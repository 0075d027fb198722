"""What an opened run answers of images: how probable they are, and what is hidden of them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import pyro
import torch
from tqdm.auto import tqdm

from inference.bounds import reconstruct
from inference.completion.fillings import Search
from inference.estimates import standard_error
from inference.importance import fitted_sampling, join, judge, particle_terms
from inference.predictive import programs_of, resample, take, weigh_given
from rnp_pyro.api.notebook import hide_bar
from rnp_pyro.api.pair import Pair
from rnp_pyro.api.results import Completions, Evaluation
from rnp_pyro.errors import UserError
from rnp_pyro.pictures.mask import seen_pixels
from rnp_pyro.shapes import Bool, Canvas, Tensor


@contextmanager
def alone() -> Iterator[None]:
    """Leave Pyro's global parameter store as it is, and take nothing from it: it may hold another model's."""
    with pyro.get_param_store().scope():
        yield


def bound_evidence(pair: Pair, observed: Canvas, unit: Canvas, particles: int, seed: int, progress: bool) -> Evaluation:
    """Bound the evidence of images by importance sampling.

    Args:
        pair: Model and guide.
        observed: The images as the likelihood observes them.
        unit: The same within [0, 1], for the squared error.
        particles: Draws from the guide for each image.
        seed: Of the draws.
        progress: Show a bar.
    """
    found, total = [], particles * len(observed)
    with alone(), tqdm(total=total, unit=" particles", unit_scale=True, disable=hide_bar(not progress)) as bar:
        sampling = fitted_sampling(particles, seed)
        for _, terms in particle_terms(pair.model, pair.guide, observed, sampling, bar.update):
            found.append(judge(terms))
        errors = (reconstruct(pair.model, pair.guide, observed) - unit).square()
    evidence = join(found)
    bound = -evidence.bounds[particles]
    return Evaluation(
        neg_elbo=-evidence.bounds[1].mean().item(),
        nll=bound.mean().item(),
        nll_standard_error=standard_error(bound),
        kl=evidence.kl.mean().item(),
        mse=errors.mean().item(),
        khat=evidence.khat,
        nll_by_image=bound,
        particles=particles,
    )


def fill_in(
    pair: Pair, observed: Canvas, unit: Canvas, seen: Bool[Tensor, "C H W"], num: int, search: Search
) -> Completions:
    """Complete images of which only some pixels are seen.

    Args:
        pair: Model and guide.
        observed: The images as the likelihood observes them.
        unit: The same within [0, 1], to be shown.
        seen: The pixels that are looked at.
        num: Draws for each image.
        search: How particles are found and weighed; its seed serves all draws.
    """
    shape = (seen.shape[0], seen.shape[1], seen.shape[2])
    with alone():
        weighed = weigh_given(pair.model, pair.amortized, observed, seen, search)
        latents = take(weighed.latents, resample(weighed, num, search.seed))
        flat = {site: value.flatten(0, 1) for site, value in latents.items()}
        drawn = programs_of(pair.model, flat, shape).mean
    draws = drawn.unflatten(0, (num, len(observed)))
    return Completions(weighed.mean, unit, seen, draws, weighed.khat)


def seen_by(mask: Any, image_shape: tuple[int, int, int]) -> Bool[Tensor, "C H W"]:
    """Return which pixels a mask leaves to be seen.

    Raises:
        UserError: If it is none, or hides nothing or everything.
    """
    if isinstance(mask, str):
        return seen_pixels(mask, image_shape)
    if isinstance(mask, list | tuple) and len(mask) == 4 and all(type(number) is int for number in mask):
        return seen_pixels(",".join(map(str, mask)), image_shape)
    hidden = np.asarray(mask.cpu() if isinstance(mask, torch.Tensor) else mask)
    if hidden.dtype != np.bool_ or hidden.shape not in (image_shape[1:], image_shape):
        each = hidden.dtype == np.bool_ and hidden.shape[-2:] == image_shape[1:]
        raise UserError(
            f"expected left, right, top, bottom, a rectangle (LEFT, TOP, WIDTH, HEIGHT) in pixels, or a mask of bool "
            f"{list(image_shape[1:])}, true where pixels are hidden, got {hidden.dtype} {list(hidden.shape)}"
            + (": one mask serves all images, so complete those of another mask in another call" if each else "")
        )
    if not hidden.any() or hidden.all():
        raise UserError("expected a mask that hides some of the image and not all of it")
    return ~torch.as_tensor(hidden).expand(image_shape)
