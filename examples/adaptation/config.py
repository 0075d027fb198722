"""Options of ``transfer``."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from rnp_pyro.errors import UserError


@dataclass(frozen=True)
class TransferConfig:
    """What to adapt to, how long, and where to write it.

    Args:
        run: Run directories that train_svi wrote, their training ended.
        new: Data set with the new images, as train_svi's --data.
        out: Folder to write to, a new one or one that this command began.
        counts: Numbers of new images to adapt to; 0: all.
        classes: Classes of the new data, by name, with commas between; default: all.
        split: Where new images come from: train, or test, of which every second image is then measured.
        steps: Steps of adaptation for each number of images, at least 1.
        images: Test images to measure, at least 1.
        seed: Of batches and noise.
        data_dir: Folder of the public data sets.
    """

    run: Sequence[str]
    new: str
    out: str
    counts: Sequence[int] = (1, 5, 20, 100)
    classes: str | None = None
    split: Literal["train", "test"] = "train"
    steps: int = 500
    images: int = 1000
    seed: int = 0
    data_dir: str | None = None


def check(config: TransferConfig) -> None:
    """Refuse numbers out of range.

    Raises:
        UserError: In one line.
    """
    if not config.counts or min(config.counts) < 0:
        raise UserError(f"--counts must be at least 0, got {' '.join(map(str, config.counts)) or 'none'}")
    for name in ("steps", "images"):
        if getattr(config, name) < 1:
            raise UserError(f"--{name} must be at least 1, got {getattr(config, name)}")
