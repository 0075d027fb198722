"""Numbers that run away: the error, and settings that help against it."""

from torch import nn

from rnp_pyro.config import TrainConfig
from rnp_pyro.errors import UserError


class NotFiniteError(UserError):
    """Numbers ran away.

    Args:
        message: Which, and when.
        options: Settings that helped when they were tried, as on the command line.
    """

    def __init__(self, message: str, options: str) -> None:
        super().__init__(message)
        self.options = options


def way_on(config: TrainConfig, decoder: nn.Module) -> str:
    """Return options that help against numbers that run away.

    Both were tried on images that make them do so.

    Args:
        config: Optimisation that they ran away in.
        decoder: The model's tree or network.
    """
    compressed, usual = getattr(decoder, "compress", True), TrainConfig.learning_rate
    if not compressed and config.learning_rate <= usual:
        return "--model.tree.compress true"
    slower = f"--train.learning_rate {min(config.learning_rate / 10, usual):g}"
    return slower if compressed else f"--model.tree.compress true {slower}"
