"""Options of ``sample``."""

from collections.abc import Sequence
from dataclasses import dataclass

from examples.shared.choice import Split


@dataclass(frozen=True)
class SampleConfig:
    """What to sample, and where to write it.

    Args:
        run: Run directory that train_svi wrote, or pretrained:NAME.
        out: Folder to write to; default: samples in the run directory.
        num: Samples, at least 1; with several images, for each of them.
        temperature: Factor of the prior's standard deviation, at least 0; without an image only.
        given: Your own files.
        index: Numbers of images in the split.
        mask: What is hidden of the image: left, right, top, bottom (a half), or LEFT,TOP,WIDTH,HEIGHT in pixels of the
            model's image; default: nothing.
        particles: Particles that are weighed per image and round.
        rounds: Times that hidden pixels are filled in from the best particles, to propose better ones.
        seed: Of all draws.
        split: Which of the run's images.
        as_is: Take a file's pixels as they are.
        overwrite: Replace files that exist.
        data: Where the run's images are now; default: where they were.
        data_dir: Folder of the public data sets, if it moved.
    """

    run: str
    out: str | None = None
    num: int = 64
    temperature: float = 1.0
    given: Sequence[str] = ()
    index: Sequence[int] = ()
    mask: str | None = None
    particles: int = 512
    rounds: int = 5
    seed: int = 0
    split: Split = "test"
    as_is: bool = False
    overwrite: bool = False
    data: str | None = None
    data_dir: str | None = None
