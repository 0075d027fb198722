"""Options of ``compare_completions``."""

from dataclasses import dataclass


@dataclass(frozen=True)
class CompletionConfig:
    """What to compare.

    Args:
        run: Run directory.
        baseline: Another run directory, trained on the same data.
        images: Number of test images, at least 1.
        first: Position of the first of them in the test split, from 0.
        mask: What is hidden: left, right, top, bottom (a half), or LEFT,TOP,WIDTH,HEIGHT in pixels.
        particles: Particles that are weighed per image and round.
        rounds: Times that hidden pixels are filled in from the best particles.
        seed: Of all draws.
        json: File to write the numbers to; default: none.
        overwrite: Replace the file if it exists.
        data: Where the run's images are now; default: where they were.
        data_dir: Folder of the public data sets, if it moved.
    """

    run: str
    baseline: str | None
    images: int = 50
    first: int = 0
    mask: str = "bottom"
    particles: int = 512
    rounds: int = 5
    seed: int = 0
    json: str | None = None
    overwrite: bool = False
    data: str | None = None
    data_dir: str | None = None
