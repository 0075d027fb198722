"""The page and its answers over HTTP: who may ask, how much, and one model that answers one question at a time."""

import asyncio
import ipaddress
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from urllib.parse import urlsplit

from fastapi import FastAPI, Request
from fastapi.responses import FileResponse, JSONResponse, Response
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from examples.playing.answers import ANSWERS, Player, about
from examples.playing.requests import LARGEST_BODY, read_request
from rnp_pyro.errors import UserError
from rnp_pyro.messages import one_line

STATIC = Path(__file__).parent / "static"
KINDS = {".html": "text/html", ".css": "text/css", ".js": "text/javascript", ".svg": "image/svg+xml"}
"""Types of the page's files by their endings; the system's own table may say otherwise."""

OWN_NAMES = {"localhost", "127.0.0.1", "::1"}
EVERYWHERE = {"0.0.0.0", "::", ""}

HEADERS = {
    "content-security-policy": "default-src 'self'; img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-store",
}


def build_app(player: Player, host: str = "127.0.0.1") -> ASGIApp:
    """Build the server of one run.

    Args:
        player: What answers.
        host: What the server listens on: requests must be addressed to it, or to this machine's own names.
    """
    app = FastAPI(title="rnp-pyro play", docs_url=None, redoc_url=None, openapi_url=None)
    # One thread: the model, Pyro's handlers and the generators are the process's, and no two requests may share them.
    worker = ThreadPoolExecutor(1, thread_name_prefix="model")

    @app.get("/api/about")
    async def describe() -> JSONResponse:
        return JSONResponse(about(player))

    @app.post("/api/{name}")
    async def answer(name: str, request: Request) -> Response:
        if name not in ANSWERS:
            return refusal(404, f"expected one of {', '.join(ANSWERS)} after /api/, got {name[:60]}")
        if request.headers.get("content-type", "").split(";")[0].strip().lower() != "application/json":
            return refusal(415, "expected the content type application/json")
        body = await _body(request)
        if body is None:
            return refusal(413, f"expected at most {LARGEST_BODY} bytes")
        if await request.is_disconnected():  # a newer drawing took its place
            return refusal(499, "the question was taken back")
        try:
            content = await asyncio.get_running_loop().run_in_executor(worker, _answer, player, name, body)
        except UserError as error:
            return refusal(400, one_line(error))
        return Response(content, media_type="application/json")

    @app.get("/")
    async def page() -> Response:
        return _file("index.html")

    @app.get("/static/{name}")
    async def static(name: str) -> Response:
        return _file(name)

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> JSONResponse:
        asked = request.url.path.removeprefix("/api/")
        if error.status_code == 405 and asked in ANSWERS:
            return refusal(405, f"expected POST for {asked}, got {request.method}: use POST, with a JSON object")
        return refusal(error.status_code, str(error.detail))

    return Guard(app, host)


def _answer(player: Player, name: str, body: bytes) -> str:
    """Read, answer and write in the model's thread, so that a large tree keeps nobody else waiting.

    Raises:
        UserError: If what was asked does not fit, or leads to numbers that are not finite.
    """
    begin = time.perf_counter()
    found = player.answer(name, read_request(body))
    try:
        return json.dumps({**found, "milliseconds": 1000 * (time.perf_counter() - begin)}, allow_nan=False)
    except ValueError:
        raise UserError("expected a tree of finite poses, got one whose numbers overflow") from None


async def _body(request: Request) -> bytes | None:
    """Read a body; None once it is too large, however it is sent."""
    read = bytearray()
    async for chunk in request.stream():
        read += chunk
        if len(read) > LARGEST_BODY:
            return None
    return bytes(read)


def _file(name: str) -> Response:
    path = STATIC / name
    if path.suffix not in KINDS or path.parent != STATIC or not path.is_file():
        return refusal(404, "expected a file of the page")
    return FileResponse(path, media_type=KINDS[path.suffix])


def refusal(status: int, error: str) -> JSONResponse:
    """Return one line of JSON."""
    return JSONResponse({"error": error}, status_code=status)


class Guard:
    """Refuses requests that another site's page could have sent, and adds the headers that keep the page to itself.

    A page elsewhere can make the browser send requests here, and a name that it owns can be made to lead here (DNS
    rebinding). Both show in the headers ``Host`` and ``Origin``, which a page cannot choose.

    Args:
        app: What answers the others.
        host: What the server listens on.
    """

    def __init__(self, app: ASGIApp, host: str) -> None:
        self.app = app
        self.host = host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                own = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
                message = {**message, "headers": [*message["headers"], *own]}
            await send(message)

        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        told = self.refuse(headers.get("host", ""), headers.get("origin"))
        app = self.app if told is None else refusal(403, told)
        await app(scope, receive, guarded)

    def refuse(self, host: str, origin: str | None) -> str | None:
        """Return why a request is refused; None: it is not."""
        if not self.is_own(host):
            return "expected a request to this machine's own address, got another host"
        if origin is not None and origin != f"http://{host}":
            return "expected a request from this page, got another origin"
        return None

    def is_own(self, host: str) -> bool:
        """Return whether a request is addressed to this server, and not to somebody's name that leads here."""
        try:
            name = urlsplit(f"//{host}").hostname or ""
        except ValueError:
            return False
        if name in OWN_NAMES or name == self.host.lower():
            return bool(name)
        return self.host in EVERYWHERE and _is_address(name)


def _is_address(name: str) -> bool:
    """Return whether a host is written in numbers, which no one can make lead elsewhere."""
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
