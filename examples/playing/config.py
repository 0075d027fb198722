"""Options of ``play``."""

from dataclasses import dataclass

DEFAULT_RUN = "pretrained:mnist-ladder"


@dataclass(frozen=True)
class PlayConfig:
    """What to play with, and where the page is served.

    Args:
        run: Run directory that train_svi wrote, its training ended.
        host: Address to listen on; any other than 127.0.0.1 lets other machines draw too.
        port: To listen on, 0 to 65535; 0 chooses a free one.
        open: Open the page in a browser.
    """

    run: str = DEFAULT_RUN
    host: str = "127.0.0.1"
    port: int = 8000
    open: bool = False
