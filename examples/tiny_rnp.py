"""A recursive neural program on one page, with stock Pyro: python -m examples.tiny_rnp [--steps N] [--out FILE]."""

from collections.abc import Sequence
from pathlib import Path

import pyro
import torch
from pyro.infer import SVI, Trace_ELBO
from pyro.optim import ClippedAdam

from examples.shared.cli import check_output, make_parser, run_command
from guides import GUIDES
from inference.objectives.elbo import WeighLatents
from models import MODELS
from rnp_pyro import figures
from rnp_pyro.config import GuideConfig, ModelConfig
from rnp_pyro.data import load_images, to_unit
from rnp_pyro.errors import UserError

DESCRIPTION = "Train on the bundled digits, about a minute on two cores, and draw eight test digits and their parts."


def command(arguments: Sequence[str]) -> None:
    """Train, evaluate, parse."""
    parser = make_parser("tiny_rnp", DESCRIPTION)
    parser.add_argument("--steps", type=int, default=1000, help="Training steps of 32 digits each, at least 1.")
    parser.add_argument("--out", type=Path, default=Path("tiny_rnp.png"), help="PNG file to write.")
    parser.add_argument("--overwrite", type=bool, default=False, help="Replace the figure if it exists.")
    options = parser.parse_args(list(arguments))
    check_output("--out", options.out, options.overwrite)
    if options.steps < 1 or options.out.suffix != ".png":
        raise UserError(f"expected --steps of at least 1 and --out FILE.png, got {options.steps} and {options.out}")
    pyro.clear_param_store()
    pyro.set_rng_seed(0)
    digits = load_images("mnist-sample")  # bytes, [n 1 28 28]
    model = MODELS["rnp"](ModelConfig(), digits.image_shape)  # p(z) p(x | z): models/rnp.py
    guide = GUIDES["resnet"](GuideConfig(), model.decoder)  # q(z | x): guides/resnet.py
    elbo, decay = Trace_ELBO(), 0.2 ** (1 / options.steps)
    svi = SVI(model, guide, ClippedAdam({"lr": 2e-3, "lrd": decay, "clip_norm": 100.0}), elbo)
    for step in range(options.steps):
        images = to_unit(digits.train[torch.randint(len(digits.train), (32,))])
        batch = torch.bernoulli(images)  # grey pixels are probabilities of ink
        with WeighLatents((step + 1) / options.steps):  # the KL costs little at first
            svi.step(batch)
        if step % 100 == 0:
            print(f"step {step}: loss {elbo.loss(model, guide, batch) / len(batch):.1f} nats per image")
    model.eval()  # without eq. (1)'s part term, which only training has
    print(f"-ELBO {elbo.loss(model, guide, torch.bernoulli(to_unit(digits.test[:500]))) / 500:.1f} nats per test image")
    some = to_unit(digits.test[56:64])
    with torch.no_grad():
        z = guide.root(guide.encoder(some)).mean  # the posterior's
        parse = model.tree.unfold(z)  # latents, poses and patches of 4 parts and their 16 sub-parts
        pasted = dict(model.tree.pasted_children(parse))  # each level's children on its canvases
        figures.save(figures.parse(some, model.tree.fold(parse), pasted[2].squeeze(-5), pasted[1]), options.out)
    print(f"eight test digits and their parts: {options.out}")


if __name__ == "__main__":
    run_command(command)
