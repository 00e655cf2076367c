"""The stable address of the local system: what the CDN and the API's own domain are in the cloud."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import httpx
import uvicorn
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, Router

from infra.fallbacks import FALLBACKS, Fallback
from mailtailor.errors import MailtailorError

if TYPE_CHECKING:
    from starlette.types import Receive, Scope, Send

HOP_BY_HOP: Final = frozenset(
    {b"connection", b"keep-alive", b"proxy-connection", b"te", b"trailer", b"transfer-encoding", b"upgrade"}
)
"""Headers that end at a proxy (RFC 9110, section 7.6.1)."""
STOP_SECONDS: Final = 5
API_SECONDS: Final = 30
"""What an HTTP API waits for a function at most."""
LEAST_PATIENCE: Final = 5
"""Seconds. A machine with a few cores starts functions more slowly than the cloud; that is no fault."""


class PortInUse(MailtailorError):
    """The address is taken."""


@dataclass(frozen=True, slots=True)
class Origin:
    """The HTTP API.

    Parameters
    ----------
    address
        The stand-in's address, without trailing slash.
    host
        The `Host` header by which the stand-in knows the API.
    """

    address: str
    host: str


class Front:
    """Passes every request on to the HTTP API, byte for byte, and falls back where the CDN does.

    Until `open` is called it answers 503.

    Parameters
    ----------
    fallbacks
        What is answered on which routes when the origin answers 5xx or takes too long: the CDN's own.
    least_patience
        How many seconds the origin has at least, whatever the CDN would allow it.
    """

    def __init__(self, fallbacks: Sequence[Fallback] = FALLBACKS, *, least_patience: int = LEAST_PATIENCE) -> None:
        self._fallbacks = fallbacks
        self._least_patience = least_patience
        self._origin: Origin | None = None
        self._router: Router | None = None
        self._client: httpx.AsyncClient | None = None

    def open(self, origin: Origin, pages: Sequence[BaseRoute] = ()) -> None:
        """Begin to serve: `pages` first, everything else from `origin`."""
        self._origin = origin
        ready = Route("/healthz", lambda _: JSONResponse({"status": "ready"}), methods=["GET"])
        self._router = Router([ready, *pages], redirect_slashes=False, default=self._pass_on)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if self._router is None:
            await JSONResponse({"status": "starting"}, 503, {"retry-after": "1"})(scope, receive, send)
        else:
            await self._router(scope, receive, send)

    async def _pass_on(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        fallback = self._fallback(scope["path"])
        try:
            async with asyncio.timeout(max(fallback.patience, self._least_patience) if fallback else API_SECONDS):
                response = await self._ask(request)
        except (httpx.TransportError, TimeoutError):
            response = None
        if fallback is not None and (response is None or response.status_code >= 500):
            response = Response(fallback.body, 200, {"cache-control": "no-store"}, fallback.content_type)
        if response is None:
            response = JSONResponse({"message": "Service Unavailable"}, 503)
        await response(scope, receive, send)

    def _fallback(self, path: str) -> Fallback | None:
        return next((fallback for fallback in self._fallbacks if fallback.answers(path)), None)

    async def _ask(self, request: Request) -> Response:
        if self._origin is None:
            raise httpx.ConnectError("no origin")
        if self._client is None:  # belongs to the event loop that serves
            self._client = httpx.AsyncClient(limits=httpx.Limits(max_connections=None, max_keepalive_connections=64))
        scope = request.scope
        target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
        passed = [(name, value) for name, value in request.headers.raw if name not in HOP_BY_HOP and name != b"host"]
        outgoing = httpx.Request(
            request.method,
            self._origin.address,
            headers=[(b"host", self._origin.host.encode()), *passed],
            content=await request.body(),
            # httpx would tidy the path; signed tokens and providers' signatures need it as it came.
            extensions={"target": target},
        )
        answer = await self._client.send(outgoing, stream=True)
        try:
            body = b"".join([chunk async for chunk in answer.aiter_raw()])
        finally:
            await answer.aclose()
        response = Response(body, answer.status_code)
        response.raw_headers = [
            (name.lower(), value) for name, value in answer.headers.raw if name.lower() not in HOP_BY_HOP
        ]
        return response


def listen(port: int) -> socket.socket:
    """Return a socket that listens on `port` of this machine only.

    Raises
    ------
    PortInUse
        If somebody else does already.
    """
    # Named, the protocol lets asyncio send without delay.
    listening = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind(("127.0.0.1", port))
        listening.listen(256)
    except OSError as error:
        listening.close()
        raise PortInUse(f"Port {port} is in use.", f"Choose another: make run PORT={port + 10}") from error
    return listening


@contextlib.contextmanager
def serving(front: Front, listening: socket.socket) -> Iterator[None]:
    """Serve `front` on `listening` in a thread of its own."""
    server = uvicorn.Server(
        uvicorn.Config(
            front,
            lifespan="off",
            log_level="error",
            access_log=False,
            server_header=False,
            date_header=False,
            h11_max_incomplete_event_size=1 << 17,
            timeout_graceful_shutdown=1,
        )
    )
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, name="front", daemon=True)
    thread.start()
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(STOP_SECONDS)
        listening.close()
