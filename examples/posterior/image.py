"""What the reference posterior tells of one image, next to the guide's."""

import time
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from examples.evaluation.evidence import finite
from examples.posterior.config import ReferenceConfig
from examples.shared.parallel import Advance
from guides.roots import root_name
from inference.estimates import Estimate, log_mean
from inference.posterior.annealing import AnnealingSettings, Starts, anneal
from inference.posterior.gaps import Gaps, GapSettings, guide_posterior, split_gap
from inference.posterior.log_joint import log_joint
from inference.posterior.mcmc import ChainDraws, NutsSettings, sample_posterior
from rnp_pyro.api.opening import open_trained
from rnp_pyro.api.report import EVALUATION_SEED
from rnp_pyro.api.run import Run
from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Canvas, Float, Tensor
from rnp_pyro.streams import derive_seed

ANNEALING_SHARE, CHAINS_SHARE = 0.25, 0.6
"""Of an image's time, about; the gaps take what is left."""

USUAL_TEMPERATURES = 18


@dataclass(frozen=True)
class Piece:
    """One image's share of the work.

    Args:
        run: The run directory.
        data: Where its images are now; None: where they were.
        data_dir: Folder of the public data sets, if it moved.
        image: The image's number in the test split.
        chains: How many.
        seed: The user's.
        annealing: How chains get to their starts.
        nuts: How chains run.
        gaps: How much is spent on the gaps.
    """

    run: str
    data: str | None
    data_dir: str | None
    image: int
    chains: int
    seed: int
    annealing: AnnealingSettings
    nuts: NutsSettings
    gaps: GapSettings


def examine(piece: Piece, advance: Advance) -> dict[str, Any]:
    """Sample one image's posterior, and compare the guide with it.

    Returns:
        What the JSON file holds for the image; see :func:`as_json`.
    """
    begin = time.perf_counter()
    run = _opened(piece.run, piece.data, piece.data_dir)
    target = log_joint(run.pair.model, observed_images(run, [piece.image])[0])
    guide = guide_posterior(run.pair.guide, target)
    seed = derive_seed(piece.seed, piece.image)
    moves = _Meter(advance, ANNEALING_SHARE, USUAL_TEMPERATURES + piece.annealing.settling)
    starts = anneal(target, piece.chains, piece.annealing, seed, lambda temperature: moves.tick())
    moves.end()
    draws = _Meter(advance, CHAINS_SHARE, piece.chains * (piece.nuts.warmup + piece.nuts.draws))
    reference = sample_posterior(target, starts, piece.nuts, seed, draws.tick)
    steps = _Meter(advance, 1 - ANNEALING_SHARE - CHAINS_SHARE, piece.gaps.steps)
    gaps = split_gap(target, guide, reference.z, piece.gaps, seed, steps.tick)
    seconds = time.perf_counter() - begin
    return as_json(piece.image, starts, reference, (guide.mean, guide.stddev), gaps, seconds)


def check_images(config: ReferenceConfig, run: Run) -> None:
    """Refuse runs with other latents, images that the run does not have, and draws too few for its latent.

    Raises:
        UserError: In one line, with what was expected and what came.
    """
    root = root_name(run.config.guide)
    if run.config.model.node_latents != "none" or root != "diagonal":
        raise UserError(
            "expected a run whose only latent is the root's, with a normal guide whose covariance is diagonal, got "
            f"{run.name} with node_latents {run.config.model.node_latents} and the guide's root {root}"
        )
    last = len(run.data.test) - 1
    for image in config.images:
        if not 0 <= image <= last:
            raise UserError(f"--images must be within 0 to {last}, the test images of {run.data.name}, got {image}")
    if not config.images or len(set(config.images)) < len(config.images):
        raise UserError(f"--images must name one or more images, each once, got {list(config.images)}")
    needed = run.pair.model.decoder.latent_size + 1
    if config.chains * config.draws < needed:
        raise UserError(
            f"expected at least {needed} draws of all chains together, for the covariance of as many dimensions less "
            f"one, got {config.chains} --chains of {config.draws} --draws"
        )


def observed_images(run: Run, numbers: list[int]) -> Canvas:
    """Return images of the test split as the likelihood wants them, binary pixels those of every evaluation."""
    return run.pair.prepare_fixed(run.data.test[: max(numbers) + 1], EVALUATION_SEED)[numbers]


def as_json(
    image: int,
    starts: Starts,
    reference: ChainDraws,
    guide: tuple[Float[Tensor, " Z"], Float[Tensor, " Z"]],
    gaps: Gaps,
    seconds: float,
) -> dict[str, Any]:
    """Return plain numbers, None where one is not finite.

    Args:
        image: The image's number.
        starts: Where chains started.
        reference: What they drew.
        guide: The guide's means and standard deviations.
        gaps: Terms of the gap.
        seconds: That it took.
    """
    loc, scale = guide
    shift, ratio = (loc - reference.loc) / reference.scale, scale / reference.scale
    numbers = {
        "image": image,
        "rhat": reference.rhat.max().item(),
        "log_joint_rhat": reference.log_joint_rhat,
        "ess": reference.ess.min().item(),
        "divergences": reference.divergences,
        "gradients": reference.gradients,
        "loc_difference": {"rms": shift.square().mean().sqrt().item(), "largest": shift.abs().max().item()},
        "scale_ratio": {"median": ratio.median().item(), "smallest": ratio.min().item(), "largest": ratio.max().item()},
        "elbo": asdict(gaps.elbo),
        "best_elbo": asdict(gaps.best_elbo),
        "log_evidence": asdict(gaps.log_evidence),
        "annealed_log_evidence": asdict(_annealed(starts)),
        "khat": gaps.khat,
        "importance_ess": gaps.ess,
        "approximation_gap": asdict(gaps.approximation),
        "amortization_gap": asdict(gaps.amortization),
        "temperatures": starts.temperatures,
        "seconds": round(seconds, 1),
        "nuts_loc": reference.loc.tolist(),
        "nuts_scale": reference.scale.tolist(),
        "guide_loc": loc.tolist(),
        "guide_scale": scale.tolist(),
        "rhats": reference.rhat.tolist(),
        "esses": reference.ess.tolist(),
    }
    return finite(numbers)


def _annealed(starts: Starts) -> Estimate:
    """Average the populations' estimates of p(x)."""
    return log_mean(starts.log_evidence)


@lru_cache(maxsize=1)
def _opened(run: str, data: str | None, data_dir: str | None) -> Run:
    """Open a run once in each process."""
    return open_trained(Path(run), data=data, data_dir=data_dir)


class _Meter:
    """Turns ticks into shares of a piece of work: as many as are expected fill the meter, more do not overfill it."""

    def __init__(self, advance: Advance, share: float, expected: int) -> None:
        self.advance, self.each, self.left = advance, share / max(1, expected), share

    def tick(self) -> None:
        """Report one tick's share."""
        self._tell(self.each)

    def end(self) -> None:
        """Report what is left."""
        self._tell(self.left)

    def _tell(self, share: float) -> None:
        told = min(share, self.left)
        self.left -= told
        self.advance(told)
