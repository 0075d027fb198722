"""The work of the command ``encode``."""

from pathlib import Path

import numpy as np
import torch

from examples.encoding.config import EncodeConfig
from examples.shared.cli import check_output
from rnp_pyro.api.devices import launch
from rnp_pyro.api.encoding import encode
from rnp_pyro.api.report import EVALUATION_SEED
from rnp_pyro.api.run import open_trained
from rnp_pyro.api.writing import writing
from rnp_pyro.checkpoint import write_atomically
from rnp_pyro.config import FabricConfig
from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Tensor


def main(config: EncodeConfig) -> Path:
    """Encode images and write their codes.

    Returns:
        The file.

    Raises:
        UserError: If anything does not fit; nothing is written then.
    """
    out = Path(config.out)
    _check(config, out)
    run = open_trained(Path(config.run), data=config.data, data_dir=config.data_dir)
    images = getattr(run.data, config.split)[: config.limit]
    labels = getattr(run.data, f"{config.split}_labels")
    device = launch(FabricConfig(config.accelerator, devices=1)).device
    run.pair.modules.to(device)
    arrays = encode(run.pair, run.pair.prepare_fixed(images, EVALUATION_SEED).to(device))
    arrays["images_index"] = torch.arange(len(images))
    if labels is not None:
        arrays["labels"] = labels[: config.limit]
    _save({name: array.cpu().numpy() for name, array in arrays.items()}, out)
    print(f"{len(images)} {config.split} images of {run.data.name}: {_shapes(arrays)}")
    print(f"codes: {out}")
    return out


def _check(config: EncodeConfig, out: Path) -> None:
    """Refuse what can be refused before anything is computed."""
    if config.limit is not None and config.limit < 1:
        raise UserError(f"--limit must be at least 1, got {config.limit}")
    check_output("--out", out, config.overwrite)
    if out.suffix != ".npz":
        raise UserError(f"expected a file that ends in .npz with --out, got {out}")


def _save(arrays: dict[str, np.ndarray], path: Path) -> None:
    """Write a NumPy archive, whole or not at all."""

    def write(temporary: Path) -> None:
        with temporary.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)

    with writing(path):
        write_atomically(path, write)


def _shapes(arrays: dict[str, Tensor]) -> str:
    return ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
