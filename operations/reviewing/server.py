"""Serve the review page on 127.0.0.1 until a signal ends it, to the page's own requests only.

Every program of this machine and every page in its browsers can reach 127.0.0.1. So the address contains a random
token, the Host header must be this server's (against DNS rebinding), and a request that changes anything must be a
POST with JSON whose Origin is this server.
"""

import asyncio
import hmac
import os
import secrets
import signal
import socket
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, cast

from hypercorn.asyncio import serve as serve_asgi
from hypercorn.config import Config
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from common.errors import ExpectedError
from operations.reviewing.desk import Desk
from operations.reviewing.web import review_app

HOST = "127.0.0.1"
TOKEN_BYTES = 24
SWEEP_SECONDS = 1.0
GRACE_SECONDS = 3.0  # for requests under way when the server ends
MOST_BODY_BYTES = 10_000  # a request has a picture's id and an answer


class PortTakenError(ExpectedError):
    """The port is in use or not allowed."""


class Guard:
    """ASGI middleware: passes allowed requests on, without the token in their path."""

    def __init__(self, app: ASGIApp, token: str, port: int, headers: Mapping[str, str]) -> None:
        """Allow requests with the token to this port; add `headers` to every answer."""
        self._app, self._token = app, token.encode()
        self._hosts = (f"127.0.0.1:{port}", f"localhost:{port}")
        self._headers = [(name.encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one request, or pass on the server's start and stop."""
        if scope["type"] == "lifespan":
            return await self._app(scope, receive, send)
        if scope["type"] != "http":
            return await send({"type": "websocket.close"})  # before it is open: HTTP 403

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *self._headers]
            await send(message)

        app: ASGIApp = self._app
        token, slash, path = scope["path"].removeprefix("/").partition("/")
        if not slash or not hmac.compare_digest(token.encode(errors="replace"), self._token):
            app = PlainTextResponse("Not found.\n", 404)
        elif refusal := self._refusal(scope):
            app = PlainTextResponse(f"{refusal}\n", 403)
        return await app({**scope, "path": f"/{path}", "raw_path": f"/{path}".encode()}, receive, send_guarded)

    def _refusal(self, scope: Scope) -> str:
        """Return the reason to refuse a request, empty for an allowed one."""
        headers: dict[str, str] = {}
        for raw_name, value in scope["headers"]:
            name = raw_name.decode("latin-1").lower()
            if name in headers:
                return "A header is repeated."
            headers[name] = value.decode("latin-1")
        host, length = headers.get("host", ""), headers.get("content-length", "")
        if host not in self._hosts:
            return "Unknown host."
        if scope["method"] in {"GET", "HEAD"}:
            return ""
        is_own_origin = headers.get("origin") == f"http://{host}"
        is_same_origin = headers.get("sec-fetch-site", "same-origin") == "same-origin"
        is_json = headers.get("content-type", "").partition(";")[0].strip() == "application/json"
        is_short = length.isdecimal() and int(length) <= MOST_BODY_BYTES
        refusals = {
            "Only GET and POST are allowed.": scope["method"] != "POST",
            "Only this server's own page may do that.": not (is_own_origin and is_same_origin),
            "The request must be JSON.": not is_json,
            "The request is too long, or has no Content-Length.": not is_short,
        }
        return next((reason for reason, applies in refusals.items() if applies), "")


def serve(desk: Desk, reviewer: str, port: int, ready: Callable[[str], None], give_up: Callable[[], None]) -> None:
    """Serve until SIGINT, SIGTERM or SIGHUP; then give all pictures back to the queue.

    A `port` of 0 chooses a free one. `ready` gets the page's address once the server listens. `give_up` is called at a
    second signal, while the server waits for AWS, and should end the program. Raises PortTakenError.
    """
    try:
        listening = socket.create_server((HOST, port))
    except OSError as error:
        reason = os.strerror(error.errno or 0)
        raise PortTakenError(
            f"The server cannot listen on port {port} ({reason}): give another --port, or leave it out."
        ) from error
    with listening:
        try:
            asyncio.run(_serve(desk, reviewer, listening, ready, give_up))
        finally:
            try:
                desk.close()
            except KeyboardInterrupt:
                give_up()


async def _serve(
    desk: Desk, reviewer: str, listening: socket.socket, ready: Callable[[str], None], give_up: Callable[[], None]
) -> None:
    token, port = secrets.token_urlsafe(TOKEN_BYTES), listening.getsockname()[1]
    app, headers = review_app(desk, reviewer)
    config = Config()
    config.bind = [f"fd://{listening.detach()}"]  # hypercorn closes it
    config.graceful_timeout = GRACE_SECONDS
    config.include_server_header = False
    config.loglevel = "WARNING"
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()

    def end() -> None:
        if ended.is_set():
            give_up()
        ended.set()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if number != signal.SIGHUP or signal.getsignal(number) != signal.SIG_IGN:  # nohup
            loop.add_signal_handler(number, end)
    sweeping = asyncio.create_task(_sweep(desk))
    sweeping.add_done_callback(lambda _: ended.set())  # it ends only by a bug
    ready(f"http://{HOST}:{port}/{token}/")
    guarded: Any = Guard(app, token, port, headers)
    try:
        await serve_asgi(guarded, config, shutdown_trigger=cast("Any", ended.wait))
    finally:
        sweeping.cancel()
        with suppress(asyncio.CancelledError):
            await sweeping


async def _sweep(desk: Desk) -> None:
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        await asyncio.to_thread(desk.sweep)
