"""Options of ``interpolate``."""

from dataclasses import dataclass

RANGES = {
    "pairs": (1, 100),
    "steps": (3, 100),
    "images": (8, 1_000_000),
    "clusters": (2, 1000),
    "particles": (1, 1_000_000),
}
"""Name of an option to its least and largest value."""


@dataclass(frozen=True)
class InterpolateConfig:
    """Which paths, and where to write them.

    Args:
        run: Run directory that train_svi wrote, or pretrained:NAME.
        out: Folder to write to; default: interpolation in the run directory.
        baseline: Another run on the same data.
        pairs: Pairs of clusters, at least 1.
        steps: Images of a path, its ends included, at least 3.
        images: Test images whose programs are clustered, at least 8.
        clusters: Clusters of each level, at least 2.
        particles: Draws for each estimate of log p(x), at least 1.
        seed: Of clusters and draws.
        overwrite: Replace files that exist.
        data: Where the run's images are now; default: where they were.
        data_dir: Folder of the public data sets, if it moved.
    """

    run: str
    out: str | None = None
    baseline: str | None = None
    pairs: int = 4
    steps: int = 9
    images: int = 1000
    clusters: int = 12
    particles: int = 100
    seed: int = 0
    overwrite: bool = False
    data: str | None = None
    data_dir: str | None = None
