"""The work of the command ``compare_completions``."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from examples.completion.config import CompletionConfig
from examples.evaluation.evidence import finite
from examples.sampling.sample import MOST, complete
from examples.shared.chosen import choose
from examples.shared.cli import check_output
from inference.completion.fillings import Search
from inference.estimates import standard_error
from inference.predictive import Weighed, programs_of, resample, take
from rnp_pyro.api.opening import open_trained
from rnp_pyro.api.report import git_commit, versions
from rnp_pyro.api.run import Run
from rnp_pyro.checkpoint import write_json
from rnp_pyro.errors import UserError
from rnp_pyro.pictures.mask import seen_pixels
from rnp_pyro.seeds import check_seed
from rnp_pyro.shapes import Float, Tensor


@dataclass(frozen=True)
class Errors:
    """Squared errors of one run's completions, one number per image.

    Args:
        whole: Of the expected image, over all pixels.
        hidden: Of the expected image, over hidden pixels.
        draw: Of one draw, over all pixels.
        black: Of the image with its hidden pixels left black.
        weighed: Where the completions come from.
    """

    whole: Float[Tensor, " images"]
    hidden: Float[Tensor, " images"]
    draw: Float[Tensor, " images"]
    black: Float[Tensor, " images"]
    weighed: Weighed


def main(config: CompletionConfig) -> dict[str, float]:
    """Complete images by both runs and compare.

    Returns:
        The numbers that are printed.

    Raises:
        UserError: If anything does not fit.
    """
    for name in ("images", "particles"):
        if not 1 <= getattr(config, name) <= MOST:
            raise UserError(f"--{name} must be within 1 to {MOST}, got {getattr(config, name)}")
    if config.first < 0:
        raise UserError(f"--first must be at least 0, got {config.first}")
    if not 0 <= config.rounds <= 100:
        raise UserError(f"--rounds must be within 0 to 100, got {config.rounds}")
    check_seed("--seed", config.seed)
    if config.json is not None:
        check_output("--json", Path(config.json), config.overwrite)
    runs = [
        open_trained(Path(path), data=config.data, data_dir=config.data_dir)
        for path in (config.run, config.baseline or config.run)
    ]
    _check_same_images(runs, config.first + config.images)
    one, other = (_errors(run, config) for run in runs)
    share = (one.whole < other.whole).double().mean().item()
    difference = one.whole - other.whole
    error = standard_error(difference)
    numbers = {
        "images": config.images,
        "first": config.first,
        "share_better": share,
        "mean_difference": difference.mean().item(),
        "mean_difference_standard_error": error,
        "black_squared_error": one.black.mean().item(),
        "share_better_hidden": (one.hidden < other.hidden).double().mean().item(),
        **_numbers("run", one),
        **_numbers("baseline", other),
    }
    for name, run in zip(("run", "baseline"), runs, strict=True):
        print(
            f"{run.name} ({run.config.model.name}): squared error {numbers[f'{name}_squared_error']:.2f} per image "
            f"(hidden pixels {numbers[f'{name}_hidden_squared_error']:.2f}; one draw "
            f"{numbers[f'{name}_draw_squared_error']:.2f}), median k-hat {numbers[f'{name}_khat']:.2f}, mean effective "
            f"sample size {numbers[f'{name}_ess']:.1f} of {config.particles}"
        )
    print(
        f"{config.images} test images, {config.mask} hidden: the first run's completion is nearer to the whole image "
        f"in {100 * share:.0f} % of them, by {0.0 - numbers['mean_difference']:.2f} +- {error:.2f} in squared error on "
        f"average (standard error over images); hidden pixels left black have {numbers['black_squared_error']:.2f}"
    )
    if config.json is not None:
        about = {**asdict(config), "data": runs[0].data.name, "versions": versions(), "git_commit": git_commit()}
        write_json(Path(config.json), finite({**about, **numbers}))
    return numbers


def _errors(run: Run, config: CompletionConfig) -> Errors:
    """Complete a run's test images."""
    shape = run.image_shape
    seen = seen_pixels(config.mask, shape)
    chosen = choose(run, range(config.first, config.first + config.images), [], "test", as_is=False)
    weighed = complete(run, chosen, seen, Search(config.particles, config.rounds, seed=config.seed))
    drawn = take(weighed.latents, resample(weighed, 1, config.seed))
    one = programs_of(run.pair.model, {site: value[0] for site, value in drawn.items()}, shape).mean
    wrong = (weighed.mean - chosen.grey).square()
    return Errors(
        whole=wrong.sum((-3, -2, -1)),
        hidden=(wrong * ~seen).sum((-3, -2, -1)),
        draw=(one - chosen.grey).square().sum((-3, -2, -1)),
        black=(chosen.grey * ~seen).square().sum((-3, -2, -1)),
        weighed=weighed,
    )


def _numbers(name: str, errors: Errors) -> dict[str, float]:
    return {
        f"{name}_squared_error": errors.whole.mean().item(),
        f"{name}_hidden_squared_error": errors.hidden.mean().item(),
        f"{name}_draw_squared_error": errors.draw.mean().item(),
        f"{name}_khat": errors.weighed.khat.nanmedian().item(),
        f"{name}_ess": errors.weighed.ess.mean().item(),
    }


def _check_same_images(runs: Sequence[Run], count: int) -> None:
    """Refuse runs that were not tested on the same images."""
    one, other = (run.data.test[:count] for run in runs)
    if one.shape != other.shape or not torch.equal(one, other):
        raise UserError(
            f"expected two runs with the same test images, got {runs[0].path} of {runs[0].data.name} and "
            f"{runs[1].path} of {runs[1].data.name}"
        )
    if len(one) < count:
        raise UserError(
            f"--first and --images must stay within the {len(one)} test images of {runs[0].data.name}, got {count}"
        )
