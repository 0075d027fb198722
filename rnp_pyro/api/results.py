"""What a run's methods return: numbers and pictures that say what they are."""

from collections.abc import Mapping
from dataclasses import dataclass
from math import isnan

from matplotlib.figure import Figure

from inference.diagnostics import TRUSTED_KHAT
from rnp_pyro import figures
from rnp_pyro.api.notebook import png
from rnp_pyro.figures import Panel, Row
from rnp_pyro.figures.printing import on_paper
from rnp_pyro.shapes import Bool, Float, Tensor

SHOWN = 8
"""Images in a figure."""


@dataclass(frozen=True)
class Evaluation:
    """Bounds on the evidence of images, nats per image.

    Args:
        neg_elbo: Mean over images of the negative ELBO, an upper bound on -log p(x).
        nll: The tighter bound of all particles, the mean over images.
        nll_standard_error: Its standard error over images; nan for one image.
        kl: Mean KL of the guide's posterior from the prior.
        mse: Squared error per pixel of the likelihood's mean at the guide's mean.
        khat: Pareto k-hat of each image's weights; above 0.7 they are not to be trusted.
        nll_by_image: The bound of all particles for each image.
        particles: Particles for each image.
    """

    neg_elbo: float
    nll: float
    nll_standard_error: float
    kl: float
    mse: float
    khat: Float[Tensor, " images"]
    nll_by_image: Float[Tensor, " images"]
    particles: int

    def __repr__(self) -> str:
        error = "" if isnan(self.nll_standard_error) else f" +- {self.nll_standard_error:.2f}"
        above = int((self.khat > TRUSTED_KHAT).sum())
        return (
            f"<{len(self.nll_by_image)} images: -log p(x) at most {self.nll:.2f}{error} nats per image "
            f"({self.particles} particles), -ELBO {self.neg_elbo:.2f}, KL {self.kl:.2f}, squared error "
            f"{self.mse:.4f} per pixel, k-hat above {TRUSTED_KHAT} for {above}>"
        )


@dataclass(frozen=True)
class Samples:
    """Images drawn from the prior.

    Args:
        images: Their means, in [0, 1].
        parts: The root's parts pasted on each image; None for a model without parts.
        latents: The sampled sites, by name.
    """

    images: Float[Tensor, "n C H W"]
    parts: Float[Tensor, "n T C H W"] | None
    latents: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(self.images)

    def figure(self) -> Figure:
        """Show the first 64, and beside them their parts in colour."""
        return figures.prior_samples(self.images[:64], None if self.parts is None else self.parts[:64])

    def __repr__(self) -> str:
        return f"<{len(self)} samples of the prior, {'x'.join(map(str, self.images.shape[-2:]))} pixels>"

    def _repr_png_(self) -> bytes:
        return png(self.figure())


@dataclass(frozen=True)
class Completions:
    """Images of which a part was hidden, completed.

    Args:
        images: The expected images given what is seen, in [0, 1].
        given: The images, whole, in [0, 1].
        seen: Which pixels were seen.
        draws: Draws of the whole image given what is seen, ``[draws n C H W]``, most likely first.
        khat: Pareto k-hat of each image's weights; above 0.7 they are rough.
    """

    images: Float[Tensor, "n C H W"]
    given: Float[Tensor, "n C H W"]
    seen: Bool[Tensor, "C H W"]
    draws: Float[Tensor, "draws n C H W"]
    khat: Float[Tensor, " n"]

    def __len__(self) -> int:
        return len(self.images)

    def figure(self) -> Figure:
        """Show each image, what is seen of it, what is expected, and draws; the first eight images."""
        return figures.panels([self._row(at) for at in range(min(SHOWN, len(self)))])

    def _row(self, at: int) -> Row:
        seen = self.given[at] * self.seen
        panels = [Panel("image", on_paper(self.given[at])), Panel("seen", on_paper(seen))]
        panels.append(Panel("expected", on_paper(self.images[at])))
        return Row([*panels, *(Panel("draw", on_paper(one)) for one in self.draws[:4, at])])

    def __repr__(self) -> str:
        hidden = 1 - float(self.seen.double().mean())
        return (
            f"<{len(self)} images completed, {hidden:.0%} of each hidden, median k-hat {float(self.khat.median()):.2f}>"
        )

    def _repr_png_(self) -> bytes:
        return png(self.figure())
