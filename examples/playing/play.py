"""The work of the command ``play``: check, open, warm up, listen."""

import errno
import socket
import threading
import webbrowser
from pathlib import Path

from examples.playing.answers import Player, warm_up
from examples.playing.config import PlayConfig
from rnp_pyro.api.opening import open_trained
from rnp_pyro.api.run import Run
from rnp_pyro.errors import UserError

BACKLOG = 64
"""Connections that may wait to be accepted."""


def main(config: PlayConfig) -> None:
    """Serve the page until a signal ends it.

    Raises:
        UserError: If the extra is missing, the run does not fit, or the address cannot be listened on.
    """
    if not 0 <= config.port <= 65535:
        raise UserError(f"--port must be within 0 to 65535, got {config.port}")
    check_extra()
    run = open_trained(Path(config.run))
    check_run(run, config.run)
    listening = listen(config.host, config.port)
    try:
        serve(Player(run), listening, config)
    finally:
        listening.close()


def check_extra() -> None:
    """Refuse to start without the packages of the extra.

    Raises:
        UserError: If one is missing.
    """
    try:
        import fastapi  # noqa: F401
        import uvicorn  # noqa: F401
    except ImportError:
        raise UserError("expected fastapi and uvicorn to be installed: pip install 'rnp-pyro[play]'") from None


def check_run(run: Run, name: str) -> None:
    """Refuse runs whose images cannot be drawn with a pen, or that have no parts.

    Raises:
        UserError: If it is such a run.
    """
    _ = run.tree  # the flat baseline has none
    channels, rows, columns = run.image_shape
    if channels != 1:
        raise UserError(f"expected a run of grey images to draw for, got {name} of colour images: name another run")
    if rows != columns:
        raise UserError(f"expected a run of square images, got {name} of {rows}x{columns} pixels: name another run")


def listen(host: str, port: int) -> socket.socket:
    """Return a socket that listens.

    Raises:
        UserError: If the address is not this machine's, or the port is taken.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        listening = socket.socket(family, kind, protocol)
    except OSError as error:
        raise UserError(f"expected an address of this machine with --host, got {host}: {error.strerror}") from None
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind(address)
        listening.listen(BACKLOG)
    except OSError as error:
        listening.close()
        if error.errno == errno.EADDRNOTAVAIL:
            raise UserError(
                f"expected an address of this machine with --host, got {host}: {error.strerror}; 127.0.0.1 is this "
                "machine alone, 0.0.0.0 all its addresses"
            ) from None
        raise UserError(
            f"cannot listen on {host} port {port}: {error.strerror}; choose another with --port, 0 takes a free one"
        ) from None
    return listening


def address_of(listening: socket.socket) -> str:
    """Return the page's address; of a wildcard, this machine's own."""
    named, port = listening.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(named, str(named))
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/"


def serve(player: Player, listening: socket.socket, config: PlayConfig) -> None:
    """Warm the model up, say where the page is, and answer until a signal comes."""
    import uvicorn

    from examples.playing.server import build_app

    warm_up(player)
    address = address_of(listening)
    server = uvicorn.Server(
        uvicorn.Config(build_app(player, config.host), log_level="error", access_log=False, lifespan="off")
    )
    print(f"{config.run}: draw at {address} (Ctrl-C ends it)", flush=True)
    if config.open:
        threading.Thread(target=webbrowser.open, args=(address,), daemon=True).start()
    try:
        server.run(sockets=[listening])
    except KeyboardInterrupt:  # uvicorn raises it again once it has shut down
        print()
