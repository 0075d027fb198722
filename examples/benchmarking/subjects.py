"""What the benchmark times: a model's training step and its decoding alone."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from math import isfinite

import pyro
import torch
from lightning_fabric import Fabric
from pyro.distributions import Normal
from pyro.nn import PyroModule
from torch import nn

from examples.benchmarking.timing import peak_mib
from guides import GUIDES
from inference.contexts import seeded
from inference.objectives.elbo import RecordingELBO
from inference.training.gradient import clipped_gradient, make_optimizer
from models import MODELS
from models.likelihood import Likelihood
from rnp_pyro import sites
from rnp_pyro.config import GuideConfig, ModelConfig, TrainConfig, TreeConfig
from rnp_pyro.errors import UserError
from rnp_pyro.fast.recall import remembering
from rnp_pyro.reference import generate_image
from rnp_pyro.shapes import Canvas, Latent
from rnp_pyro.tree import Tree

IMAGE = (1, 28, 28)
TRAINING = TrainConfig(learning_rate=1e-4)
"""The default settings, but a small step: there is no warm-up here, and at the default rate a tree of 64 leaves that
sees noise is lost after five steps. The rate changes no operation."""

KL_WEIGHT = 0.5
"""As in the middle of the warm-up."""

THREE_LEVELS = TreeConfig(num_steps=(4, 4, 4), canvas_sizes=(20, 16))

PLAIN = ModelConfig()
SETTINGS = {
    "rnp2": PLAIN,
    "rnp2 plain loop": PLAIN,
    "rnp2 ladder": replace(PLAIN, node_latents="state"),
    "rnp2 feedback": replace(PLAIN, tree=TreeConfig(feedback=True)),
    "rnp3": replace(PLAIN, tree=THREE_LEVELS),
    "reference": replace(PLAIN, part_term_weight=0.0),
    "vae": replace(PLAIN, name="vae"),
}
"""A tree of two levels with the root alone random; the same step by step, without the fused path; with random states,
which the ladder infers (the commands' default); with feedback; a tree of three levels, with 64 leaves; Algorithm 1 read
aloud, which leaves out the part term; the flat baseline."""


class ReferenceRNP(PyroModule):
    """The generative program with ``rnp_pyro.reference`` in place of the engine, and no part term.

    Args:
        tree: Where the weights and settings are.
        likelihood: Distribution of an image given its canvas.
    """

    def __init__(self, tree: Tree, likelihood: Likelihood) -> None:
        super().__init__()
        self.tree = tree
        self.likelihood = likelihood

    @property
    def decoder(self) -> Tree:
        """What a guide is built for."""
        return self.tree

    def forward(self, images: Canvas) -> Canvas:
        """Draw z, generate, observe; arguments and result are those of the RNP."""
        tree = self.tree
        prior = Normal(images.new_zeros(tree.latent_size), 1).to_event(1)
        with pyro.plate("images", images.shape[-4], dim=-1):
            z = pyro.sample(tree.root_site, prior)
            canvas = generate_image(tree, z)
            pyro.sample(sites.IMAGE, self.likelihood(canvas), obs=images)
        return canvas


@dataclass(frozen=True)
class Subject:
    """What is timed.

    Args:
        train: Takes one training step.
        decode: Turns one batch of latents into images, without gradients.
        parameters: What is trained.
    """

    train: Callable[[], object]
    decode: Callable[[], object]
    parameters: tuple[nn.Parameter, ...]

    def peak_mib(self) -> float:
        """Count the memory of a training step, from its first activation to its last gradient.

        Parameters and the optimizer's moments, which are there before, do not count.
        """
        for parameter in self.parameters:
            parameter.grad = None
        return peak_mib(self.train, self.parameters[0].device)


def build_subject(
    config: ModelConfig, batch_size: int, fabric: Fabric, reference: bool = False, fused: bool = True
) -> Subject:
    """Build a model and its guide, their training step and their decoder.

    Args:
        config: The model's settings.
        batch_size: Images per step.
        fabric: Where, and how precisely.
        reference: Put Algorithm 1 in the place of the engine.
        fused: Let the engine take its fused path.
    """
    with seeded(0, fabric.device):
        model = MODELS[config.name](config, IMAGE)
        if isinstance(model.decoder, Tree):
            model.decoder.execution = replace(model.decoder.execution, fused=fused)
        if reference:
            model = ReferenceRNP(model.decoder, model.likelihood)
        guide = GUIDES["resnet" if config.node_latents == "none" else "ladder"](GuideConfig(), model.decoder)
        images = torch.rand(batch_size, *IMAGE).round().to(fabric.device)
        z = torch.randn(batch_size, config.latent_size).to(fabric.device)
    elbo = RecordingELBO(max_plate_nesting=1)(model, guide)
    loss, optimizer = fabric.setup(elbo, make_optimizer(TRAINING, elbo))
    parameters = tuple(elbo.parameters())

    def train() -> None:
        with remembering(model.decoder):
            value, norm = clipped_gradient(fabric, loss, optimizer, images, KL_WEIGHT, TRAINING.clip)
        if not (isfinite(value.item()) and isfinite(norm.item())):  # waits for an accelerator, as training does
            raise UserError(f"loss {value.item()} or gradient {norm.item()} is not finite: not worth timing")
        optimizer.step()
        parameters[0].detach().flatten()[0].item()  # waits for the update too

    draw = _decoder(model, reference)

    @torch.no_grad()
    def decode() -> None:
        with fabric.autocast():
            draw(z).sum().item()

    return Subject(train, decode, parameters)


def _decoder(model: PyroModule, reference: bool) -> Callable[[Latent], Canvas]:
    decoder = model.decoder
    if not isinstance(decoder, Tree):
        return lambda z: torch.sigmoid(decoder(z))
    tree = decoder
    return (lambda z: generate_image(tree, z)) if reference else (lambda z: tree.fold(tree.unfold(z)))
