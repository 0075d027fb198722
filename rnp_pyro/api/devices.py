"""Where and how wide to compute: Lightning Fabric, launched as the settings say."""

import os
from collections.abc import Mapping

from lightning_fabric import Fabric
from lightning_fabric.plugins.environments import LightningEnvironment
from lightning_fabric.utilities.exceptions import MisconfigurationException

from rnp_pyro.config import FabricConfig
from rnp_pyro.errors import UserError
from rnp_pyro.messages import one_line

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "64-true")
"""Those of Fabric's that train here; the others narrow weights as well."""


SRUN = (
    " (in a job of SLURM's: one process for each device by srun --ntasks-per-node=N python ... --fabric.devices N, or "
    "one process by --fabric.devices 1)"
)


def check_precision(config: FabricConfig) -> None:
    """Refuse a precision that does not train.

    Raises:
        UserError: In one line, with what was expected and what came.
    """
    if config.precision not in PRECISIONS:
        raise UserError(f"--fabric.precision: expected one of {', '.join(PRECISIONS)}, got {config.precision}")


def launch(config: FabricConfig) -> Fabric:
    """Start Fabric on the devices that the settings name.

    Raises:
        UserError: If this machine does not have them, or the precision is none that trains.
    """
    check_precision(config)
    try:
        fabric = Fabric(
            accelerator=config.accelerator,
            devices=config.devices,
            num_nodes=config.num_nodes,
            strategy=config.strategy,
            precision=config.precision,  # type: ignore[arg-type]
            plugins=[LightningEnvironment()] if alone_under_slurm(config, os.environ) else None,
        )
    except (KeyError, ValueError, TypeError, RuntimeError, MisconfigurationException) as error:
        advice = SRUN if "SLURM_NTASKS" in os.environ else ""
        came = f"accelerator {config.accelerator}, devices {config.devices}, strategy {config.strategy}"
        raise UserError(
            f"expected devices that this machine has, got {came} ({one_line(error)}): take accelerator auto or cpu"
            f"{'' if str(config.devices) in ('auto', '1') else ' and devices auto'}{advice}"
        ) from None
    if fabric.device.type == "mps" and config.precision == "64-true":
        raise UserError("--fabric.precision: MPS has no 64-true: expected 32-true, or --fabric.accelerator cpu")
    fabric.launch()
    return fabric


def alone_under_slurm(config: FabricConfig, environment: Mapping[str, str]) -> bool:
    """Return whether a process in a job of SLURM's works by itself: srun did not start it, or it is to use one device.

    ``python`` in a batch script, or typed in a shell of a job, finds the job's variables. Fabric takes it for one of
    the job's tasks, and waits for others that never come.

    Args:
        config: The devices that are asked for.
        environment: The process's variables.
    """
    if "SLURM_NTASKS" not in environment or "TORCHELASTIC_RUN_ID" in environment:  # torchrun goes before SLURM
        return False
    step = "SLURM_STEP_ID" in environment and "SLURM_PTY_PORT" not in environment
    return not step or environment["SLURM_NTASKS"] == "1" or str(config.devices) == "1"
