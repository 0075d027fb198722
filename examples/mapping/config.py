"""Options of ``topography``."""

from dataclasses import dataclass

from rnp_pyro.errors import UserError


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


def check(config: MapConfig) -> None:
    """Refuse numbers out of range.

    Raises:
        UserError: In one line.
    """
    if config.images < 8:
        raise UserError(f"--images must be at least 8, got {config.images}")
    if config.clusters < 2:
        raise UserError(f"--clusters must be at least 2, got {config.clusters}")
