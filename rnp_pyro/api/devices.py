"""Where and how wide to compute: Lightning Fabric, launched as the settings say."""

from lightning_fabric import Fabric
from lightning_fabric.utilities.exceptions import MisconfigurationException

from rnp_pyro.config import FabricConfig
from rnp_pyro.errors import UserError

PRECISIONS = ("32-true", "bf16-mixed", "16-mixed", "64-true")
"""Those of Fabric's that train here; the others narrow weights as well."""


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
        fabric = Fabric(accelerator=config.accelerator, devices=config.devices, precision=config.precision)  # type: ignore[arg-type]
    except (ValueError, TypeError, RuntimeError, MisconfigurationException) as error:
        raise UserError(f"--fabric: {error}") from None
    fabric.launch()
    return fabric
