"""Options of ``encode``."""

from dataclasses import dataclass

from examples.shared.choice import Split


@dataclass(frozen=True)
class EncodeConfig:
    """What to encode, and where to.

    Args:
        run: Run directory that train_svi wrote, or pretrained:NAME.
        out: File to write, a NumPy archive (.npz) of float32 and int64 arrays and texts; its folder must exist.
        split: Which of the run's images: test, train or validation, or all in the order train, validation, test.
        limit: Number of images, from the first of the split on, at least 1; default: all.
        overwrite: Replace the file if it exists.
        accelerator: Where to compute: cpu, cuda, mps, ..., or auto: what the machine has.
        data: Where the run's images are now; default: where they were.
        data_dir: Folder of the public data sets, if it moved.
    """

    run: str
    out: str
    split: Split = "test"
    limit: int | None = None
    overwrite: bool = False
    accelerator: str = "auto"
    data: str | None = None
    data_dir: str | None = None
