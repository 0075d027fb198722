"""Whether a model and a guide fit each other, asked before anything is trained: each misfit is one clear line.

A guide may be anybody's. What goes wrong with it later goes wrong in silence, or as a traceback from inside Pyro.
"""

from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.nn import PyroModule
from pyro.poutine import Trace

from inference.objectives.elbo import check_no_others, random_sites
from inference.objectives.honest import check_latents, latent_names
from rnp_pyro.errors import UserError

IMAGES, PARTICLES = 3, 2
"""How many images and particles the programs are tried on: different numbers, to tell their dimensions apart."""

HOW = 'pyro.plate("images", images.shape[-4], dim=-1), its own dimensions made the event by .to_event'


def check_pair(model: PyroModule, guide: Any, image_shape: tuple[int, int, int], objective: str = "elbo") -> None:
    """Refuse a guide that does not fit the model, or the objective.

    Args:
        model: The generative program.
        guide: What is to be its posterior program.
        image_shape: Channels, rows and columns.
        objective: A name in ``OBJECTIVES``.

    Raises:
        UserError: In one line, with what was expected and what came.
    """
    if not isinstance(guide, PyroModule):
        raise UserError(
            f"a guide must be a pyro.nn.PyroModule, or Pyro does not see its parameters: got {_kind_of(guide)}; derive "
            "its class from PyroModule"
        )
    check_shared(model, guide)
    blank = torch.zeros(IMAGES, *image_shape)
    with torch.no_grad(), pyro.get_param_store().scope():
        model_trace = poutine.trace(model).get_trace(blank)
        guide_trace = _tried(guide, blank, f"on {IMAGES} images")
        try:
            check_latents(model_trace, guide_trace)
        except UserError as error:
            raise UserError(f"{error}; expected another --guide.name or --model.node_latents") from None
        check_shapes(model_trace, guide_trace)
        with pyro.plate("particles", PARTICLES, dim=-2):
            many = random_sites(_tried(guide, blank, f"on {IMAGES} images and {PARTICLES} particles"))
    for name in latent_names(guide_trace):
        if (found := tuple(many[name]["fn"].batch_shape)) != (PARTICLES, IMAGES):
            raise UserError(
                f"a guide must draw in the plates around it too: expected batch shape ({PARTICLES}, {IMAGES}) at "
                f"{name} for {PARTICLES} particles and {IMAGES} images, got {found}"
            )
    if objective == "analytic_kl":
        check_no_others(model_trace, guide_trace)


def check_shared(model: PyroModule, guide: PyroModule) -> None:
    """Refuse parameters that Pyro's parameter store would mistake: it goes by their names.

    Raises:
        UserError: If one parameter has different names in model and guide, or two have one name.
    """
    ours = dict(model.named_parameters(remove_duplicate=False))
    theirs = dict(guide.named_parameters(remove_duplicate=False))
    names: dict[int, list[str]] = {}
    for name, parameter in ours.items():
        names.setdefault(id(parameter), []).append(name)
    for name, parameter in theirs.items():
        if name in ours and ours[name] is not parameter:
            raise UserError(
                f"model and guide have different parameters of one name, {name}, which Pyro takes for one: rename the "
                f"guide's attribute {name.split('.')[0]}"
            )
        if id(parameter) in names and name not in names[id(parameter)]:
            known = names[id(parameter)][0]
            raise UserError(
                f"model and guide share a parameter under two names, {known} and {name}, which Pyro takes for two: "
                f"call the guide's attribute {known.split('.')[0]}, as the model does"
            )


def check_shapes(model_trace: Trace, guide_trace: Trace) -> None:
    """Refuse latents that are drawn outside the images' plate, or with other event dimensions than the model's.

    Raises:
        UserError: In one line, with the site.
    """
    priors = random_sites(model_trace)
    for name in latent_names(guide_trace):
        site = random_sites(guide_trace)[name]
        expected, found = tuple(priors[name]["fn"].event_shape), tuple(site["fn"].event_shape)
        if found != expected:
            raise UserError(
                f"a guide must draw {name} with the model's event shape {expected}, got {found}: make its dimensions "
                f"the event by .to_event({len(expected)})"
            )
        plates = [(frame.dim, frame.size) for frame in site["cond_indep_stack"] if frame.vectorized]
        if (-1, IMAGES) not in plates or tuple(site["fn"].batch_shape) != (IMAGES,):
            raise UserError(f"a guide must draw {name} once per image, got it outside the plate: draw in {HOW}")


def _tried(guide: PyroModule, images: torch.Tensor, what: str) -> Trace:
    """Run a guide, and turn whatever it raises into one line; the cause is kept for who looks at the traceback."""
    try:
        return poutine.trace(guide).get_trace(images)
    except UserError:
        raise
    except Exception as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise UserError(
            f"the guide {type(guide).__name__} fails {what} of shape {tuple(images.shape[1:])}: {reason} "
            f"(a guide draws in {HOW})"
        ) from error


def _kind_of(guide: Any) -> str:
    if isinstance(guide, torch.nn.Module):
        return f"{type(guide).__name__}, a plain torch.nn.Module"
    return f"a {type(guide).__name__}"
