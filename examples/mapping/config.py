"""Options of ``topography``."""

from dataclasses import dataclass

RANGES = {"images": (8, 1_000_000), "clusters": (2, 1000)}
"""Name of an option to its least and largest value."""


@dataclass(frozen=True)
class MapConfig:
    """What to map, and where to write it.

    Args:
        run: Run directory that train_svi wrote, or pretrained:NAME.
        out: Folder to write to; default: topography in the run directory.
        baseline: Another run on the same data, whose code is probed as well.
        images: Test images to map, and training images that probes learn from, at least 8.
        clusters: Clusters of each level, at least 2.
        seed: Of clusters and map.
        overwrite: Replace files that exist.
        data: Where the run's images are now; default: where they were.
        data_dir: Folder of the public data sets, if it moved.
    """

    run: str
    out: str | None = None
    baseline: str | None = None
    images: int = 1000
    clusters: int = 12
    seed: int = 0
    overwrite: bool = False
    data: str | None = None
    data_dir: str | None = None
