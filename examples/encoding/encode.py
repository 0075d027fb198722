"""The work of the command ``encode``."""

from pathlib import Path

import numpy as np

from examples.encoding.config import EncodeConfig
from examples.shared.cli import check_output
from rnp_pyro.api.devices import launch
from rnp_pyro.api.encoding import encode
from rnp_pyro.api.opening import open_trained
from rnp_pyro.api.report import EVALUATION_SEED
from rnp_pyro.api.rows import observe, places, row_facts, rows_of
from rnp_pyro.checkpoint import write_atomically
from rnp_pyro.config import FabricConfig
from rnp_pyro.errors import UserError
from rnp_pyro.shapes import Tensor
from rnp_pyro.writing import writing


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
    part = rows_of(run.data, config.split, config.limit)
    device = launch(FabricConfig(config.accelerator, devices=1)).device
    run.pair.modules.to(device)
    arrays = encode(run.pair, observe(run.pair, part, EVALUATION_SEED).to(device))
    arrays["images_index"] = places(part)
    if part.labels is not None:
        arrays["labels"] = part.labels
    texts = {name: np.array(facts) for name, facts in row_facts(part, run.data.class_names).items()}
    _save({name: array.cpu().numpy() for name, array in arrays.items()} | texts, out)
    print(f"{len(part)} {config.split} images of {run.data.name}: {_shapes(arrays)}")
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
            np.savez(file, **arrays)  # pyright: ignore[reportArgumentType] (its keyword `allow_pickle`)

    with writing(path):
        write_atomically(path, write)


def _shapes(arrays: dict[str, Tensor]) -> str:
    return ", ".join(f"{name} {list(array.shape)}" for name, array in arrays.items())
